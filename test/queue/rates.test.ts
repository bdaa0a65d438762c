/** The rate of a route: kept by all processes together; what is too much waits in its place, and nobody else does. */
import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { Buckets } from '../../src/client/rates.ts';
import { createLog } from '../../src/log.ts';
import type { OutboundJob, Outcome, QueueRoom, QueueWorker } from '../../src/queue/index.ts';
import { keysOf } from '../../src/queue/keys.ts';
import { Parking } from '../../src/queue/parking.ts';
import { type SharedRate, sharedBucket } from '../../src/redis/index.ts';
import { heldByRate, type RouteRate } from '../../src/smtp/sender.ts';
import { until } from '../support/messages.ts';
import { commitOne, openTestQueue, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';

let queue: QueueRoom;
let server: TestRedis;
useTestQueue((opened) => {
  ({ queue, server } = opened);
});

/** One in a thousand seconds: nothing comes back while a test runs. */
const still = 0.001;
let names = 0;
function bucket(rate: SharedRate, name = `bucket ${names++}`): RouteRate {
  const found = sharedBucket(queue, name, rate);
  assert.ok(found);
  return found;
}
/** Milliseconds to wait, of which up to half a minute may be over. */
const close = (actual: number, expected: number) =>
  assert.ok(actual <= expected + 1000 && actual > expected - 30_000, `${actual} is not about ${expected}`);

describe('the bucket of a route', () => {
  it('gives what it holds at once, and says of one more when it may go', async () => {
    const rate = bucket({ messages: still, burst: 3_000_000 });
    assert.equal(rate.room(), Number.POSITIVE_INFINITY);
    for (let each = 0; each < 2; each++) assert.equal(await rate.take(10), 0);
    assert.equal(rate.rests(), 0);
    assert.equal(await rate.take(10), 0);
    // the third was the last one, which is known before another one is tried
    close(rate.rests(), 1_000_000);
    assert.equal(rate.room(), 0);
    close(await rate.take(10), 1_000_000);
  });

  it('holds one message at least', async () => {
    const rate = bucket({ messages: still, burst: 1 });
    assert.equal(await rate.take(1), 0);
    assert.ok((await rate.take(1)) > 0);
  });

  it('lets a message go that is larger than all it holds, and makes the next one wait for it', async () => {
    const rate = bucket({ octets: 1000, burst: 1000 });
    assert.equal(await rate.take(50_000), 0);
    close(await rate.take(1), 49_001);
  });

  it('counts messages and octets, whichever is used up first', async () => {
    const few = bucket({ messages: still, octets: 1_000_000, burst: 1000 });
    assert.equal(await few.take(1), 0);
    close(await few.take(1), 1_000_000);
    const large = bucket({ messages: 1000, octets: 1, burst: 1000 });
    assert.equal(await large.take(1000), 0);
    close(await large.take(1), 1_000_000);
  });

  it('takes nothing for one that has to wait', async () => {
    const rate = bucket({ messages: 1000, octets: 1, burst: 100_000 });
    assert.equal(await rate.take(100_000), 0);
    const first = await rate.take(50);
    for (let each = 0; each < 20; each++) await rate.take(1_000_000);
    close(await rate.take(50), first);
  });

  it('is one for all processes that share its name, and another for another route', async () => {
    const [one, other] = [
      bucket({ messages: still, burst: 1 }, 'shared'),
      bucket({ messages: still, burst: 1 }, 'shared'),
    ];
    assert.equal(await one.take(1), 0);
    assert.ok((await other.take(1)) > 0);
    assert.equal(await bucket({ messages: still, burst: 1 }, 'not shared').take(1), 0);
  });

  it('says what the bucket of the doors says', async () => {
    let now = 0;
    const local = new Buckets(() => now);
    // so slow that what comes back while this runs is no message
    const size = { holds: 20, perMinute: 0.06 };
    const shared = bucket({ messages: size.perMinute / 60, burst: 20_000_000 }, 'both');
    for (let each = 0; each < 30; each++) {
      const free = local.left('both', size) >= 1;
      assert.equal((await shared.take(1)) === 0, free, String(each));
      if (free) local.take('both', 1, size);
    }
    // 2500 seconds later
    now += 2_500_000;
    const at = Number(await queue.redis.hget('{sealpost}:rate:both', 'at'));
    await queue.redis.hset('{sealpost}:rate:both', 'at', at - 2_500_000);
    for (let each = 0; each < 4; each++) {
      const free = local.left('both', size) >= 1;
      assert.equal((await shared.take(1)) === 0, free, `later ${each}`);
      if (free) local.take('both', 1, size);
    }
  });

  it('is neither full nor stuck when the clock of Redis was set back', async () => {
    const rate = bucket({ messages: still, burst: 2_000_000 }, 'set back');
    assert.equal(await rate.take(1), 0);
    const at = Number(await queue.redis.hget('{sealpost}:rate:set back', 'at'));
    await queue.redis.hset('{sealpost}:rate:set back', 'at', at + 86_400_000);
    assert.equal(await rate.take(1), 0);
    close(await rate.take(1), 1_000_000);
  });

  it('is forgotten when it is full again', async () => {
    const rate = bucket({ messages: 0.01, burst: 100_000 }, 'forgotten');
    await rate.take(1);
    const left = await queue.redis.pttl('{sealpost}:rate:forgotten');
    assert.ok(left > 0 && left <= 101_000, String(left));
  });
});

const workers: QueueWorker[] = [];
const rooms: QueueRoom[] = [];
after(async () => {
  await Promise.all(workers.map((worker) => worker.close(100)));
  await Promise.all(rooms.map((room) => room.close()));
});

const sent: string[] = [];
/** Of one route in one process. */
const places = 4;
const starts = new Map<string, number>();

/** A worker as an outbound process has it, with rates by partner. */
async function work(rates: Record<string, SharedRate>, room = queue): Promise<QueueWorker> {
  const buckets = new Map(
    Object.entries(rates).map(([partner, rate]) => [
      partner,
      sharedBucket(room, `outbound:${partner}`, rate),
    ]),
  );
  const send = async (job: OutboundJob): Promise<Outcome> => {
    starts.set(job.partner, (starts.get(job.partner) ?? 0) + 1);
    const { envelope } = job;
    const held = await heldByRate(buckets.get(job.partner), {
      envelope,
      octets: async function* () {},
      weight: 1,
    });
    if (held !== undefined) return held;
    sent.push(job.messageId ?? '');
    await room.flow.sent(job, {});
    return { done: true };
  };
  const pace = (partner: string) => buckets.get(partner);
  const worker = await room.queues.createWorker('outbound', send, {
    concurrency: 8,
    most: () => places,
    pace,
  });
  workers.push(worker);
  return worker;
}

async function submit(partner: string, messageId: string, priority?: number): Promise<string> {
  const writer = queue.intake.begin();
  void writer.write(Buffer.from(`Subject: ${messageId}\r\n\r\n4711\r\n`));
  const envelope = { from: 'us@own.example', to: [`edi@${partner}.example`] };
  const origin = { kind: 'command', detail: {} } as const;
  const delivery = priority === undefined ? {} : { delivery: { priority } };
  const { id } = await commitOne(queue, writer, { partner, origin, envelope, messageId, ...delivery });
  return id;
}

const submitSome = async (partner: string, count: number) =>
  await Promise.all(Array.from({ length: count }, (_, each) => submit(partner, `${partner} ${each}`)));
const sentTo = (partner: string) => sent.filter((each) => each.startsWith(partner));
const closeAll = async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close(1000)));
  await queue.redis.flushdb();
  sent.length = 0;
  starts.clear();
};

describe('a route that rests', () => {
  it('is looked after when its rest is over, and not before', async () => {
    const calls: string[] = [];
    let rest = 100;
    const gate = {
      rests: () => rest,
      full: () => [],
      isHungry: () => true,
      vacant: () => 1,
      expect: () => void calls.push(rest > 0 ? 'early' : 'called back'),
      expectNothing: () => undefined,
    };
    const log = createLog('silent', 'test');
    const { redis } = queue;
    // Not started, so it does not look by itself.
    const parking = new Parking({
      now: Date.now,
      redis,
      keys: keysOf('{sealpost}'),
      queue: 'outbound',
      gate,
      log,
    });
    await parking.park('nothing', 'token', 'acme', new AbortController().signal);
    for (let each = 0; each < 3; each++) parking.refill('acme');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(calls, []);
    rest = 0;
    await until(async () => calls.length === 2);
    parking.stop();
    // once before the call, and once with its result
    assert.deepEqual(calls, ['called back', 'called back']);
  });
});

describe('messages over the rate of their route', () => {
  afterEach(closeAll);

  it('wait without being asked for, in two processes together, and nobody waits for them', async () => {
    const second = await openTestQueue(server);
    rooms.push(second);
    const rates = { acme: { messages: still, burst: 3_000_000 } };
    await submitSome('acme', 40);
    await Promise.all([work(rates), work(rates, second)]);
    await until(async () => sentTo('acme').length === 3);
    await submitSome('globex', 40);
    await until(async () => sentTo('globex').length === 40);
    assert.equal(sentTo('acme').length, 3);
    // One of them may be in hand for a moment: what a process took out to see whether the rate lets it go.
    await until(async () => (await queue.redis.zcard('{sealpost}:parked:outbound:acme')) === 37);
    // Each process may have begun as many as there are places when it learned that nothing is left.
    const begun = starts.get('acme') ?? 0;
    assert.ok(begun <= 3 + 2 * places, String(begun));
    await submitSome('initech', 40);
    await until(async () => sentTo('initech').length === 40);
    assert.equal(starts.get('acme'), begun);
  });

  it('leave by priority and in order as the rate lets them, each begun about once', async () => {
    await submit('acme', 'acme first');
    const slow = await work({ acme: { messages: still, burst: 1 } });
    await until(async () => sent.length === 1);
    for (let each = 0; each < 10; each++) await submit('acme', `acme late ${each}`, 9);
    for (let each = 0; each < 10; each++) await submit('acme', `acme soon ${each}`, 1);
    await until(async () => (await queue.redis.zcard('{sealpost}:parked:outbound:acme')) === 20);
    await slow.close(1000);
    // another rate counts at once
    await work({ acme: { messages: 40, burst: 1 } });
    await until(async () => sent.length === 21);
    const order = (what: string) => Array.from({ length: 10 }, (_, each) => `acme ${what} ${each}`);
    const wanted = [...order('soon'), ...order('late')];
    const left = sent.slice(1);
    assert.deepEqual([...left].sort(), [...wanted].sort());
    // As many are in hand at once as there are places, and whichever asks when the next one may go, goes.
    for (const [at, each] of left.entries())
      assert.ok(Math.abs(wanted.indexOf(each) - at) < places, `${each} left at ${at}: ${left.join(', ')}`);
    assert.ok((starts.get('acme') ?? 0) <= 21 + 10, String(starts.get('acme')));
  });

  it('count no attempt, and are not taken for those that kill their process', async () => {
    const id = await submit('acme', 'acme suspect');
    // it was there when two processes died
    await queue.redis.hset(`{sealpost}:outbound:${id}`, 'ats', 2);
    let held = 0;
    const attempts: number[] = [];
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job, { attempt }) => {
        attempts.push(attempt);
        held += 1;
        if (held <= 8) return { retry: 'rate-limited', untried: true, inLine: true };
        await queue.flow.sent(job, {});
        return { done: true };
      },
      { concurrency: 4 },
    );
    workers.push(worker);
    await until(async () => (await queue.ledger.get(id))?.state !== 'queued');
    const record = await queue.ledger.get(id);
    assert.equal(record?.state, 'sent');
    assert.deepEqual(attempts, Array(9).fill(1));
    assert.deepEqual(
      record?.events.map(({ type }) => type),
      ['queued', 'sent'],
    );
  });
});
