/**
 * Limits of the queue at the limit and one beyond; ids of names that run together; two destinations and a repeated
 * report.
 */
import assert from 'node:assert/strict';
import promises, { mkdtemp, rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { createLog } from '../../src/log.ts';
import type { HandoffJob, QueueRoom } from '../../src/queue/index.ts';
import { keysOf } from '../../src/queue/keys.ts';
import { Pressure } from '../../src/queue/pressure.ts';
import { connect, disconnect, ready } from '../../src/redis/connection.ts';
import {
  acknowledgedBy,
  ensureReplicated,
  ensureWaitAof,
  ReplicatedWrites,
} from '../../src/redis/durable-writes.ts';
import { script } from '../../src/redis/scripts.ts';
import { accept } from '../support/messages.ts';
import { commitOne, openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const log = createLog('silent', 'test');
const keys = keysOf('{sealpost}');
let server: TestRedis;
before(async () => {
  server = await startTestRedis();
});
after(() => server.stop());

const opened: Redis[] = [];
after(() => Promise.all(opened.map((each) => disconnect(each))));

async function open(): Promise<Redis> {
  const target = { url: server.url, commandTimeout: 5000 };
  const redis = connect(target, 'producer', log);
  opened.push(redis);
  await ready(redis, target);
  return redis;
}

describe('the octets of a queue', () => {
  for (const [octets, next] of [
    [1023, 'accepted'],
    [1024, 'refused'],
  ] as const)
    it(`of 1024: after ${octets} the next is ${next}`, async () => {
      const queue = await openTestQueue(server, { limits: { queue: { inbound: { octets: '1KiB' } } } });
      await accept(queue, Buffer.alloc(octets));
      if (next === 'accepted') await accept(queue, 'x');
      else await assert.rejects(accept(queue, 'x'), { code: 'queue-full', message: /inbound\.octets/ });
      // Whatever the last one had: beyond the limit nothing more.
      await assert.rejects(accept(queue, 'y'), { code: 'queue-full' });
      await queue.redis.flushdb();
      await queue.close();
    });
});

describe('the memory of Redis', () => {
  const state = { used: 0, maxmemory: 1000, total: 4000 };
  const make = async () => {
    const redis = await open();
    const info = async () =>
      `# Memory\r\nused_memory:${state.used}\r\nused_memory_rss:1\r\ntotal_system_memory:${state.total}\r\nmaxmemory:${state.maxmemory}\r\n`;
    Object.assign(redis, { info });
    const pressure = new Pressure({
      ...{ redis, keys, log, folder: '/', redisMemory: 80, diskFree: 0 },
      store: () => null,
    });
    return { redis, pressure };
  };

  it('refuses at the mark, and takes again five points below it', async () => {
    const { pressure } = await make();
    for (const [used, what] of [
      [799, null],
      [800, 'memory'],
      [750, 'memory'],
      [749, null],
      [799, null],
    ] as const) {
      state.used = used;
      await pressure.look();
      assert.equal(pressure.what(), what, String(used));
      assert.equal(pressure.refusal()?.code, what === null ? undefined : 'queue-full');
    }
  });

  it('is that of the machine without maxmemory', async () => {
    const { pressure } = await make();
    Object.assign(state, { maxmemory: 0, used: 3199 });
    await pressure.look();
    assert.equal(pressure.what(), null);
    state.used = 3200;
    await pressure.look();
    assert.equal(pressure.what(), 'memory');
  });
});

describe('the disk', () => {
  const { statfs } = promises;
  const disk = { bavail: 0, bsize: 4096, blocks: 100_000 };
  before(() => {
    Object.assign(promises, { statfs: async () => disk });
    syncBuiltinESMExports();
  });
  after(() => {
    Object.assign(promises, { statfs });
    syncBuiltinESMExports();
  });

  it('refuses below the mark, and takes again a quarter above it; a small disk has a smaller mark', async () => {
    const redis = await open();
    const folder = await mkdtemp(join(tmpdir(), 'sealpost-disk-'));
    const make = (diskFree: number) =>
      new Pressure({ redis, keys, log, folder, redisMemory: 100, diskFree, store: () => null });
    const look = async (pressure: Pressure, bavail: number) => {
      disk.bavail = bavail;
      await pressure.look();
      return pressure.what();
    };
    const pressure = make(1000 * 4096);
    assert.equal(await look(pressure, 1000), null);
    assert.equal(await look(pressure, 999), 'disk');
    assert.equal(await look(pressure, 1249), 'disk');
    assert.equal(await look(pressure, 1250), null);
    assert.equal(await look(pressure, 1000), null);
    // 5 percent of the blocks at most.
    const large = make(50_000 * 4096);
    assert.equal(await look(large, 5000), null);
    assert.equal(await look(large, 4999), 'disk');
    await rm(folder, { recursive: true });
  });
});

describe('ids', () => {
  let queue: QueueRoom;
  before(async () => {
    queue = await openTestQueue(server, {
      mailboxes: [
        { name: 'a', addresses: ['a@own.example'], duplicatesBy: 'message-id' },
        { name: 'ab', addresses: ['ab@own.example'], duplicatesBy: 'message-id' },
      ].map((mailbox) => ({ ...mailbox, destinations: [{ type: 'directory', path: '/x' }] })),
    });
  });
  after(() => queue.close());

  it('tell names from each other that run together', async () => {
    const origin = { kind: 'command', detail: {} } as const;
    const envelope = { from: '', to: [] };
    const send = async (partner: string, idempotencyKey: string) => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from('out'));
      const idempotency = { key: idempotencyKey, fingerprint: 'aa' };
      const entry = { partner, idempotency, origin, envelope, messageId: null };
      return await commitOne(queue, writer, entry);
    };
    const one = await send('ab', 'c');
    assert.deepEqual([(await send('a', 'bc')).duplicate, (await send('abc', '')).duplicate], [false, false]);
    assert.deepEqual(await send('ab', 'c'), { id: one.id, duplicate: true });
  });

  it('tell a Message-ID from the octets, and from one of another mailbox', async () => {
    const origin = { kind: 'smtp', detail: {} } as const;
    const bring = async (mailbox: string, messageId: string | null, text: string) => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from(text));
      const entry = { mailbox, origin, envelope: { from: '', to: [] }, messageId };
      return (await queue.intake.commit(writer, [entry]))[0]?.duplicate;
    };
    assert.equal(await bring('a', 'x', 'one'), false);
    assert.equal(await bring('a', 'x', 'two'), true);
    assert.equal(await bring('a', 'xy', 'one'), false);
    assert.equal(await bring('ab', 'x', 'one'), false);
    assert.equal(await bring('a', null, 'one'), false);
    assert.equal(await bring('a', null, 'one'), true);
  });
});

describe('two destinations', () => {
  it('are both waited for, though one reports twice, in whatever order', async () => {
    const queue = await openTestQueue(server);
    for (const order of [
      ['one', 'one', 'two'],
      ['two', 'two', 'one'],
    ]) {
      const { id } = await accept(queue, order.join());
      const job = JSON.parse((await queue.redis.hget(`{sealpost}:inbound:${id}`, 'data')) ?? '');
      const content = queue.spool.create();
      await content.write(Buffer.from('decoded'));
      const destinations = ['one', 'two'];
      await queue.flow.decoded(job, {
        ...{ content, result: Buffer.from('{}'), destinations, partner: null, partnerBy: null, facts: {} },
      });
      const handoffs = new Map<string, HandoffJob>();
      for (const name of destinations) {
        const data = await queue.redis.hget(`{sealpost}:handoff:${id}.${name}`, 'data');
        handoffs.set(name, JSON.parse(data ?? ''));
      }
      const states: (string | undefined)[] = [];
      for (const name of order) {
        const handoff = handoffs.get(name);
        assert.ok(handoff);
        await queue.flow.handedOff(handoff, {});
        states.push((await queue.ledger.get(id))?.state);
      }
      assert.deepEqual(states, ['decoded', 'decoded', 'delivered']);
      const types = (await queue.ledger.get(id))?.events.map(({ type }) => type);
      assert.deepEqual(types, ['received', 'decoded', 'handed-off', 'handed-off', 'delivered']);
    }
    await queue.close();
  });

  it('a job of another life or decoding has nothing to do, whichever of its octets is not the record’s', async () => {
    const queue = await openTestQueue(server);
    const { id } = await accept(queue, 'fetched');
    const { octets } = JSON.parse((await queue.redis.hget(`{sealpost}:inbound:${id}`, 'data')) ?? '');
    const foreign = { ...octets, id: 'f'.repeat(32) };
    assert.equal((await queue.flow.fetch(id, [octets])).state, 'received');
    assert.equal((await queue.flow.fetch(id, [octets, foreign])).state, null);
    assert.equal((await queue.flow.fetch(id, [foreign, octets])).state, null);
    await queue.close();
  });
});

describe('writes that replicas must have', () => {
  const one = script("return redis.call('INCR', 'kept')");
  it('count the replicas of the reply, not the primary itself', () => {
    assert.equal(acknowledgedBy([1, 0]), 0);
    assert.equal(acknowledgedBy([0, 2]), 2);
    assert.equal(acknowledgedBy(1), 1);
    assert.ok(!(acknowledgedBy(undefined) >= 0));
  });

  for (const disk of [true, false])
    it(`are refused by a primary without any, ${disk ? 'on disk (WAITAOF)' : 'in memory (WAIT)'}`, async (t) => {
      const redis = await open();
      if (disk) {
        const missing = await ensureWaitAof(redis).catch((error: Error) => error.message);
        if (missing !== undefined) return t.skip(missing);
      }
      const parts = { redis, prefix: '{sealpost}', timeout: 50, disk };
      const run = (replicas: number) => new ReplicatedWrites({ ...parts, replicas }).run(one, [], 'test');
      // The server's own disk has it, which is the first number of the reply: that does not count.
      await assert.rejects(run(1), { code: 'redis-unreachable', message: /0 replicas .* of 1/ });
      assert.ok(Number(await run(0)) > 0);
      await redis.set('{sealpost}:there', '1');
      const kept = (replicas: number, key = '{sealpost}:there') =>
        ensureReplicated(redis, key, { replicas, timeout: 50, disk });
      await assert.rejects(kept(1), { code: 'redis-unreachable', message: /0 replicas .* of 1/ });
      await kept(0);
      await assert.rejects(kept(0, '{sealpost}:gone'), { code: 'redis-unreachable', message: /lost/ });
    });
});
