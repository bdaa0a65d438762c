import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { QueueRoom } from '../../src/queue/index.ts';
import { startPrivateServer } from '../../src/redis/private-server.ts';
import { accept } from '../support/messages.ts';
import { commitOne, openTestQueue, useTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const origin = { kind: 'smtp', detail: {} } as const;
const envelope = { from: '', to: ['edi@example.net'] };

async function types(queue: QueueRoom, id: string): Promise<string[]> {
  return (await queue.ledger.get(id))?.events.map(({ type }) => type) ?? [];
}

describe('intake', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  useTestQueue(
    (opened) => {
      ({ server, queue } = opened);
    },
    { spool: { inlineLimit: '1KiB' } },
  );

  it('stores octets, job and record', async () => {
    const first = await accept(queue, 'octets');
    const record = await queue.ledger.get(first.id);
    assert.equal(record?.state, 'received');
    assert.equal(record?.mailbox, 'edi');
    assert.equal(record?.messageId, '<1@example.com>');
    const [data] = await queue.redis.hmget(`{sealpost}:inbound:${first.id}`, 'data');
    const read = await queue.spool.read(JSON.parse(data ?? '').octets);
    assert.equal(read.toString(), 'octets');

    const again = await accept(queue, 'octets');
    assert.deepEqual(again, { id: first.id, duplicate: true });
    assert.deepEqual(await types(queue, first.id), ['received', 'duplicate']);
  });

  it('gives ids that BullMQ takes: no colon, not a number', async () => {
    const { id } = await accept(queue, 'an id');
    assert.match(id, /^[a-z][0-9a-f]{31}$/);
  });

  it('knows a message as its own in each mailbox, small or large', async () => {
    for (const size of [10, 5000]) {
      const body = randomBytes(size);
      const commit = async (mailboxes: string[]) => {
        const writer = queue.intake.begin();
        await writer.write(body);
        const entries = mailboxes.map((mailbox) => ({ mailbox, origin, envelope, messageId: null }));
        return await queue.intake.commit(writer, entries);
      };
      const [a, b] = await commit(['a', 'b']);
      assert.deepEqual([a?.duplicate, b?.duplicate], [false, false]);
      assert.notEqual(a?.id, b?.id);
      const repeated = await commit(['a', 'c']);
      assert.deepEqual(
        repeated.map(({ duplicate }) => duplicate),
        [true, false],
      );
      for (const { id } of [a, b, repeated[1]].filter((result) => result !== undefined)) {
        const [data] = await queue.redis.hmget(`{sealpost}:inbound:${id}`, 'data');
        assert.deepEqual(await queue.spool.read(JSON.parse(data ?? '').octets), body);
      }
    }
  });

  it('keeps no second file for a duplicate', async () => {
    const body = randomBytes(200_000);
    const count = async () =>
      (await readdir(join(server.dataDir, 'spool'), { recursive: true, withFileTypes: true })).filter(
        (entry) => entry.isFile(),
      ).length;
    await accept(queue, body);
    const before = await count();
    assert.equal((await accept(queue, body)).duplicate, true);
    assert.equal(await count(), before);
  });

  it('takes outbound messages, and knows an idempotency key', async () => {
    const send = async (idempotencyKey?: string, { print = 'aa', client = 'erp' } = {}) => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from('out'));
      const entry = { partner: 'acme', client, origin, envelope, messageId: null };
      return await commitOne(
        queue,
        writer,
        idempotencyKey === undefined
          ? entry
          : { ...entry, idempotency: { key: idempotencyKey, fingerprint: print } },
      );
    };
    const [one, two] = [await send(), await send()];
    assert.notEqual(one.id, two.id);
    const keyed = await send('key');
    assert.deepEqual(await send('key'), { id: keyed.id, duplicate: true });
    assert.equal((await queue.ledger.get(keyed.id))?.partner, 'acme');
    // The key of another client is another key.
    const other = await send('key', { client: 'shop' });
    assert.ok(!other.duplicate && other.id !== keyed.id);
    assert.equal((await queue.queues.depth()).outbound.waiting, 4);
    assert.equal((await queue.ledger.get(keyed.id))?.client, 'erp');
  });

  it('keeps in its indices what was accepted together with a message whose index is broken', async () => {
    const sender = 'together@example.net';
    const commit = async (messageId: string) => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from(messageId));
      const entry = { mailbox: 'together', origin, envelope: { ...envelope, from: sender }, messageId };
      const [result] = await queue.intake.commit(writer, [entry]);
      return result?.id;
    };
    const broken = createHash('sha1').update('<broken>').digest('hex').slice(0, 4);
    await queue.redis.set(`{sealpost}:ix:i:${broken}`, 'no sorted set');
    const before = await queue.ledger.count();
    const octets = Number(await queue.redis.hget('{sealpost}:load', 'received'));
    const all = await Promise.allSettled(['<one>', '<two>', '<broken>'].map(commit));
    await queue.redis.del(`{sealpost}:ix:i:${broken}`);
    const ids = all.slice(0, 2).map((each) => (each.status === 'fulfilled' ? each.value : undefined));
    for (const id of ids) {
      assert.ok(id);
      for (const index of ['all', 's:received', 'b:together'])
        assert.ok(await queue.redis.zscore(`{sealpost}:ix:${index}`, id), index);
      assert.ok(await queue.redis.exists(`{sealpost}:inbound:${id}`));
    }
    const digest = createHash('sha1').update(sender).digest('hex');
    for (const id of ids) {
      const member = `${digest.slice(4, 12)}${id}`;
      assert.ok(await queue.redis.zscore(`{sealpost}:ix:a:${digest.slice(0, 4)}`, member), 'address');
    }
    const after = await queue.ledger.count();
    assert.ok(after.received - before.received >= 2);
    assert.ok(Number(await queue.redis.hget('{sealpost}:load', 'received')) - octets >= 10);
  });

  it('takes a message again when it is no longer known as a duplicate', async () => {
    const short = await openTestQueue(server, { retention: { duplicates: '0s' } });
    const { id } = await accept(short, 'comes back');
    assert.equal((await accept(short, 'comes back')).duplicate, true, 'still being worked on');
    assert.equal(await short.flow.terminate(id, 'test'), true);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await short.redis.del(`{sealpost}:inbound:${id}`);
    assert.deepEqual(await accept(short, 'comes back'), { id, duplicate: false });
    assert.equal((await short.ledger.get(id))?.state, 'received');
    await short.close();
  });
});

describe('intake and a crash', () => {
  it('leaves all or nothing at every octet of the append-only file, and a repetition makes it one', async () => {
    const server = await startTestRedis();
    const queue = await openTestQueue(server);
    await accept(queue, 'before');
    const folder = join(server.dataDir, 'redis');
    const aof = join(folder, 'appendonlydir', 'appendonly.aof.1.incr.aof');
    const start = (await readFile(aof)).length;
    const { id } = await accept(queue, 'in question');
    const end = (await readFile(aof)).length;
    await queue.close();
    await server.kill();
    assert.ok(end > start);

    let kept = 0;
    // The ends of a few commands, and places in the middle of them.
    const cuts = [
      start,
      start + 1,
      ...Array.from({ length: 10 }, (_, at) => start + Math.floor(((end - start) * (at + 0.5)) / 10)),
      end - 1,
      end,
    ];
    for (const cut of cuts) {
      const dataDir = await mkdtemp(join(tmpdir(), 'sealpost-cut-'));
      await cp(server.dataDir, dataDir, { recursive: true, filter: (source) => !source.endsWith('.sock') });
      await truncate(join(dataDir, 'redis', 'appendonlydir', 'appendonly.aof.1.incr.aof'), cut);
      const crashed = await startPrivateServer(dataDir);
      const room = await openTestQueue({ url: crashed.url, dataDir });
      const record = await room.ledger.get(id);
      const { waiting } = (await room.queues.depth()).inbound;
      assert.equal(waiting, record ? 2 : 1, `job and record differ when cut at ${cut - start}`);
      if (record) kept += 1;
      assert.deepEqual(await accept(room, 'in question'), { id, duplicate: record !== null });
      assert.equal((await room.queues.depth()).inbound.waiting, 2);
      const [data] = await room.redis.hmget(`{sealpost}:inbound:${id}`, 'data');
      assert.equal((await room.spool.read(JSON.parse(data ?? '').octets)).toString(), 'in question');
      await room.close();
      await crashed.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
    assert.equal(kept, 1, 'only the whole file holds the message');
    await server.stop();
  });

  it('leaves a file that nobody knows when it dies before the script, and the file is swept', async () => {
    const server = await startTestRedis();
    const queue = await openTestQueue(server, { spool: { inlineLimit: '1KiB', sweepAfter: '0s' } });
    const needed = await accept(queue, randomBytes(5000));
    const lost = queue.intake.begin();
    await lost.write(randomBytes(5000));
    await lost.finish();
    const draft = queue.intake.begin();
    await draft.write(randomBytes(100_000));
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(await queue.sweep(), { records: 0, files: 2 });
    const [data] = await queue.redis.hmget(`{sealpost}:inbound:${needed.id}`, 'data');
    assert.equal((await queue.spool.read(JSON.parse(data ?? '').octets)).length, 5000);
    await draft.abort();
    await queue.close();
    await server.stop();
  });
});

describe('intake when redis cannot take it', () => {
  it('answers redis-unreachable in time when the server is silent, and knows the repetition', async () => {
    const server = await startTestRedis();
    const queue = await openTestQueue(server, { redis: { commandTimeout: '2s' } });
    process.kill(server.pid, 'SIGSTOP');
    await assert.rejects(accept(queue, 'secret-octets'), (error: Error & { code: string }) => {
      assert.equal(error.code, 'redis-unreachable');
      assert.doesNotMatch(JSON.stringify({ ...error, text: String(error) }), /secret-octets|evalsha/);
      assert.equal(error.cause, undefined);
      return true;
    });
    process.kill(server.pid, 'SIGCONT');
    await queue.close();
    // What the silent server had in its socket is done when it wakes up.
    const room = await openTestQueue(server);
    await accept(room, 'secret-octets');
    assert.equal((await room.queues.depth()).inbound.waiting, 1);
    await room.close();
    await server.stop();
  });

  it('answers redis-unreachable at once when the server is down, and continues when it is back', async () => {
    const server = await startTestRedis();
    const queue = await openTestQueue(server);
    await server.kill();
    await assert.rejects(accept(queue, 'x'), { code: 'redis-unreachable' });
    await server.start();
    while (queue.redis.status !== 'ready') await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await accept(queue, 'x')).duplicate, false);
    await queue.close();
    await server.stop();
  });

  it('answers redis-full when memory is short, and continues when there is some', async (t) => {
    const server = await startTestRedis({ maxmemory: '4mb' });
    const queue = await openTestQueue(server);
    t.after(async () => {
      await queue.close();
      await server.stop();
    });
    const ids: string[] = [];
    await assert.rejects(
      async () => {
        for (let at = 0; at < 100; at++) ids.push((await accept(queue, randomBytes(100_000))).id);
      },
      { code: 'redis-full' },
    );
    assert.ok(ids.length > 5 && ids.length < 60);
    assert.equal((await queue.queues.depth()).inbound.waiting, ids.length);
    await queue.redis.config('SET', 'maxmemory', '100mb');
    assert.equal((await accept(queue, 'again')).duplicate, false);
  });
});
