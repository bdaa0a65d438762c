/** What a sweep takes to the millisecond: each time at its limit, and one millisecond before it. */
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createLog } from '../../src/log.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { keysOf } from '../../src/queue/keys.ts';
import { type SweepParts, sweep } from '../../src/queue/sweep.ts';
import { SpoolFolder } from '../../src/spool/folder.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const day = 86_400_000;
/** Times of files are set to whole seconds: what a file system keeps of others is its own affair. */
const then = Date.UTC(2026, 0, 1);

describe('a sweep', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  let folder: string;
  let store: SpoolFolder;
  let parts: SweepParts;
  before(async () => {
    server = await startTestRedis();
    queue = await openTestQueue(server);
    folder = await mkdtemp(join(tmpdir(), 'sealpost-sweep-'));
    store = new SpoolFolder(folder, createSecretKey(randomBytes(32)));
    parts = {
      redis: queue.redis,
      keys: keysOf(queue.prefix),
      store,
      log: createLog('silent', 'test'),
      sweepAfter: day,
      keepRecords: 30 * day,
      maxRecords: 0,
      duplicates: day,
      keepAudit: 30 * day,
      keepOriginal: 7 * day,
    };
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
    if (folder) await rm(folder, { recursive: true });
  });

  /** A file of a known age, and of the message if there is one. */
  async function file(owner?: string): Promise<string> {
    const id = randomBytes(16).toString('hex');
    const writer = await store.create(id);
    await writer.write(Buffer.from('content'));
    await writer.finish();
    await utimes(store.path(id), new Date(then), new Date(then));
    if (owner === undefined) return id;
    await queue.redis.sadd(parts.keys.fileOwners(id), owner);
    await queue.redis.hset(parts.keys.message(owner), 'k', `f:${id}`);
    return id;
  }
  const isThere = async (id: string) => {
    for await (const object of store.objects()) if (object.id === id) return true;
    return false;
  };
  const sweepAt = async (now: number, changes: Partial<SweepParts> = {}) =>
    await sweep({ ...parts, ...changes }, now);

  it('takes a file that nobody needs when it has the age, and not before', async () => {
    const id = await file();
    assert.equal((await sweepAt(then + day - 1)).files, 0);
    assert.ok(await isThere(id));
    assert.equal((await sweepAt(then + day)).files, 1);
    assert.ok(!(await isThere(id)));
  });

  for (const state of ['received', 'decoded', 'queued', 'suspended'])
    it(`never takes the file of a message that is ${state}`, async () => {
      const { id } = await accept(queue, `a message that is ${state}`);
      const octets = await file(id);
      await queue.redis.hset(parts.keys.message(id), 's', state);
      assert.equal((await sweepAt(then + 3650 * day)).files, 0);
      assert.ok(await isThere(octets));
      await store.remove(octets);
    });

  it('keeps that of a delivered one as long as the original, that of a sent or terminated one no longer', async () => {
    for (const [state, kept] of [
      ['delivered', 7 * day],
      ['sent', 0],
      ['terminated', 0],
    ] as const) {
      const { id } = await accept(queue, `one that is ${state} in the end`);
      const octets = await file(id);
      const ended = then + 2 * day;
      await queue.redis.hset(parts.keys.message(id), { s: state, u: ended });
      if (kept > 0) assert.equal((await sweepAt(ended + kept - 1)).files, 0, state);
      assert.equal((await sweepAt(ended + kept)).files, 1, state);
      assert.ok(!(await isThere(octets)));
    }
  });

  it('keeps that of an ended one that is held, until then', async () => {
    const { id } = await accept(queue, 'one that is held');
    const octets = await file(id);
    const held = then + 2 * day;
    await queue.redis.hset(parts.keys.message(id), { s: 'sent', u: then, h: held });
    assert.equal((await sweepAt(held - 1)).files, 0);
    assert.equal((await sweepAt(held)).files, 1);
    assert.ok(!(await isThere(octets)));
  });

  it('takes a file whose message has others by now', async () => {
    const { id } = await accept(queue, 'one that was decoded again');
    const old = await file(id);
    const current = await file(id);
    assert.equal((await sweepAt(then + day)).files, 1);
    assert.deepEqual([await isThere(old), await isThere(current)], [false, true]);
    await store.remove(current);
  });

  it('forgets a record when its time is over, and not before', async () => {
    const { id } = await accept(queue, 'a record');
    await queue.flow.terminate(id, 'test');
    const ended = Number(await queue.redis.hget(parts.keys.message(id), 'u'));
    await sweepAt(ended + 30 * day);
    assert.ok(await queue.ledger.get(id));
    await sweepAt(ended + 30 * day + 1);
    assert.equal(await queue.ledger.get(id), null);
  });

  it('keeps as many finished records as it may', async () => {
    for (const name of ['first', 'second', 'third']) {
      const { id } = await accept(queue, `${name} of three`);
      await queue.flow.terminate(id, 'test');
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    const count = async () => {
      const { delivered, sent, terminated } = await queue.ledger.count();
      return delivered + sent + terminated;
    };
    const all = await count();
    assert.equal((await sweepAt(Date.now(), { maxRecords: all })).records, 0);
    assert.equal((await sweepAt(Date.now(), { maxRecords: all - 1 })).records, 1);
    assert.equal(await count(), all - 1);
  });
});
