/** A file system that hangs holds no more threads than its own, and is not asked by every message. */
import assert from 'node:assert/strict';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Volume } from '../../src/volume.ts';

const turnOfLoop = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

/** Puts another statfs in its place for one test. */
function withStatfs(t: TestContext, statfs: typeof promises.statfs): void {
  t.mock.method(promises, 'statfs', statfs);
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

describe('what may hang', () => {
  it('is written by four messages at a time, in their order, also when others had to wait before', async () => {
    const volume = new Volume('/');
    const order: number[] = [];
    let running = 0;
    let most = 0;
    for (let wave = 0; wave < 3; wave++) {
      const works = Array.from({ length: 10 }, (_, at) =>
        volume.run(never, async () => {
          order.push(wave * 10 + at);
          running += 1;
          most = Math.max(most, running);
          await turnOfLoop();
          running -= 1;
          if (at === 5) throw new Error('failed');
        }),
      );
      const ends = await Promise.allSettled(works);
      assert.equal(ends.filter(({ status }) => status === 'rejected').length, 1);
    }
    assert.equal(most, 4);
    assert.deepEqual(
      order,
      Array.from({ length: 30 }, (_, at) => at),
    );
  });

  it('is left by a message that is given up, and the next one has its turn', async () => {
    const volume = new Volume('/');
    const hangs = Promise.withResolvers<void>();
    const first = Array.from({ length: 4 }, () => volume.run(never, () => hangs.promise));
    const abort = new AbortController();
    let worked = false;
    const given = volume.run(abort.signal, async () => {
      worked = true;
    });
    const next = volume.run(never, async () => 'done');
    abort.abort(new Error('given up'));
    await assert.rejects(given, /given up/);
    await assert.rejects(
      volume.run(abort.signal, async () => undefined),
      /given up/,
      'before it waited',
    );
    hangs.resolve();
    await Promise.all(first);
    assert.equal(await next, 'done');
    assert.equal(worked, false);
    // Nobody kept a place: four may begin at once.
    let begun = 0;
    const all = Array.from({ length: 4 }, () =>
      volume.run(never, async () => {
        begun += 1;
        await turnOfLoop();
      }),
    );
    assert.equal(begun, 4);
    await Promise.all(all);
  });
});

describe('whether a folder is on a local disk', () => {
  it('is asked once for all who wait, and after the deadline nobody waits for it until it has answered', async (t) => {
    let asked = 0;
    let answer = Promise.withResolvers<Awaited<ReturnType<typeof promises.statfs>>>();
    const real = await promises.statfs(tmpdir());
    withStatfs(t, ((): unknown => {
      asked += 1;
      return answer.promise;
    }) as typeof promises.statfs);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const volume = new Volume('/mnt/nowhere');
    const early = [volume.isLocal(), volume.isLocal(), volume.isLocal()];
    const ended = Promise.allSettled(early);
    t.mock.timers.tick(4999);
    await turnOfLoop();
    t.mock.timers.tick(1);
    assert.deepEqual(
      (await ended).map((end) => (end.status === 'rejected' ? end.reason.code : end.value)),
      ['ETIMEDOUT', 'ETIMEDOUT', 'ETIMEDOUT'],
    );
    // No time passes here: it is refused at once, or never.
    for (let turn = 0; turn < 2; turn++) {
      let said: unknown = 'nothing';
      volume.isLocal().catch((error: NodeJS.ErrnoException) => {
        said = error.code;
      });
      await turnOfLoop();
      assert.equal(said, 'ETIMEDOUT');
    }
    assert.equal(asked, 1);
    answer.resolve({ ...real, type: 0xef53 });
    await turnOfLoop();
    assert.equal(await volume.isLocal(), true);
    assert.equal(asked, 2);
    answer = Promise.withResolvers();
    answer.resolve({ ...real, type: 0x6969 });
    assert.equal(await volume.isLocal(), false, 'NFS');
    assert.equal(asked, 3);
  });

  it('is no for one that is not there, which is no error', async () => {
    assert.equal(await new Volume(join(tmpdir(), 'sealpost', 'nowhere')).isLocal(), false);
  });
});
