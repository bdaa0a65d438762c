/** A job ends in the script of its step, which takes the next one along with its octets. */
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AsyncFifoQueue } from 'bullmq';
import { PartnerNames } from '../../src/config/index.ts';
import { createLog } from '../../src/log.ts';
import { EndingWorker } from '../../src/queue/ending-worker.ts';
import { RedisFlow } from '../../src/queue/flow.ts';
import type {
  HandedOffOutcome,
  HandoffJob,
  InboundJob,
  JobContext,
  OutboundEntry,
  Outcome,
  QueueRoom,
} from '../../src/queue/index.ts';
import { type JobEnd, JobLost } from '../../src/queue/job-end.ts';
import { keysOf } from '../../src/queue/keys.ts';
import { BullWorkers } from '../../src/queue/workers.ts';
import { primaryWrites, ReplicatedWrites } from '../../src/redis/durable-writes.ts';
import { connect, disconnect } from '../../src/redis/index.ts';
import { SpoolFolder } from '../../src/spool/folder.ts';
import { TieredSpool } from '../../src/spool/spool.ts';
import { accept, until } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const prefix = '{sealpost}';
const done: Outcome = { done: true };

describe('the end of a job', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  beforeEach(async () => {
    server = await startTestRedis();
    queue = await openTestQueue(server, {
      spool: { inlineLimit: '64KiB' },
      retry: { attempts: 3, firstDelay: '100ms', maxDelay: '100ms' },
    });
  });
  afterEach(async () => {
    await queue.close();
    await server.stop();
  });

  const state = async (id: string) => (await queue.ledger.get(id))?.state;
  const events = async (id: string) => (await queue.ledger.get(id))?.events.map(({ type }) => type);
  const calls = async () =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await queue.redis.info('commandstats'))?.[1]);
  const foreign = (job: InboundJob): HandedOffOutcome => ({
    ...{ destination: 'theirs', facts: {}, decoded: {}, partner: 'acme', partnerBy: null },
    job: { prefix, queue: 'theirs', name: 'message', id: job.id, data: Buffer.from('{}'), options: {} },
  });
  const entry: OutboundEntry = {
    partner: 'acme',
    origin: { kind: 'command', detail: {} },
    envelope: { from: 'edi@example.net', to: ['partner@example.com'] },
    messageId: null,
  };
  const written = async (text: string) => {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from(text));
    return writer;
  };
  const send = async (text: string) => {
    const [result] = await queue.intake.commitOutbound(await written(text), [entry]);
    return result?.id ?? '';
  };
  const theirs = () => queue.redis.llen(`${prefix}:theirs:wait`);
  /** Everything in Redis but octets, which a refused step leaves to their life of an hour. */
  async function everything(): Promise<Record<string, string>> {
    const keys = (await queue.redis.keys('*'))
      .filter((key) => !/:o:|stalled-check$|:marker$|:lease:/.test(key))
      .sort();
    const values = keys.map(async (key) => [key, (await queue.redis.dumpBuffer(key))?.toString('hex') ?? '']);
    return Object.fromEntries(await Promise.all(values));
  }
  const end = (context: JobContext): JobEnd => {
    assert.ok(context.end);
    return context.end;
  };

  it('and the next one are one script a message also where a route has few places', async () => {
    const count = 400;
    const sent = new Set(await Promise.all(Array.from({ length: count }, (_, at) => send(`order ${at}`))));
    const order: string[] = [];
    await queue.redis.config('RESETSTAT');
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job, context) => {
        // As long as a server takes, so that jobs have to wait for their route.
        await sleep(2);
        const fetched = await queue.flow.fetch(job.id, [job.octets], context.end);
        order.push(fetched.octets[0]?.toString() ?? '');
        await queue.flow.sent(job, {}, context.end);
        return done;
      },
      { concurrency: 64, most: () => 4, local: true },
    );
    await until(async () => (await queue.ledger.count()).sent === count);
    await worker.close(1000);
    assert.equal(new Set(order).size, sent.size);
    const scripts = await calls();
    assert.ok(scripts < 2 * count, `${scripts} scripts`);
    assert.equal(await queue.redis.exists(`${prefix}:routes:outbound`, `${prefix}:parked:outbound`), 0);
  });

  it('leaves nothing in the list of BullMQ that leads to the jobs after it', async () => {
    const worker = await queue.queues.createWorker('inbound', async () => done, { concurrency: 1 });
    await worker.close(1000);
    const list = Object(Reflect.get(new AsyncFifoQueue<string>(), 'queue'));
    for (const each of ['first', 'second']) list.push(each);
    const entry = list.shift();
    assert.deepEqual([entry.value, entry.next], ['first', null]);
    assert.equal(list.shift().value, 'second');
    assert.equal(list.shift(), null);
  });

  it('takes along what waits for its own place', async () => {
    const { redis } = queue;
    const [first, second] = [await send('first'), await send('second')];
    await queue.intake.commitOutbound(await written('other'), [{ ...entry, partner: 'other' }]);
    const park = async (id: string) => {
      await redis.lrem(`${prefix}:outbound:wait`, 0, id);
      for (const key of ['parked:outbound', 'parked:outbound:acme'])
        await redis.zadd(`${prefix}:${key}`, 2, id);
      await redis.sadd(`${prefix}:routes:outbound`, 'acme');
    };
    await park(second);
    const along = new Map<string, string | undefined>();
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job, context) => {
        along.set(job.id, end(context).ahead()?.octets.has(job.octets.id) ? 'along' : 'alone');
        await queue.flow.sent(job, {}, context.end);
        return done;
      },
      { concurrency: 1, local: true },
    );
    await until(async () => along.size === 3);
    await worker.close(1000);
    assert.deepEqual([along.get(first), along.get(second)], ['alone', 'along']);
    assert.equal(await redis.exists(`${prefix}:routes:outbound`, `${prefix}:parked:outbound`), 0);
  });

  it('and the next one with its octets are one script a message', async () => {
    const count = 300;
    const octets = Array.from({ length: count }, () => randomBytes(100));
    await Promise.all(octets.map((each) => accept(queue, each)));
    let along = 0;
    const seen = new Set<string>();
    await queue.redis.config('RESETSTAT');
    const worker = await queue.queues.createWorker(
      'inbound',
      async (job, context) => {
        if (end(context).ahead()?.octets.has(job.octets.id)) along += 1;
        const fetched = await queue.flow.fetch(job.id, [job.octets], context.end);
        assert.equal(fetched.state, 'received');
        seen.add(fetched.octets[0]?.toString('hex') ?? '');
        await queue.flow.handedOffAtOnce(job, foreign(job), context.end);
        return done;
      },
      // as decrypt has in hand; with more, those of a busy machine are no longer fresh when their turn comes
      { concurrency: 16, local: true },
    );
    await until(async () => (await theirs()) === count);
    await worker.close(1000);
    assert.deepEqual([...seen].sort(), octets.map((each) => each.toString('hex')).sort());
    // The first ones are taken by themselves, as nothing ended before. Steps and ends apart make more than two for
    // each.
    assert.ok(along > count / 5, `${along} along`);
    const scripts = await calls();
    assert.ok(scripts < 2 * count, `${scripts} scripts`);
    assert.deepEqual(await queue.queues.depth().then(({ inbound }) => inbound), {
      ...{ waiting: 0, active: 0, delayed: 0 },
    });
    assert.deepEqual(await queue.redis.keys(`${prefix}:[io]:*`), []);
    assert.deepEqual(await queue.redis.keys(`${prefix}:inbound:i*`), [`${prefix}:inbound:id`]);
  });

  it('brings what the hand-off needs, content and result, and nothing that is large', async () => {
    const count = 240;
    const sizes = [100, 32 * 1024 - 200, 33 * 1024];
    const content = new Map<string, Buffer>();
    const inbound = await queue.queues.createWorker(
      'inbound',
      async (job, context) => {
        const writer = queue.spool.create();
        const decoded = randomBytes(sizes[content.size % 3] ?? 0);
        content.set(job.id, decoded);
        await writer.write(decoded);
        const rest = {
          result: Buffer.from('{}'),
          destinations: ['one'],
          partner: null,
          partnerBy: null,
          facts: {},
        };
        await queue.flow.decoded(job, { content: writer, ...rest }, context.end);
        return done;
      },
      { concurrency: 64, local: true },
    );
    await Promise.all(Array.from({ length: count }, (_, at) => accept(queue, `mail ${at}`)));
    await until(async () => (await queue.ledger.count()).decoded === count);
    await inbound.close(1000);
    const along: Record<string, number> = {};
    const handoff = await queue.queues.createWorker(
      'handoff',
      async (job: HandoffJob, context) => {
        const ahead = end(context).ahead();
        for (const ref of [job.result, job.content, job.original])
          if (ahead?.octets.has(ref.id)) {
            const size =
              ref.id === job.content.id ? String(ref.octets) : ref.id === job.result.id ? 'r' : 'o';
            along[size] = (along[size] ?? 0) + 1;
          }
        const fetched = await queue.flow.fetch(job.id, [job.result, job.content], context.end);
        assert.equal(fetched.state, 'decoded');
        assert.deepEqual(fetched.octets[0], Buffer.from('{}'));
        assert.deepEqual(fetched.octets[1], content.get(job.id));
        await queue.flow.handedOff(job, {}, 0, context.end);
        return done;
      },
      { concurrency: 64, local: true },
    );
    await until(async () => (await queue.ledger.count()).delivered === count);
    await handoff.close(1000);
    assert.ok(
      (along.r ?? 0) > 0 && (along[100] ?? 0) > 0 && (along[32 * 1024 - 200] ?? 0) > 0,
      'small ones came',
    );
    assert.deepEqual([along.o, along[33 * 1024]], [undefined, undefined]);
    assert.deepEqual(await queue.redis.keys(`${prefix}:o:*`), []);
  });

  const thefts: Record<string, (key: string, id: string) => Promise<unknown>> = {
    'has another owner': (key) => queue.redis.set(`${key}:lock`, 'another'),
    'has no owner': (key) => queue.redis.del(`${key}:lock`),
    'is not in progress': (_key, id) => queue.redis.lrem(`${prefix}:inbound:active`, 1, id),
    'is gone': (key) => queue.redis.del(key),
  };
  for (const [what, steal] of Object.entries(thefts)) {
    it(`of a message whose job ${what} writes nothing`, async () => {
      const { id } = await accept(queue, what);
      const attempts: string[] = [];
      const worker = await queue.queues.createWorker(
        'inbound',
        async (job, context) => {
          if (attempts.length > 0) return done;
          await steal(`${prefix}:inbound:${id}`, id);
          const before = await everything();
          const tried = async (name: string, step: () => Promise<unknown>) => {
            await assert.rejects(step, JobLost);
            attempts.push(name);
          };
          const writer = queue.spool.create();
          await writer.write(Buffer.from('content'));
          const rest = {
            result: Buffer.from('{}'),
            destinations: ['one'],
            partner: 'acme',
            partnerBy: null,
            facts: {},
          };
          await tried('at once', () => queue.flow.handedOffAtOnce(job, foreign(job), context.end));
          await tried('decoded', () => queue.flow.decoded(job, { content: writer, ...rest }, context.end));
          const why = 'policy-not-signed';
          await tried('suspend', () => queue.flow.suspend('inbound', job, why, {}, 1, context.end));
          assert.deepEqual(await everything(), before);
          throw new JobLost(-2);
        },
        { concurrency: 1, lockDuration: 60_000 },
      );
      await until(async () => attempts.length === 3);
      await worker.close(1000);
      assert.deepEqual(await events(id), ['received']);
      assert.equal(await theirs(), 0);
    });
  }

  it('of a message that has been sent is recorded even if its job is another process’s by now', async () => {
    const id = await send('sent, and the lock lost');
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job, context) => {
        if ((await state(id)) !== 'queued') return done;
        await queue.redis.set(`${prefix}:outbound:${id}:lock`, 'another');
        await queue.flow.sent(job, {}, context.end);
        return done;
      },
      { concurrency: 1 },
    );
    await until(async () => (await state(id)) === 'sent');
    await worker.close(1000);
    assert.deepEqual(await events(id), ['queued', 'sent']);
  });

  it('comes after the step: a step that fails halfway leaves the message its job', async () => {
    await queue.redis.set(`${prefix}:theirs:wait`, 'no list');
    const { id } = await accept(queue, 'a key of a wrong type');
    let tries = 0;
    const worker = await queue.queues.createWorker(
      'inbound',
      async (job, context) => {
        tries += 1;
        if (tries === 2) await queue.redis.del(`${prefix}:theirs:wait`);
        await queue.flow.handedOffAtOnce(job, foreign(job), context.end);
        return done;
      },
      { concurrency: 1 },
    );
    await until(async () => (await state(id)) === 'delivered');
    await worker.close(1000);
    assert.deepEqual(
      [tries, await events(id)],
      [2, ['received', 'retried', 'decoded', 'handed-off', 'delivered']],
    );
  });

  it('together with others: one whose step fails keeps none of them from ending', async () => {
    await queue.redis.set(`${prefix}:broken:wait`, 'no list');
    const ids = [(await accept(queue, 'first')).id, (await accept(queue, 'second')).id];
    const both = Promise.withResolvers<void>();
    const heard: Record<string, string[]> = {};
    const started = new Set<string>();
    const worker = await queue.queues.createWorker(
      'inbound',
      async (job, context) => {
        if (started.add(job.id).size === 2) both.resolve();
        // So that they end in the same turn of the event loop, the first one before the other.
        await both.promise;
        const isFirst = job.id === ids[0];
        const target = foreign(job);
        assert.ok(target.job);
        if (!isFirst && heard[job.id] === undefined) target.job.queue = 'broken';
        const name = isFirst ? 'first' : 'second';
        const noted = heard[job.id] ?? [];
        heard[job.id] = noted;
        const ended = queue.flow.handedOffAtOnce(job, target, context.end);
        await ended.then(
          () => noted.push(`${name} ended`),
          (error: Error) => noted.push(`${name}: ${error.message}`),
        );
        await ended;
        return done;
      },
      { concurrency: 2, local: true },
    );
    await until(async () => (await queue.ledger.count()).delivered === 2);
    await worker.close(1000);
    assert.deepEqual(heard[ids[0] ?? ''], ['first ended']);
    assert.deepEqual(heard[ids[1] ?? ''], ['second: inbound: redis answered WRONGTYPE', 'second ended']);
    assert.equal(await theirs(), 2);
  });

  it('writes events of BullMQ to queues of other programs alone', async (t) => {
    const { job, end: next } = await takenAlong(
      async (first, own) => await queue.flow.handedOffAtOnce(first, foreign(first), own),
      t,
    );
    await queue.flow.handedOffAtOnce(job, foreign(job), next);
    const told = async (name: string) =>
      (await queue.redis.xrange(`${prefix}:${name}:events`, '-', '+')).map(([, [, event]]) => event);
    assert.deepEqual(await told('theirs'), ['added', 'waiting', 'added', 'waiting']);
    // By BullMQ itself, which took the first one.
    assert.deepEqual(await told('inbound'), ['active']);
  });

  /** The first of two jobs, done by hand; returns the second one and its end. */
  async function takenAlong(work: (job: InboundJob, end: JobEnd) => Promise<void>, t: TestContext) {
    const ids = [(await accept(queue, 'first')).id, (await accept(queue, 'second')).id];
    const connection = connect(
      { url: server.url, commandTimeout: 5000 },
      'worker',
      createLog('silent', 'test'),
    );
    const parts = { connection, lockDuration: 30_000, writes: primaryWrites(queue.redis, prefix) };
    const worker = new EndingWorker<InboundJob>(
      { queue: 'inbound', ...parts },
      async (job, token = '') => {
        const own = worker.endOf(job, token);
        assert.ok(own);
        await work(job.data, own);
      },
      { prefix, autorun: false },
    );
    t.after(async () => {
      await worker.close();
      await disconnect(connection);
    });
    const first = await worker.getNextJob('token');
    const second = await worker.processJob(first, 'token', () => true);
    assert.ok(second);
    assert.deepEqual([first.data.id, second.data.id], ids);
    const own = worker.endOf(second, 'token');
    assert.ok(own);
    return { job: second.data, end: own };
  }

  it('is no second time after an error that came behind it, and the next message goes on', async (t) => {
    const { job, end: next } = await takenAlong(async (first, own) => {
      await queue.flow.handedOffAtOnce(first, foreign(first), own);
      throw new Error('a file could not be removed');
    }, t);
    await queue.flow.handedOffAtOnce(job, foreign(job), next);
    assert.equal((await queue.ledger.count()).delivered, 2);
    assert.deepEqual(await queue.redis.lrange(`${prefix}:inbound:active`, 0, -1), []);
  });

  it('knows its script again when the server has forgotten all of them', async () => {
    for (let each = 0; each < 10; each++) await accept(queue, `forgotten ${each}`);
    let flushed = 0;
    const worker = await queue.queues.createWorker(
      'inbound',
      async (job, context) => {
        if (flushed++ % 3 === 0) await queue.redis.script('FLUSH');
        await queue.flow.handedOffAtOnce(job, foreign(job), context.end);
        return done;
      },
      { concurrency: 2 },
    );
    await until(async () => (await theirs()) === 10);
    await worker.close(1000);
    assert.equal((await queue.ledger.count()).delivered, 10);
  });

  const atOnce = (job: InboundJob, own: JobEnd) => queue.flow.handedOffAtOnce(job, foreign(job), own);

  it('does not hand off a message that a person ended when its job had been taken along', async (t) => {
    const { job, end: own } = await takenAlong(atOnce, t);
    const fetched = await queue.flow.fetch(job.id, [job.octets], own);
    assert.deepEqual([fetched.state, String(fetched.octets[0])], ['received', 'second']);
    await queue.flow.terminate(job.id, 'test');
    await queue.flow.handedOffAtOnce(job, foreign(job), own);
    assert.equal(await theirs(), 1);
    const { delivered, terminated } = await queue.ledger.count();
    assert.deepEqual([delivered, terminated], [1, 1]);
  });

  it('trusts what came along for a quarter of a second', async (t) => {
    let time = performance.now();
    t.mock.method(performance, 'now', () => time);
    const { job, end: own } = await takenAlong(atOnce, t);
    await queue.flow.terminate(job.id, 'test');
    const known = async () => (await queue.flow.fetch(job.id, [job.octets], own)).state;
    time += 250;
    assert.equal(await known(), 'received');
    time += 1;
    assert.equal(await known(), 'terminated');
  });

  for (const replicas of [0, 1])
    it(`with ${replicas ? 'too few replicas goes on, and leaves the files to the sweep' : 'enough replicas removes the files'}`, async (t) => {
      const limited = await openTestQueue(server, { spool: { inlineLimit: '1KiB' } });
      for (const _ of [1, 2]) await accept(limited, randomBytes(3000));
      await limited.close();
      const log = createLog('silent', 'test');
      const target = { url: server.url, commandTimeout: 5000 };
      const redis = connect(target, 'producer', log);
      t.after(() => disconnect(redis));
      const writes = new ReplicatedWrites({ redis, prefix, replicas, timeout: 20, disk: false });
      const keys = keysOf(prefix);
      const key = createSecretKey(randomBytes(32));
      const folder = join(server.dataDir, 'spool');
      const spool = new TieredSpool({
        redis,
        keys,
        key,
        store: new SpoolFolder(folder, key),
        inlineLimit: 1024,
      });
      const reported = { inbound: new Set<string>(), outbound: new Set<string>() };
      const common = { now: Date.now, redis, keys, writes };
      const subjects = { seal: () => '' };
      const flow = new RedisFlow({ ...common, spool, subjects, keepOriginal: 0, reported, stops: new Set() });
      const retry = { attempts: 1, firstDelay: 100, maxDelay: 100 };
      const names = new PartnerNames([]);
      const workers = new BullWorkers({
        ...{ ...common, target, flow, log, retry, names },
        ...{ ledger: queue.ledger, routes: queue.routes },
      });
      const kept: boolean[] = [];
      const worker = await workers.createWorker(
        'inbound',
        async (job, context) => {
          const { ahead, run } = end(context);
          const told = async (...args: Parameters<JobEnd['run']>) => {
            const ended = await run(...args);
            kept.push(ended.kept);
            return ended;
          };
          await flow.handedOffAtOnce(job, foreign(job), { ahead, run: told });
          return done;
        },
        { concurrency: 1 },
      );
      await until(async () => kept.length === 2);
      await worker.close(1000);
      assert.deepEqual(kept, [replicas === 0, replicas === 0]);
      assert.deepEqual([await theirs(), (await queue.ledger.count()).delivered], [2, 2]);
      const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) =>
        each.isFile(),
      );
      assert.equal(files.length, replicas === 0 ? 0 : 2);
    });
});
