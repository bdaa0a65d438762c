/** The three queues: BullMQ workers whose handlers return an outcome. A job that can not go on waits in the ledger. */
import { type Job, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { SealpostError, toErrorInfo } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { counter, histogram } from '../metrics.ts';
import { connect, disconnect, guarded, redisError } from './connection.ts';
import { bringLateForward } from './delayed.ts';
import { type Keys, queueNames } from './keys.ts';
import { lifetimes } from './lifetimes.ts';
import { type RetrySchedule, retryDelay } from './retry.ts';
import { isStoreAway } from './spool-store.ts';
import { SuspectLane } from './suspects.ts';
import type { RedisTarget } from './target.ts';
import type {
  Facts,
  Flow,
  JobHandler,
  JobMarks,
  JobOutcome,
  Jobs,
  Ledger,
  QueueName,
  Queues,
  QueueWorker,
  WorkerOptions,
} from './types.ts';

const jobsDone = counter('jobs_total', 'Jobs by queue and outcome (done, retry, suspend).', [
  'queue',
  'outcome',
]);
const jobSeconds = histogram(
  'job_seconds',
  'Time that a handler took for a job, by queue.',
  [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  ['queue'],
);

/** Starts that may end without an outcome (a killed process), all but the first alone: then the message is poison. */
const maxCrashes = 5;
/** BullMQ's count is of neighbours too, and would leave a job in its failed set: ours comes long before. */
const maxStalled = 1000;
/** What waits for the network does not kill its process: another suspect may begin beside it after two seconds. */
const besidePatience = { fresh: 0, suspect: 2000 };
/** Codes of errors that say something about Redis, and nothing about a job. */
const ofRedis: readonly string[] = ['redis-unreachable', 'redis-full'];
const lookForLateEvery = 10_000;
/** Longest wait of a job whose destination was not even asked (the breaker of the hand-off). */
const longestUntried = 300_000;
/** Clocks of several machines are never quite the same. */
const clockMargin = 60_000;
const eventsKept = 10;

export interface QueuesParts {
  redis: Redis;
  target: RedisTarget;
  keys: Keys;
  flow: Flow;
  ledger: Ledger;
  log: Log;
  retry: RetrySchedule & { attempts: number };
  /** Called when a job has had an outcome. */
  onWork?: (() => void) | undefined;
}

/** Tells BullMQ to run the job again; it keeps the message in Redis, which is a reason code only. */
class RetryLater extends Error {
  readonly delay: number;
  constructor(reason: string, delay: number) {
    super(reason);
    this.delay = delay;
  }
}

/** BullMQ keeps a stream of events for each queue that nobody reads here: keep it short. */
export async function prepareQueues(redis: Redis, keys: Keys): Promise<void> {
  for (const name of queueNames)
    await guarded('queues', redis.hset(`${keys.prefix}:${name}:meta`, 'opts.maxLenEvents', eventsKept));
}

export class BullQueues implements Queues {
  #parts: QueuesParts;
  #workers = new Set<QueueWorker>();

  constructor(parts: QueuesParts) {
    this.#parts = parts;
  }

  createWorker<N extends QueueName>(name: N, handler: JobHandler<N>, options: WorkerOptions): QueueWorker {
    const { target, keys, log } = this.#parts;
    const lockDuration = options.lockDuration ?? lifetimes.lock;
    const alone = options.suspectsAlone ?? false;
    const lane = alone ? new SuspectLane(true) : new SuspectLane(false, besidePatience);
    const connection = connect(target, 'worker', log, name);
    const ended = new AbortController();
    const inHand = new Map<string, string>();
    const work = async (job: Job<Jobs[N]>, token = '') => {
      const id = job.id ?? '';
      inHand.set(id, token);
      await this.#work(name, handler, job, lane, ended.signal).finally(() => inHand.delete(id));
    };
    const worker = new Worker<Jobs[N]>(name, work, {
      connection,
      prefix: keys.prefix,
      concurrency: options.concurrency,
      lockDuration,
      // BullMQ goes by the time of day: after a clock was set back it would renew none for as long as the step.
      skipLockRenewal: true,
      stalledInterval: Math.min(lifetimes.stalledCheck, Math.max(100, Math.round(lockDuration / 4))),
      maxStalledCount: maxStalled,
      removeOnComplete: { count: 0 },
      settings: {
        backoffStrategy: (_failures, _type, error) => (error instanceof RetryLater ? error.delay : 1000),
      },
    });
    // Worst case, when BullMQ itself gives a job up: it must not stay in a set that nobody reads.
    worker.on('failed', (job) => {
      if (job?.finishedOn) void this.#rescue(name, job);
    });
    worker.on('error', (error) => {
      if (!ended.signal.aborted) log.debug({ err: redisError(error, name), queue: name }, 'worker error');
    });
    const renewal = setInterval(
      () => void this.#renewLocks(name, worker, inHand, lockDuration),
      Math.round(lockDuration / 4),
    );
    const late = setInterval(() => void this.#bringLateForward(name), lookForLateEvery).unref();
    let closing: Promise<void> | undefined;
    const handle: QueueWorker = {
      close: (timeoutMs) => {
        clearInterval(late);
        closing ??= closeWorker(worker, connection, ended, timeoutMs).finally(() => {
          clearInterval(renewal);
          this.#workers.delete(handle);
        });
        return closing;
      },
    };
    this.#workers.add(handle);
    return handle;
  }

  async #renewLocks(
    queue: QueueName,
    worker: Worker,
    inHand: ReadonlyMap<string, string>,
    lockDuration: number,
  ): Promise<void> {
    if (inHand.size === 0) return;
    const { log } = this.#parts;
    try {
      const failed = await worker.extendJobLocks([...inHand.keys()], [...inHand.values()], lockDuration);
      // One that has just ended has no lock either.
      const ids = failed.filter((id) => inHand.has(id));
      if (ids.length === 0) return;
      const message = 'jobs took too long without a sign of life; others may have taken them';
      logRarely(log, 'warn', `lock ${queue}`, { queue, ids }, message);
    } catch (err) {
      log.debug({ err: redisError(err, queue), queue }, 'locks were not renewed');
    }
  }

  async depth(): Promise<Record<QueueName, { waiting: number; active: number; delayed: number }>> {
    const { redis, keys } = this.#parts;
    const of = async (name: QueueName) => {
      const key = `${keys.prefix}:${name}`;
      const [waiting, active, delayed] = await guarded(
        'queues',
        Promise.all([redis.llen(`${key}:wait`), redis.llen(`${key}:active`), redis.zcard(`${key}:delayed`)]),
      );
      return { waiting, active, delayed };
    };
    const [inbound, handoff, outbound, failures] = await Promise.all([
      of('inbound'),
      of('handoff'),
      of('outbound'),
      of('failures'),
    ]);
    return { inbound, handoff, outbound, failures };
  }

  /** Closes what its owners have not closed. */
  async close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.close(0)));
  }

  async #work<N extends QueueName>(
    name: N,
    handler: JobHandler<N>,
    job: Job<Jobs[N]>,
    lane: SuspectLane,
    signal: AbortSignal,
  ): Promise<void> {
    const crashes = job.attemptsStarted - 1 - job.attemptsMade;
    if (crashes <= (job.data.forgiven ?? 0)) {
      return await lane.run(false, () => this.#start(name, handler, job, {}, signal));
    }
    const alone = job.data.alone ?? 0;
    // The first start was among others.
    if (alone + 1 >= maxCrashes) {
      this.#count(name, 'suspend');
      return await this.#giveUp(name, job, 'worker-crashed', { starts: alone + 1 });
    }
    await lane.run(true, async () => {
      // When Redis has no room for the mark, going on is what makes room.
      await job.updateData({ ...job.data, alone: alone + 1 }).catch(() => undefined);
      await this.#start(name, handler, job, { alone: 0, forgiven: crashes }, signal);
    });
  }

  /** Runs the handler; `marks` are what the job is to have when it is tried again. */
  async #start<N extends QueueName>(
    name: N,
    handler: JobHandler<N>,
    job: Job<Jobs[N]>,
    marks: JobMarks,
    signal: AbortSignal,
  ): Promise<void> {
    const { retry } = this.#parts;
    const { data } = job;
    const { untried = 0 } = data;
    const attempt = job.attemptsMade + 1 - untried;
    const last = attempt >= retry.attempts;
    const outcome = await this.#attempt(name, data, () => handler(data, { attempt, last, signal }));
    if ('done' in outcome) return this.#count(name, 'done');
    if ('retry' in outcome && outcome.untried === true) {
      await job.updateData({ ...data, ...marks, untried: untried + 1 });
      const after = outcome.after ?? retryDelay(attempt, retry);
      throw new RetryLater(outcome.retry, Math.min(after, this.#longestWait()));
    }
    if ('retry' in outcome && !last) {
      this.#count(name, 'retry');
      if (marks.forgiven !== undefined) await job.updateData({ ...data, ...marks });
      return await this.#retry(name, data, outcome, attempt);
    }
    this.#count(name, 'suspend');
    if ('suspend' in outcome) return await this.#giveUp(name, job, outcome.suspend, outcome.facts);
    const facts = { ...outcome.facts, last: outcome.retry, attempts: attempt };
    await this.#giveUp(name, job, 'attempts-exhausted', facts);
  }

  /** The message waits for a person; a report about such a message is given up, so that none is ever about itself. */
  async #giveUp(name: QueueName, job: Job<Jobs[QueueName]>, reason: string, facts?: Facts): Promise<void> {
    const { flow, ledger, log } = this.#parts;
    const { data } = job;
    if (name !== 'failures' && !('turn' in data))
      return await flow.suspend(name, data, reason, facts, job.attemptsStarted);
    log.error({ id: data.id, reason }, 'a suspended message could not be reported');
    await ledger.note(data.id, { type: 'report-failed', at: Date.now(), facts: { reason, ...facts } });
  }

  #count(queue: QueueName, outcome: 'done' | 'retry' | 'suspend'): void {
    jobsDone.inc({ queue, outcome });
    this.#parts.onWork?.();
  }

  #longestWait(): number {
    return Math.max(this.#parts.retry.maxDelay, longestUntried);
  }

  async #bringLateForward(queue: QueueName): Promise<void> {
    const { redis, keys, log } = this.#parts;
    try {
      const count = await bringLateForward(redis, keys, queue, this.#longestWait() + clockMargin);
      if (count > 0)
        log.warn({ queue, count }, 'retries were planned by a clock that was ahead; they are due now');
    } catch (err) {
      log.debug({ err, queue }, 'could not look for late retries');
    }
  }

  async #attempt(
    name: QueueName,
    data: { id: string },
    work: () => Promise<JobOutcome>,
  ): Promise<JobOutcome> {
    const timer = jobSeconds.startTimer({ queue: name });
    try {
      return await work();
    } catch (error) {
      const { code } = toErrorInfo(error);
      const { log } = this.#parts;
      const facts = { err: error, queue: name, id: data.id };
      // While Redis is away or full, or the object store is away, this is so for every job.
      const away = isStoreAway(error);
      if (away || ofRedis.includes(code)) logRarely(log, 'warn', `job ${name} ${code}`, facts, 'job failed');
      else log.warn(facts, 'job failed');
      // Not a failure of the message: it waits for the store, however long that is away.
      return { retry: code, ...(away ? { untried: true, after: this.#storeWait() } : {}) };
    } finally {
      timer();
    }
  }

  /** Milliseconds until a job asks again for a store that is away, jittered so that not all come at once. */
  #storeWait(): number {
    return Math.min(this.#parts.retry.maxDelay, 15_000) * (0.5 + Math.random() / 2);
  }

  async #retry(
    queue: QueueName,
    data: { id: string },
    { retry: reason, facts: more = {}, after = 0 }: Extract<JobOutcome, { retry: string }>,
    attempt: number,
  ): Promise<never> {
    const { ledger, retry } = this.#parts;
    const delay = Math.max(retryDelay(attempt, retry), Math.min(after, retry.maxDelay));
    const facts = { queue, reason, attempt, delay, ...more };
    await ledger.note(data.id, { type: 'retried', at: Date.now(), facts });
    throw new RetryLater(reason, delay);
  }

  async #rescue<N extends QueueName>(name: N, job: Job<Jobs[N]>): Promise<void> {
    const { log } = this.#parts;
    try {
      await this.#giveUp(name, job, 'worker-crashed', { starts: job.attemptsStarted });
      await job.remove();
    } catch (error) {
      log.error({ err: redisError(error, name), queue: name, id: job.data.id }, 'could not suspend a job');
    }
  }
}

async function closeWorker(
  worker: Worker,
  connection: Redis,
  ended: AbortController,
  timeoutMs: number,
): Promise<void> {
  const graceful = worker.close();
  graceful.catch(() => undefined);
  const late = await Promise.race([
    graceful.then(
      () => false,
      () => false,
    ),
    new Promise<boolean>((resolve) => {
      setTimeout(() => resolve(true), timeoutMs).unref();
    }),
  ]);
  // What is left keeps its lock until it runs out; then another worker takes it.
  ended.abort(new SealpostError('internal', 'the worker has closed'));
  if (late) worker.disconnect().catch(() => undefined);
  await disconnect(connection);
}
