/** A clock that is set back: keys that expire would last longer by that amount, and recovery would wait for them. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { leave } from '../../src/daemon/presence.ts';
import { createCheckpoints } from '../../src/imap/checkpoint.ts';
import { createLog } from '../../src/log.ts';
import { ClockWatch, readClockFacts, shortenLives } from '../../src/queue/clock-watch.ts';
import type { Outcome, QueueRoom } from '../../src/queue/index.ts';
import { keysOf } from '../../src/queue/keys.ts';
import { lifetimes } from '../../src/redis/lifetimes.ts';
import { isAlive, sealpost, startDaemon } from '../support/daemon.ts';
import { fakeClock, skipWithoutClock } from '../support/fake-clock.ts';
import { until } from '../support/messages.ts';
import { commitOne, openTestQueue } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

const keys = keysOf('{sealpost}');
const hours = 7_200_000;

/** A log whose lines can be looked at. */
function listening() {
  const lines: { level: number; msg: string; [field: string]: unknown }[] = [];
  const log = createLog('info', 'test', { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { log, warnings: () => lines.filter(({ level }) => level >= 40) };
}

async function queued(queue: QueueRoom): Promise<string> {
  const writer = queue.intake.begin();
  await writer.write(Buffer.from('Subject: order\r\n\r\n1\r\n'));
  const { id } = await commitOne(queue, writer, {
    partner: 'partner',
    origin: { kind: 'command', detail: {} },
    envelope: { from: 'edi@own.example', to: ['edi@partner.example'] },
    messageId: null,
  });
  return id;
}

/** A worker in a process of its own takes the job and is killed. */
async function killedAtWork(server: { url: string; dataDir: string }): Promise<void> {
  const child = fork(join(import.meta.dirname, '../queue/worker-process.ts'), [
    server.url,
    server.dataDir,
    'hang',
  ]);
  await once(child, 'message');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('keys that were made by a clock that was two hours ahead', () => {
  it('the job of a killed worker, a mailbox and a sweep are not held up; signs of life end', async (t) => {
    const server = await startTestRedis();
    const queue = await openTestQueue(server);
    t.after(async () => {
      await queue.close();
      await server.stop();
    });
    const { redis } = queue;
    const id = await queued(queue);
    await killedAtWork(server);
    const marks = createCheckpoints(redis, keys.prefix);
    assert.equal(await marks.hold('folder', 'dead', lifetimes.imapLease), true);
    await leave(queue, 'alive', 'receive', { at: 0 }, lifetimes.presence);
    const [sign] = await redis.smembers('{sealpost}:alive');
    const planted: [string, number][] = [
      ['{sealpost}:outbound:stalled-check', lifetimes.stalledCheck],
      [`{sealpost}:outbound:${id}:lock`, lifetimes.lock],
      ['{sealpost}:imap:lease:folder', lifetimes.imapLease],
      ['{sealpost}:lease:sweep', lifetimes.sweepLease],
      [sign ?? '', lifetimes.presence],
    ];
    for (const [key, most] of planted)
      await redis.set(key, (await redis.get(key)) ?? '1', 'PX', most + hours);

    const { log, warnings } = listening();
    const watch = new ClockWatch({ now: Date.now, redis, keys, log });
    await watch.look();
    for (const [key, most] of planted) {
      const left = await redis.pttl(key);
      assert.ok(left > 0 && left <= most, `${key} lasts ${left} ms`);
    }
    assert.deepEqual(
      warnings().map(({ keys: count, seconds }) => [count, seconds]),
      [[planted.length, hours / 1000]],
    );
    const { shortened } = await queue.clock();
    assert.deepEqual([shortened?.keys, shortened?.seconds], [planted.length, hours / 1000]);
    // Nothing is left to do, and nothing is said twice.
    await watch.look();
    assert.equal(warnings().length, 1);

    let starts = 0;
    const work = async (): Promise<Outcome> => {
      starts++;
      return { done: true };
    };
    await queue.queues.createWorker('outbound', work, { concurrency: 1 });
    await until(async () => starts === 1);
  });

  it('a key is shortened that lasts longer than it may by any step, and none that lasts as long as it may', async (t) => {
    const server = await startTestRedis();
    const queue = await openTestQueue(server);
    t.after(async () => {
      await queue.close();
      await server.stop();
    });
    const key = '{sealpost}:inbound:stalled-check';
    await queue.redis.set(key, '1', 'PX', lifetimes.stalledCheck);
    assert.equal((await shortenLives(queue.redis, keys)).keys, 0);
    assert.ok((await queue.redis.pttl(key)) > 0);
    // a small step is mended without a word
    await queue.redis.set(key, '1', 'PX', lifetimes.stalledCheck + 1500);
    assert.equal((await shortenLives(queue.redis, keys)).keys, 0);
    assert.ok((await queue.redis.pttl(key)) <= lifetimes.stalledCheck);
    await queue.redis.set(key, '1', 'PX', lifetimes.stalledCheck + 2500);
    assert.equal((await shortenLives(queue.redis, keys)).keys, 1);
    assert.ok((await queue.redis.pttl(key)) <= lifetimes.stalledCheck);
  });

  it('locks of jobs in hand are renewed whatever the time of day is', async (t) => {
    const server = await startTestRedis();
    const queue = await openTestQueue(server);
    t.after(async () => {
      await queue.close();
      await server.stop();
    });
    const id = await queued(queue);
    const now = Date.now;
    t.after(() => {
      Date.now = now;
    });
    let starts = 0;
    const begun = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    await queue.queues.createWorker(
      'outbound',
      async () => {
        starts++;
        begun.resolve();
        await end.promise;
        return { done: true };
      },
      { concurrency: 2, lockDuration: 3000 },
    );
    await begun.promise;
    Date.now = () => now() - hours;
    const lock = `{sealpost}:outbound:${id}:lock`;
    // Each look finds it; without a renewal it would be gone after three seconds.
    for (let looks = 0; looks < 12; looks++) {
      await new Promise((resolve) => setTimeout(resolve, 400));
      assert.equal(await queue.redis.exists(lock), 1, `look ${looks}`);
    }
    end.resolve();
    await until(async () => (await queue.queues.depth()).outbound.active === 0);
    assert.equal(starts, 1);
  });
});

describe('a clock of Redis that jumps', { skip: skipWithoutClock, timeout: 1_800_000 }, () => {
  it('two hours ahead and right again: the job of a worker that was killed meanwhile goes on', async (t) => {
    const world = makeWorld();
    const clock = fakeClock(world.folder, hours / 1000);
    const before = { ...process.env };
    Object.assign(process.env, clock.env);
    const server = await startTestRedis();
    for (const name of Object.keys(clock.env)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    const queue = await openTestQueue(server);
    t.after(async () => {
      await queue.close();
      await server.stop();
      world.remove();
    });
    const [seconds] = await queue.redis.time();
    assert.ok(Math.abs(Number(seconds) * 1000 - Date.now() - hours) < 60_000, 'Redis is two hours ahead');
    await queued(queue);
    await killedAtWork(server);
    const { log, warnings } = listening();
    const watch = new ClockWatch({ now: Date.now, redis: queue.redis, keys, log });
    await watch.look();
    assert.match(warnings().at(-1)?.msg ?? '', /clocks of this machine and of Redis differ/);
    clock.set(0);
    let starts = 0;
    const work = async (): Promise<Outcome> => {
      starts++;
      return { done: true };
    };
    await queue.queues.createWorker('outbound', work, { concurrency: 1 });
    await watch.look();
    const jump = warnings().find(({ of }) => of === 'redis');
    assert.ok(Math.abs(Number(jump?.seconds) + hours / 1000) < 60, `it says ${jump?.msg}`);
    // By this look, or by one of the worker's own a moment before.
    await until(
      async () => Number((await readClockFacts(queue.redis, keys, Date.now())).shortened?.keys) > 0,
    );
    await until(async () => starts === 1);
  });
});

describe('a daemon whose clock and private Redis are two hours ahead', {
  skip: skipWithout('openssl') || skipWithoutClock,
  timeout: 1_800_000,
}, () => {
  const world = makeWorld();
  after(() => world.remove());

  it('continues when the clock is right again, reports it in log and health, and hands off what it had', async (t) => {
    const clock = fakeClock(world.folder, hours / 1000);
    const daemon = await startDaemon(world, { env: clock.env });
    t.after(() => daemon.stop());
    await daemon.reaches(await daemon.accept(world.mail(textEntity('ahead'))), 'delivered');
    const dead = daemon.pidOf('handoff');
    process.kill(dead, 'SIGKILL');
    await daemon.waitFor('it has ended', () => !isAlive(dead));
    clock.set(0);
    const id = await daemon.accept(world.mail(textEntity('right again')));
    await daemon.reaches(id, 'delivered');
    await daemon.waitFor('the log says so', () => /the clock jumped by -\d+ s/.test(daemon.log()));
    const health = await sealpost(['health', '--config', daemon.configFile]);
    assert.equal(health.code, 0, String(health.stderr));
    assert.match(String(health.stdout), /^clock {2}of \S+ jumped by -7\d{3} s at /m);
  });
});
