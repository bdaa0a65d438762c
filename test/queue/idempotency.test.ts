import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { idempotencyKept, type OutboundEntry, type QueueRoom } from '../../src/queue/index.ts';
import { commitOne, openTestQueue, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';

const origin = { kind: 'api', detail: {} } as const;
const clock = { now: Date.parse('2026-11-30T10:00:00Z') };

describe('an idempotency key', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  useTestQueue(
    (opened) => {
      ({ server, queue } = opened);
    },
    { spool: { inlineLimit: '1KiB' }, retention: { ledger: '1d', duplicates: '1h' } },
    () => clock.now,
  );

  const entryOf = (key: string, fingerprint = 'one', more: Partial<OutboundEntry> = {}): OutboundEntry => ({
    partner: 'acme',
    client: 'erp',
    origin,
    envelope: { from: 'us@own.example', to: ['x@acme.example'] },
    messageId: null,
    idempotency: { key, fingerprint },
    ...more,
  });
  const write = async (text: string) => {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from(text));
    return writer;
  };
  const send = async (entry: OutboundEntry, text = 'out') => await commitOne(queue, await write(text), entry);
  /** Records that a message has left. */
  const sent = async (id: string) => {
    const data = (await queue.redis.hget(`{sealpost}:outbound:${id}`, 'data')) ?? '';
    await queue.flow.sent(JSON.parse(data), {});
    await queue.redis.lrem('{sealpost}:outbound:wait', 0, id);
    await queue.redis.del(`{sealpost}:outbound:${id}`);
  };
  const waiting = async () => (await queue.queues.depth()).outbound.waiting;

  it('gives one id and one mail for one request, and refuses another one', async () => {
    const before = await waiting();
    const { id, duplicate } = await send(entryOf('a'));
    assert.equal(duplicate, false);
    assert.deepEqual(await send(entryOf('a')), { id, duplicate: true });
    await assert.rejects(send(entryOf('a', 'two')), { code: 'idempotency-conflict' });
    assert.equal(await waiting(), before + 1);
    const types = (await queue.ledger.get(id))?.events.map(({ type }) => type);
    assert.deepEqual(types, ['queued', 'duplicate']);
  });

  it('is taken by one of two doors that race', async () => {
    const before = await waiting();
    const other = await openTestQueue(server, { spool: { inlineLimit: '1KiB' } }, () => clock.now);
    try {
      const doors = [queue, other, queue, other];
      const race = doors.map(async (door, at) => {
        const writer = door.intake.begin();
        await writer.write(Buffer.from(`out ${at}`));
        return await commitOne(door, writer, entryOf('race', at < 2 ? 'one' : 'two'));
      });
      const results = await Promise.allSettled(race);
      const done = results.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      assert.equal(done.length, 2);
      assert.deepEqual(done.map(({ duplicate }) => duplicate).sort(), [false, true]);
      assert.equal(new Set(done.map(({ id }) => id)).size, 1);
      assert.equal(await waiting(), before + 1);
    } finally {
      await other.close();
    }
  });

  it('refuses a mail to several partners as a whole, small or large, and keeps no octets', async () => {
    await send(entryOf('several', 'one', { partner: 'second' }));
    const objects = async () => (await queue.redis.keys('{sealpost}:o:*')).length;
    const before = [await waiting(), await objects()];
    for (const text of ['small', 'large'.repeat(500)]) {
      const entries = ['first', 'second'].map((partner) => entryOf('several', 'two', { partner }));
      await assert.rejects(queue.intake.commitOutbound(await write(text), entries), {
        code: 'idempotency-conflict',
      });
    }
    assert.deepEqual([await waiting(), await objects()], before);
    assert.deepEqual(await queue.redis.keys('{sealpost}:f:*'), []);
  });

  it('is known for seven days, however short records and duplicates are kept', async () => {
    const { id } = await send(entryOf('long'));
    await sent(id);
    clock.now += 2 * 86_400_000;
    await queue.sweep();
    assert.equal(await queue.ledger.get(id), null);
    assert.deepEqual(await send(entryOf('long')), { id, duplicate: true });
    await assert.rejects(send(entryOf('long', 'two')), { code: 'idempotency-conflict' });
    const left = await queue.redis.pttl(`{sealpost}:d:${id}`);
    assert.ok(left > 0 && left <= idempotencyKept - 2 * 86_400_000, String(left));
    await queue.redis.del(`{sealpost}:d:${id}`);
    assert.deepEqual(await send(entryOf('long', 'two')), { id, duplicate: false });
  });

  it('of what may only be a repetition makes nothing new, before, during and after the life of the first', async () => {
    const late = (key: string, fingerprint = 'one') => {
      const entry = entryOf(key, fingerprint);
      return { ...entry, idempotency: { key, fingerprint, onlyKnown: true as const } };
    };
    const objects = async () => (await queue.redis.keys('{sealpost}:o:*')).length;
    const before = [await waiting(), await objects()];
    await assert.rejects(send(late('late')), { code: 'request-invalid' });
    const { id } = await send(entryOf('late'));
    assert.deepEqual(await send(late('late')), { id, duplicate: true });
    await assert.rejects(send(late('late', 'two')), { code: 'idempotency-conflict' });
    await sent(id);
    clock.now += 2 * 86_400_000;
    await queue.sweep();
    assert.equal(await queue.ledger.get(id), null);
    assert.deepEqual(await send(late('late')), { id, duplicate: true });
    await queue.redis.del(`{sealpost}:d:${id}`);
    await assert.rejects(send(late('late')), { code: 'request-invalid' });
    assert.deepEqual([await waiting(), await objects()], before);
    const again = await send(entryOf('late'));
    assert.ok(await queue.flow.terminate(again.id, 'test', { by: 'test' }));
    await assert.rejects(send(late('late')), { code: 'request-invalid' }, 'what a person has ended stays so');
  });

  it('is free again when a person has ended the message: nothing is lost in silence', async () => {
    const { id } = await send(entryOf('ended'));
    assert.ok(await queue.flow.terminate(id, 'test', { by: 'test' }));
    assert.deepEqual(await send(entryOf('ended', 'two')), { id, duplicate: false });
    await assert.rejects(send(entryOf('ended', 'one')), { code: 'idempotency-conflict' });
    assert.ok(await queue.flow.terminate(id, 'test', { by: 'test' }));
    clock.now += 2 * 86_400_000;
    await queue.sweep();
    assert.deepEqual(await send(entryOf('ended', 'one')), { id, duplicate: false });
  });

  it('may be used again after seven days, while the record is still there', async () => {
    const { id } = await send(entryOf('old'));
    await sent(id);
    clock.now += idempotencyKept;
    await assert.rejects(send(entryOf('old', 'two')), { code: 'idempotency-conflict' });
    clock.now += 1;
    assert.deepEqual(await send(entryOf('old', 'two')), { id, duplicate: false });
  });

  it('keeps what the client said with the record', async () => {
    const metadata = { order: '4711', "it's": 'ünïcode' };
    const { id } = await send(entryOf('said', 'one', { metadata, delivery: { priority: 3 } }));
    const record = await queue.ledger.get(id);
    assert.deepEqual(
      [record?.client, record?.metadata, record?.delivery],
      ['erp', metadata, { priority: 3 }],
    );
  });
});
