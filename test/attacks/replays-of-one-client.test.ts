/** A reader whose replays and previews never end, so that nobody else can replay anything. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { replayRoutes } from '../../src/api/replays.ts';
import { Turns } from '../../src/api/turns.ts';
import { allGranted, Client } from '../../src/client/index.ts';
import { hasCode } from '../../src/errors.ts';
import { until } from '../support/net.ts';

const tokenOf = (name: string, credential = 'token') => new Client(name, allGranted, credential);

/** Work that ends when it is told to. */
function workshop() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    begun,
    work: (name: string) => () =>
      new Promise<string>((resolve) => {
        begun.push(name);
        ends.set(name, () => resolve(name));
      }),
    end: (name: string) => ends.get(name)?.(),
  };
}

describe('replays of one client', { timeout: 240_000 }, () => {
  it('hold up no others: it has one at a time, with all its tokens', async () => {
    const waits: (() => void)[] = [];
    // The first thing that each run reads.
    const getBuffer = () => new Promise<null>((resolve) => waits.push(() => resolve(null)));
    const held = { async *held() {} };
    const queue = { redis: { getBuffer }, prefix: 'x', replays: held, ledger: {}, partnerNames: {} };
    const parts = { config: {}, queue: { ...queue, seal: () => Buffer.of(), unseal: () => null }, body: {} };
    // What else a queue is made of is not asked.
    const routes: ReturnType<typeof replayRoutes> = Reflect.apply(replayRoutes, undefined, [parts]);
    const preview = routes.find(({ name }) => name === 'previewReplay');
    assert.ok(preview);
    let answered = 0;
    const ask = async (client: Client) => {
      const call = Object.assign(Object.create(null), { client, params: {}, query: {}, address: '' });
      try {
        await preview.handle(call);
        return 'done';
      } catch (error) {
        return hasCode(error, 'rate-limited') ? 'rate-limited' : String(error);
      } finally {
        answered += 1;
      }
    };
    const first = ask(tokenOf('reader', 'one'));
    await until('it is under way', () => waits.length === 1);
    assert.equal(await ask(tokenOf('reader', 'one')), 'rate-limited');
    assert.equal(await ask(tokenOf('reader', 'two')), 'rate-limited');
    const other = ask(tokenOf('erp'));
    await until('another one is under way', () => waits.length === 2);
    const third = ask(tokenOf('third'));
    waits.splice(0).forEach((end) => {
      end();
    });
    const before = answered;
    await until('all that is read is there', () => {
      for (const end of waits.splice(0)) end();
      return answered === before + 3;
    });
    assert.deepEqual([await first, await other, await third], ['done', 'done', 'done']);
  });

  it('wait behind one of each other, and not behind all that the other ones want', async () => {
    const { begun, work, end } = workshop();
    const turns = new Turns('looks', 1, 3);
    const [a, b] = [tokenOf('a'), tokenOf('b')];
    const asked = [
      turns.take(a, work('a1')),
      turns.take(a, work('a2')),
      turns.take(a, work('a3')),
      turns.take(b, work('b1')),
    ];
    await assert.rejects(turns.take(a, work('a4')), (error) => hasCode(error, 'rate-limited'));
    for (const name of ['a1', 'b1', 'a2', 'a3']) {
      await until(name, () => begun.at(-1) === name);
      end(name);
    }
    assert.deepEqual(await Promise.all(asked), ['a1', 'a2', 'a3', 'b1']);
    assert.deepEqual(begun, ['a1', 'b1', 'a2', 'a3']);
    // what failed has ended as well
    await assert.rejects(
      turns.take(a, async () => {
        throw new Error('it failed');
      }),
      /it failed/,
    );
    const last = turns.take(a, work('a5'));
    await until('it has begun', () => begun.at(-1) === 'a5');
    end('a5');
    assert.equal(await last, 'a5');
  });

  it('are those of a person, whoever else has its name', async () => {
    const { begun, work, end } = workshop();
    const turns = new Turns('looks', 2, 1);
    const one = turns.take(tokenOf('person:eve', 'p1'), work('one'));
    const two = turns.take(tokenOf('person:eve', 'p2'), work('two'));
    await assert.rejects(turns.take(tokenOf('person:eve', 'p1'), work('three')));
    await until('both have begun', () => begun.length === 2);
    end('one');
    end('two');
    assert.deepEqual(await Promise.all([one, two]), ['one', 'two']);
  });
});
