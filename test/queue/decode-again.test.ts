import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { HandoffJob, InboundJob, QueueRoom } from '../../src/queue/index.ts';
import { accept, until } from '../support/messages.ts';
import { openTestQueue, useTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const act = { by: 'alice@desk', why: 'new key' };

describe('decoding again', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  useTestQueue(
    (opened) => {
      ({ server, queue } = opened);
    },
    { retention: { original: '1h' }, spool: { inlineLimit: '10KiB' } },
  );

  /**
   * Decodes and hands off what waits, with real workers, and returns the hand-off jobs; `fail` suspends a destination.
   */
  async function work(id: string, destinations: string[], fail: string[] = []): Promise<HandoffJob[]> {
    const seen: HandoffJob[] = [];
    const decrypt = await queue.queues.createWorker(
      'inbound',
      async (job: InboundJob) => {
        const content = queue.spool.create();
        await content.write(Buffer.from('content'));
        const outcome = {
          content,
          result: Buffer.from('{}'),
          destinations,
          partner: null,
          partnerBy: null,
          facts: {},
        };
        await queue.flow.decoded(job, outcome);
        return { done: true };
      },
      { concurrency: 1 },
    );
    const handoff = await queue.queues.createWorker(
      'handoff',
      async (job) => {
        seen.push(job);
        if (fail.includes(job.destination)) return { suspend: 'handoff-failed' };
        await queue.flow.handedOff(job, {});
        return { done: true };
      },
      { concurrency: 1 },
    );
    const end = fail.length > 0 ? 'suspended' : 'delivered';
    await until(
      async () => (await queue.ledger.get(id))?.state === end && seen.length === destinations.length,
    );
    await Promise.all([decrypt.close(1000), handoff.close(1000)]);
    return seen;
  }

  for (const [kind, size] of [
    ['small', 100],
    ['large', 50_000],
  ] as const) {
    it(`takes a ${kind} delivered message whose original is kept, and marks its hand-offs`, async () => {
      const octets = randomBytes(size);
      const { id } = await accept(queue, octets);
      const [first] = await work(id, ['a', 'b']);
      assert.equal(first?.again, undefined);
      for (const turn of [1, 2]) {
        await queue.flow.decodeAgain(id, act);
        assert.equal((await queue.ledger.get(id))?.state, 'received');
        const jobs = await work(id, ['a', 'b']);
        assert.deepEqual(
          jobs.map(({ again }) => again),
          [turn, turn],
        );
      }
      const ref = await queue.flow.originalOf(id);
      assert.ok(ref);
      assert.deepEqual(await queue.spool.read(ref), octets);
      const record = await queue.ledger.get(id);
      const events = record?.events.filter(({ type }) => type === 'decode-again') ?? [];
      assert.deepEqual(
        events.map(({ facts }) => facts),
        [act, act],
      );
      assert.equal((await queue.audit.list({ id })).length, 2);
    });
  }

  it('takes a suspended one to its beginning, unmarked when nothing was handed off', async () => {
    const { id } = await accept(queue, 'not decoded yet');
    const data = await queue.redis.hget(`{sealpost}:inbound:${id}`, 'data');
    await queue.redis.del(`{sealpost}:inbound:${id}`);
    await queue.redis.lrem('{sealpost}:inbound:wait', 0, id);
    await queue.flow.suspend('inbound', JSON.parse(data ?? ''), 'decrypt-no-key');
    await queue.flow.decodeAgain(id, act);
    const [job] = await work(id, ['a']);
    assert.equal(job?.again, undefined);
  });

  it('takes one that a destination refused, marked, with what was decoded let go', async () => {
    const { id } = await accept(queue, 'refused once');
    const [old] = await work(id, ['a', 'b'], ['b']);
    await queue.flow.decodeAgain(id, act);
    await assert.rejects(
      queue.spool.read(old?.content ?? { kind: 'inline', id: '', octets: 0, sha256: '' }),
      {
        code: 'spool-missing',
      },
    );
    const jobs = await work(id, ['a', 'b']);
    assert.deepEqual(new Set(jobs.map(({ again }) => again)), new Set([1]));
    assert.equal((await queue.ledger.load()).suspended ?? 0, 0);
  });

  it('refuses what is under way, unknown, ended, or has lost its original', async () => {
    const { id } = await accept(queue, 'waiting');
    await assert.rejects(queue.flow.decodeAgain(id, act), { code: 'usage' });
    await assert.rejects(queue.flow.decodeAgain('i0', act), { code: 'message-unknown' });
    const short = await openTestQueue(server);
    await queue.flow.terminate(id, 'test');
    await assert.rejects(queue.flow.decodeAgain(id, act), { code: 'usage' });
    assert.equal(await queue.flow.originalOf(id), null);
    await short.close();
  });
});

describe('audit trail', () => {
  it('says who did what to which message and why, newest first', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const queue = await openTestQueue(server);
    t.after(() => queue.close());
    const { id } = await accept(queue, 'one');
    const other = await accept(queue, 'two');
    await queue.flow.terminate(id, 'sent twice', { by: 'alice@desk' });
    assert.equal(await queue.flow.terminate(id, 'again', { by: 'alice@desk' }), false);
    await queue.flow.terminate(other.id, 'sent twice', { by: 'bob@desk' });
    const trail = await queue.audit.list({});
    assert.deepEqual(
      trail.map(({ by, what, id: about, why }) => [by, what, about, why]),
      [
        ['bob@desk', 'terminate', other.id, 'sent twice'],
        ['alice@desk', 'terminate', id, 'sent twice'],
      ],
    );
    assert.equal((await queue.audit.list({ by: 'bob@desk' })).length, 1);
    assert.equal((await queue.audit.list({ id })).length, 1);
    assert.equal((await queue.audit.list({ until: trail[1]?.at ?? 0 })).length, 0);
    assert.equal((await queue.audit.list({ limit: 1 })).length, 1);
    await queue.sweep();
    assert.equal((await queue.audit.list({})).length, 2, 'within its retention');
  });
});
