/** The three queues: BullMQ workers whose handlers return an outcome. A job that can not go on waits in the ledger. */
import { type Job, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { SealpostError, toErrorInfo } from '../errors.ts';
import type { Log } from '../log.ts';
import { counter, histogram } from '../metrics.ts';
import { connect, disconnect, guarded, type RedisTarget, redisError } from './connection.ts';
import type { Keys } from './keys.ts';
import { type RetrySchedule, retryDelay } from './retry.ts';
import type {
  Flow,
  JobHandler,
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

export const queueNames: readonly QueueName[] = ['inbound', 'handoff', 'outbound'];
/** Starts that may end without an outcome (a killed process): then the message is suspended as poison. */
const maxCrashes = 5;
const eventsKept = 10;

export interface QueuesParts {
  redis: Redis;
  target: RedisTarget;
  keys: Keys;
  flow: Flow;
  ledger: Ledger;
  log: Log;
  retry: RetrySchedule & { attempts: number };
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
    const lockDuration = options.lockDuration ?? 30_000;
    const connection = connect(target, 'worker', log, name);
    const ended = new AbortController();
    const worker = new Worker<Jobs[N]>(name, (job) => this.#work(name, handler, job, ended.signal), {
      connection,
      prefix: keys.prefix,
      concurrency: options.concurrency,
      lockDuration,
      stalledInterval: Math.max(100, Math.round(lockDuration / 2)),
      // Our own count of crashes comes first; BullMQ's would leave the job in its failed set.
      maxStalledCount: 10 * maxCrashes,
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
    let closing: Promise<void> | undefined;
    const handle: QueueWorker = {
      close: (timeoutMs) => {
        closing ??= closeWorker(worker, connection, ended, timeoutMs).finally(() =>
          this.#workers.delete(handle),
        );
        return closing;
      },
    };
    this.#workers.add(handle);
    return handle;
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
    const [inbound, handoff, outbound] = await Promise.all([of('inbound'), of('handoff'), of('outbound')]);
    return { inbound, handoff, outbound };
  }

  /** Closes what its owners have not closed. */
  async close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.close(0)));
  }

  async #work<N extends QueueName>(
    name: N,
    handler: JobHandler<N>,
    job: Job<Jobs[N]>,
    signal: AbortSignal,
  ): Promise<void> {
    const { flow, retry } = this.#parts;
    const { data } = job;
    const crashes = job.attemptsStarted - 1 - job.attemptsMade;
    if (crashes >= maxCrashes) {
      jobsDone.inc({ queue: name, outcome: 'suspend' });
      return await flow.suspend(name, data, 'worker-crashed', { starts: job.attemptsStarted - 1 });
    }
    const untried = 'untried' in data ? (data.untried ?? 0) : 0;
    const attempt = job.attemptsMade + 1 - untried;
    const last = attempt >= retry.attempts;
    const outcome = await this.#attempt(name, data, () => handler(data, { attempt, last, signal }));
    if ('done' in outcome) {
      jobsDone.inc({ queue: name, outcome: 'done' });
      return;
    }
    if ('retry' in outcome && outcome.untried === true) {
      await job.updateData({ ...data, untried: untried + 1 });
      throw new RetryLater(outcome.retry, outcome.after ?? retryDelay(attempt, retry));
    }
    if ('retry' in outcome && !last) {
      jobsDone.inc({ queue: name, outcome: 'retry' });
      return await this.#retry(name, data, outcome, attempt);
    }
    jobsDone.inc({ queue: name, outcome: 'suspend' });
    if ('suspend' in outcome) return await flow.suspend(name, data, outcome.suspend, outcome.facts);
    const facts = { ...outcome.facts, last: outcome.retry, attempts: attempt };
    await flow.suspend(name, data, 'attempts-exhausted', facts);
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
      this.#parts.log.warn({ err: error, queue: name, id: data.id }, 'job failed');
      return { retry: toErrorInfo(error).code };
    } finally {
      timer();
    }
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
    const { flow, log } = this.#parts;
    try {
      await flow.suspend(name, job.data, 'worker-crashed', { starts: job.attemptsStarted });
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
