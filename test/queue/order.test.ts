/** Mail of a partner in strict order, and by priority: with several processes, failures, and kills. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { DeliveryOptions, OutboundJob, Outcome, QueueRoom, QueueWorker } from '../../src/queue/index.ts';
import { until } from '../support/messages.ts';
import { commitOne, openTestQueue, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';

const partner = (name: string, order: string) => ({
  ...{ name, addresses: [`@${name}.example`], encrypt: false, sign: 'none', order },
});
const settings = (order: string) => ({
  retry: { attempts: 3, firstDelay: '100ms', maxDelay: '100ms' },
  partners: [partner('stop', order), partner('skip', 'skip'), partner('any', 'any')],
});
let queue: QueueRoom;
let server: TestRedis;
useTestQueue((opened) => {
  ({ queue, server } = opened);
}, settings('stop'));

let workers: QueueWorker[] = [];
let order: string[] = [];
/** Outcomes of messages that are not sent at once, until they are deleted here. */
const answers = new Map<string, Outcome>();
beforeEach(async () => {
  await queue.redis.flushdb();
  order = [];
  answers.clear();
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close(500)));
  workers = [];
});

async function submit(
  to: string,
  delivery: DeliveryOptions = {},
  room = queue,
  client?: string,
): Promise<string> {
  const writer = room.intake.begin();
  void writer.write(Buffer.from('Subject: order\r\n\r\n4711\r\n'));
  const envelope = { from: 'us@own.example', to: [`edi@${to}.example`] };
  const origin = { kind: 'command', detail: {} } as const;
  const message = { partner: to, origin, envelope, messageId: null, delivery, ...(client && { client }) };
  return (await commitOne(room, writer, message)).id;
}

/** One after the other, so that their order is known. */
async function submitSome(to: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let at = 0; at < count; at++) ids.push(await submit(to));
  return ids;
}

async function work(room = queue): Promise<void> {
  const send = async (job: OutboundJob): Promise<Outcome> => {
    order.push(job.id);
    const answer = answers.get(job.id);
    if (answer) return answer;
    await sleep(Math.random() * 10);
    await room.flow.sent(job, {});
    return { done: true };
  };
  workers.push(await room.queues.createWorker('outbound', send, { concurrency: 8 }));
}

const stateOf = async (id: string) => (await queue.ledger.get(id))?.state;
const all = (ids: string[], state: string) => async () =>
  (await Promise.all(ids.map(stateOf))).every((each) => each === state);

const nothingLeft = async () => {
  for (const key of ['line:*', 'lines', 'ends', 'outbound:o*'])
    assert.deepEqual(await queue.redis.keys(`{sealpost}:${key}`), [], key);
};

describe('mail in strict order', () => {
  it('leaves one after the other, with two workers, and leaves other partners alone', async () => {
    const ids = await submitSome('stop', 30);
    assert.deepEqual(await queue.ledger.due(ids.slice(0, 2)), [0, 0]);
    assert.equal((await queue.queues.depth()).outbound.waiting, 30);
    const others = await submitSome('any', 5);
    await work();
    await work();
    await until(all([...ids, ...others], 'sent'));
    assert.deepEqual(
      order.filter((id) => ids.includes(id)),
      ids,
    );
    await nothingLeft();
  });

  it('waits for a retry of its first, and other partners do not', async () => {
    const ids = await submitSome('stop', 3);
    const [first = ''] = ids;
    answers.set(first, { retry: 'send-failed', facts: {}, peer: 'works' });
    const others = await submitSome('any', 3);
    await work();
    await until(all(others, 'sent'));
    await until(async () => order.filter((id) => id === first).length >= 2);
    assert.deepEqual([...new Set(order.filter((id) => ids.includes(id)))], [first]);
    answers.delete(first);
    await until(all(ids, 'sent'));
    assert.deepEqual([...new Set(order.filter((id) => ids.includes(id)))], ids);
  });

  for (const act of ['resume', 'terminate'] as const)
    it(`stops at a message that is suspended, until it is ${act}d`, async () => {
      const ids = await submitSome('stop', 4);
      const [first = '', bad = '', ...behind] = ids;
      answers.set(bad, { suspend: 'send-refused', facts: {} });
      await work();
      await until(all([bad], 'suspended'));
      // What comes meanwhile waits behind it, and the periodic look changes nothing.
      behind.push(await submit('stop'));
      await queue.flow.tendLines();
      await sleep(200);
      assert.ok(await all(behind, 'queued')());
      assert.deepEqual(order, [first, bad]);
      answers.delete(bad);
      if (act === 'resume') await queue.flow.resume(bad);
      else await queue.flow.terminate(bad, 'enough');
      await until(all(behind, 'sent'));
      assert.deepEqual(order, [first, bad, ...(act === 'resume' ? [bad] : []), ...behind]);
      await nothingLeft();
    });

  it('is the order of each client: one that blocks its own line leaves the others as they were', async () => {
    const by = (client: string) => submit('stop', {}, queue, client);
    const bad = await by('careless');
    answers.set(bad, { suspend: 'send-refused', facts: {} });
    const stuck = [await by('careless'), await by('careless')];
    const ids = [await by('erp'), await by('erp'), await by('erp')];
    await work();
    await until(all(ids, 'sent'));
    assert.deepEqual(
      order.filter((id) => ids.includes(id)),
      ids,
    );
    await queue.flow.tendLines();
    assert.ok(await all(stuck, 'queued')());
    assert.equal(
      stuck.some((id) => order.includes(id)),
      false,
    );
    await queue.flow.terminate(bad, 'enough');
    await until(all(stuck, 'sent'));
    await nothingLeft();
  });

  it('lets one expire that stands behind a message that is suspended, and no other', async () => {
    const bad = await submit('stop');
    answers.set(bad, { suspend: 'send-refused', facts: {} });
    const late = await submit('stop', { notAfter: Date.now() + 1000 });
    const behind = await submit('stop', { notAfter: Date.now() + 86_400_000 });
    await work();
    await until(all([bad], 'suspended'));
    await until(async () => {
      await queue.flow.bringExpired();
      return (await stateOf(late)) === 'suspended';
    });
    const { reason, events = [] } = (await queue.ledger.get(late)) ?? {};
    assert.deepEqual([reason, events.map(({ type }) => type)], ['expired', ['queued', 'suspended']]);
    await queue.flow.tendLines();
    assert.deepEqual([await stateOf(bad), await stateOf(behind)], ['suspended', 'queued']);
    assert.deepEqual(order, [bad]);
    await queue.flow.terminate(bad, 'enough');
    await until(all([behind], 'sent'));
    // Resumed, it expires again.
    await queue.flow.resume(late);
    await until(all([late], 'suspended'));
    assert.deepEqual(order, [bad, behind]);
    await queue.flow.terminate(late, 'enough');
    await nothingLeft();
  });

  it('leaves a message that is suspended behind, if it is to skip', async () => {
    const ids = await submitSome('skip', 3);
    const [bad = '', ...behind] = ids;
    answers.set(bad, { suspend: 'send-refused', facts: {} });
    await work();
    await until(all(behind, 'sent'));
    assert.deepEqual(order, ids);
    answers.delete(bad);
    await queue.flow.resume(bad);
    await until(all([bad], 'sent'));
    await nothingLeft();
  });

  it('does not stop at one that has expired, nor for a partner that is gone, nor at one terminated in line', async () => {
    const expired = await submitSome('stop', 3);
    answers.set(expired[0] ?? '', { suspend: 'expired', facts: {} });
    await queue.flow.terminate(expired[1] ?? '', 'enough');
    const gone = await submitSome('skip', 2);
    // Its settings are gone: each is suspended, and none waits for the other.
    await queue.redis.zadd('{sealpost}:line:nobody', '1', 'onothing');
    await queue.redis.sadd('{sealpost}:lines', 'nobody');
    for (const id of gone) answers.set(id, { suspend: 'partner-unknown', facts: {} });
    await work();
    await until(all(expired.slice(2), 'sent'));
    await until(all(gone, 'suspended'));
    await queue.flow.tendLines();
    await nothingLeft();
  });

  it('goes on when the setting has changed: a line drains in order, and who comes later waits behind it', async () => {
    const ids = await submitSome('stop', 3);
    const [bad = '', ...behind] = ids;
    answers.set(bad, { suspend: 'send-refused', facts: {} });
    await work();
    await until(all([bad], 'suspended'));
    const changed = await openTestQueue(server, settings('any'));
    behind.push(await submit('stop', {}, changed));
    assert.ok(await all(behind, 'queued')());
    await changed.flow.tendLines();
    await until(all(behind, 'sent'));
    assert.deepEqual(order, [bad, ...behind]);
    await changed.close();
    await nothingLeft();
  });

  it('is kept when processes are killed', async () => {
    const ids = await submitSome('stop', 25);
    const file = fileURLToPath(new URL('worker-process.ts', import.meta.url));
    const start = (): ChildProcess => fork(file, [server.url, server.dataDir, 'order'], { stdio: 'inherit' });
    const running = [start(), start()];
    for (let kill = 0; kill < 3; kill++) {
      const victim = running.shift();
      assert.ok(victim);
      const before = await queue.redis.llen('test:order');
      await until(async () => (await queue.redis.llen('test:order')) > before + 2);
      victim.kill('SIGKILL');
      await once(victim, 'exit');
      running.push(start());
    }
    await until(all(ids, 'sent'));
    for (const process of running) {
      process.kill('SIGKILL');
      await once(process, 'exit');
    }
    const tried = await queue.redis.lrange('test:order', 0, -1);
    // One that was in the hands of a killed process is tried again, and nothing before it is done.
    assert.deepEqual(
      tried.filter((id, at) => id !== tried[at - 1]),
      ids,
    );
  });
});

describe('priority', () => {
  it('of a message that is resumed is its own: it passes nobody who waits', async () => {
    const [nine, five] = [await submit('any', { priority: 9 }), await submit('any')];
    for (const id of [nine, five]) answers.set(id, { suspend: 'send-refused', facts: {} });
    await work();
    await until(all([nine, five], 'suspended'));
    await queue.routes.pause('partner', 'any', { by: 'test', at: Date.now(), why: '' });
    const parked = () => queue.redis.zrange('{sealpost}:parked:outbound:any', '0', '-1');
    const ids: string[] = [];
    await until(async () => {
      ids.push(await submit('any'));
      await sleep(50);
      const held = await parked();
      const sent = await Promise.all(ids.map(async (id) => (await stateOf(id)) === 'sent'));
      return held.length > 0 && ids.every((id, at) => sent[at] || held.includes(id));
    });
    const before = await parked();
    await queue.flow.resume(nine);
    await queue.flow.resume(five);
    const last = await submit('any');
    assert.deepEqual(await parked(), [...before, `${five}.outbound.1`, last, `${nine}.outbound.1`]);
    for (const id of [nine, five]) answers.delete(id);
    await queue.routes.resume('partner', 'any');
    await until(all([...before, nine, five, last], 'sent'));
  });

  it('orders the mail of a partner that waits for a place, then arrival does', async () => {
    await queue.routes.pause('partner', 'any', { by: 'a person', at: 1, why: 'a test' });
    await queue.routes.follow();
    await until(async () => queue.routes.isPaused('partner', 'any'));
    await work();
    const [five, ten, one] = [
      await submit('any'),
      await submit('any', { priority: 10 }),
      await submit('any', { priority: 1 }),
    ];
    const [two, alsoFive] = [await submit('any', { priority: 2 }), await submit('any', { priority: 5 })];
    await until(async () => (await queue.redis.zcard('{sealpost}:parked:outbound:any')) >= 5);
    const parked = await queue.redis.zrange('{sealpost}:parked:outbound:any', '0', '-1');
    assert.deepEqual(parked, [one, two, five, alsoFive, ten]);
  });
});
