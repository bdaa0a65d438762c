/** A route that is back is tried at once for all that waits: nothing waits an hour for a server that answers again. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Breaker } from '../../src/queue/breaker.ts';
import { Gate } from '../../src/queue/gate.ts';
import type { OutboundJob, Outcome, QueueRoom, QueueWorker } from '../../src/queue/index.ts';
import { until } from '../support/messages.ts';
import { commitOne, openTestQueue, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';

const settings = { retry: { attempts: 20, firstDelay: '1h', maxDelay: '1h' } };
let queue: QueueRoom;
let server: TestRedis;
useTestQueue((opened) => {
  ({ queue, server } = opened);
}, settings);

async function submit(partner: string): Promise<string> {
  const writer = queue.intake.begin();
  void writer.write(Buffer.from('Subject: order\r\n\r\n4711\r\n'));
  const envelope = { from: 'us@own.example', to: [`edi@${partner}.example`] };
  const origin = { kind: 'command', detail: {} } as const;
  const { id } = await commitOne(queue, writer, { partner, origin, envelope, messageId: null });
  return id;
}

const submitSome = async (partner: string, count: number) =>
  await Promise.all(Array.from({ length: count }, () => submit(partner)));

/** Partners whose server does not answer. */
const down = new Set<string>();
/** Attempts by message. */
const attempts = new Map<string, number>();
const reply = '421 closing';

async function send(job: OutboundJob): Promise<Outcome> {
  attempts.set(job.id, (attempts.get(job.id) ?? 0) + 1);
  if (down.has(job.partner)) return { retry: 'send-failed', facts: { reply }, peer: 'down' };
  await queue.flow.sent(job, {});
  return { done: true };
}

const workers: QueueWorker[] = [];
const work = async (room = queue) => {
  const worker = await room.queues.createWorker('outbound', send, { concurrency: 4 });
  workers.push(worker);
  return worker;
};
after(() => Promise.all(workers.map((worker) => worker.close(100))));

const stateOf = async (id: string) => (await queue.ledger.get(id))?.state;
const allSent = (ids: string[]) => async () =>
  (await Promise.all(ids.map(stateOf))).every((state) => state === 'sent');
const delayed = async () => (await queue.queues.depth()).outbound.delayed;

describe('messages for a server that was down', () => {
  it('all leave with the first success, also those whose next attempt is an hour away', async () => {
    down.add('acme');
    const [first = '', ...rest] = await submitSome('acme', 5);
    const others = await submitSome('globex', 5);
    const worker = await work();
    await until(allSent(others));
    // One attempt and one probe: each waits an hour.
    await until(async () => (await delayed()) >= 2);
    down.delete('acme');
    await until(allSent([first, ...rest]));
    assert.ok([first, ...rest].filter((id) => attempts.get(id) === 2).length >= 2);
    await worker.close(1000);
    assert.deepEqual(await queue.redis.keys('{sealpost}:late:*'), []);
  });

  it('are probed by one of them after a while where nothing else is tried, and no attempt counts', async () => {
    await queue.redis.flushdb();
    attempts.clear();
    down.add('acme');
    const ids = await submitSome('acme', 2);
    const worker = await work();
    const count = () => ids.reduce((sum, id) => sum + (attempts.get(id) ?? 0), 0);
    await until(async () => count() === 2 && (await delayed()) === 2);
    // The five minutes after a failure, and the pause of the gate.
    const pass = async () => {
      await queue.redis.del('{sealpost}:probed:outbound:acme');
      await queue.redis.hset('{sealpost}:nudged:outbound', 'acme', `test ${count()}`);
    };
    for (const tries of [3, 4]) {
      await pass();
      await until(async () => count() === tries && (await delayed()) === 2);
      for (const due of await queue.ledger.due(ids))
        assert.ok(due && due - Date.now() > 60_000, 'the next attempt is where it was');
    }
    for (const id of ids) {
      const events = (await queue.ledger.get(id))?.events;
      assert.deepEqual(
        events?.map(({ type }) => type),
        ['queued', 'retried'],
      );
    }
    down.delete('acme');
    await pass();
    await until(allSent(ids));
    assert.equal(count(), 6);
    await worker.close(1000);
  });

  it('are not brought forward again and again by a server that fails every other time', async () => {
    await queue.redis.flushdb();
    down.add('acme');
    const victim = await submit('acme');
    const worker = await work();
    await until(async () => (await delayed()) === 1);
    down.delete('acme');
    attempts.clear();
    // The first success brings the victim back, which fails again.
    for (const fails of [true, true, true]) {
      const good = await submit('acme');
      await until(allSent([good]));
      if (fails) down.add('acme');
      await queue.redis.del('{sealpost}:nudged:outbound');
      const again = await submit('acme');
      await until(async () => (await queue.ledger.get(again))?.events.some(({ type }) => type === 'retried'));
      down.delete('acme');
    }
    assert.ok((attempts.get(victim) ?? 0) <= 1, `${attempts.get(victim)} attempts`);
    await worker.close(1000);
  });
});

describe('retry now', () => {
  it('makes a message due, tells every process to try the route, and is in ledger and audit trail', async () => {
    await queue.redis.flushdb();
    down.add('acme');
    const [first = '', second = ''] = await submitSome('acme', 2);
    // The room of another process: its own gate knows nothing of what the first one sees.
    const other = await openTestQueue(server, settings);
    const worker = await work();
    await until(async () => (await delayed()) === 2);
    const [due] = await queue.ledger.due([first]);
    assert.ok(due && due - Date.now() > 300_000, 'the next attempt is minutes away');
    await worker.close(1000);
    down.delete('acme');
    attempts.clear();
    const again = await work(other);
    assert.equal(await queue.flow.retry(first, { by: 'ann', why: 'the server is back' }), true);
    // Its success brings the other one.
    await until(allSent([first, second]));
    assert.deepEqual([attempts.get(first), attempts.get(second)], [1, 1]);
    const record = await queue.ledger.get(first);
    assert.deepEqual(
      record?.events.map(({ type }) => type),
      ['queued', 'retried', 'retry-now', 'sent'],
    );
    const [entry] = await queue.audit.list({ id: first });
    assert.deepEqual([entry?.what, entry?.by, entry?.why], ['retry', 'ann', 'the server is back']);
    await again.close(1000);
    await other.close();
  });

  it('puts a message first among those that wait for a place', async () => {
    await queue.redis.flushdb();
    const ids = await submitSome('acme', 3);
    down.add('acme');
    const worker = await work();
    await until(async () => (await queue.redis.zcard('{sealpost}:parked:outbound')) === 2);
    await worker.close(1000);
    const parked = await queue.redis.zrange('{sealpost}:parked:outbound', '0', '-1');
    const [, last = ''] = parked;
    assert.deepEqual(await queue.ledger.due([last]), [0]);
    assert.equal(await queue.flow.retry(last), true);
    assert.deepEqual(await queue.redis.zrange('{sealpost}:parked:outbound:acme', '0', '0'), [last]);
    assert.equal(ids.length, 3);
    down.delete('acme');
  });

  it('is refused for what does not wait', async () => {
    await assert.rejects(queue.flow.retry('o123'), { code: 'message-unknown' });
    await queue.redis.flushdb();
    const id = await submit('globex');
    assert.deepEqual(await queue.ledger.due([id, 'o123']), [0, null]);
    const worker = await work();
    await until(allSent([id]));
    assert.equal(await queue.flow.retry(id), false);
    assert.deepEqual(await queue.ledger.due([id]), [null]);
    await worker.close(1000);
  });

  it('finds the jobs of a message that was resumed', async () => {
    await queue.redis.flushdb();
    const id = await submit('acme');
    const suspend = await queue.queues.createWorker('outbound', async () => ({ suspend: 'send-refused' }), {
      concurrency: 1,
    });
    await until(async () => (await stateOf(id)) === 'suspended');
    assert.equal(await queue.flow.retry(id), false);
    await suspend.close(1000);
    await queue.flow.resume(id);
    down.add('acme');
    const worker = await work();
    await until(async () => (await delayed()) === 1);
    down.delete('acme');
    assert.equal(await queue.flow.retry(id), true);
    await until(allSent([id]));
    await worker.close(1000);
  });
});

describe('a pause that is cut short', () => {
  it('lets one attempt through, as the probe', () => {
    let now = 0;
    const breaker = { failures: 1, firstPause: 1000, longestPause: 8000 };
    const alone = new Breaker(() => now, breaker);
    alone.hurry();
    assert.equal(alone.wait(), 0);
    const gate = new Gate({ total: 8, most: () => 4, local: false, breaker, now: () => now });
    return gate.turn('acme').then(async (entry) => {
      assert.ok(entry);
      gate.leave(entry, 'down');
      assert.equal(gate.vacant('acme'), 0);
      gate.hurry('globex');
      assert.equal(gate.vacant('acme'), 0);
      gate.hurry('acme');
      assert.equal(gate.vacant('acme'), 1);
      const probe = await gate.turn('acme');
      assert.ok(probe);
      gate.hurry('acme');
      assert.equal(gate.vacant('acme'), 0, 'one probe at a time');
      gate.leave(probe, 'down');
      now += 1999;
      assert.equal(gate.vacant('acme'), 0, 'a probe that fails doubles the pause');
      now += 1;
      assert.equal(gate.vacant('acme'), 1);
    });
  });
});
