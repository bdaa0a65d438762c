/**
 * BullMQ workers whose handlers return an outcome. A job that cannot continue waits in the ledger.
 */
import { DelayedError, type Job, type Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { PartnerNames } from '../config/index.ts';
import { toErrorInfo } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { counter, histogram } from '../metrics.ts';
import { connect, type DurableWrites, lifetimes, type RedisTarget, redisError } from '../redis/index.ts';
import { noteOnSpan, queueTelemetry } from '../spans.ts';
import { isStoreAway } from '../spool/index.ts';
import { EndingWorker } from './ending-worker.ts';
import { expired, untilExpired } from './expiry.ts';
import { Gate } from './gate.ts';
import { type JobEnd, JobLost } from './job-end.ts';
import { JobLog } from './job-log.ts';
import { isCurrent, routeOf, upgraded } from './jobs.ts';
import type { Keys } from './keys.ts';
import type { Ledger } from './ledger-types.ts';
import { countMessage } from './message-metrics.ts';
import { Parking } from './parking.ts';
import { Recovery } from './recovery.ts';
import { type RetrySchedule, retryDelay } from './retry.ts';
import type { Routes } from './route-types.ts';
import { SickRoutes } from './sick-routes.ts';
import { Suspects } from './suspects.ts';
import type {
  Attribution,
  Facts,
  Flow,
  JobHandler,
  JobMarks,
  Jobs,
  Outcome,
  PeerState,
  QueueName,
  Queues,
  QueueWorker,
  WorkerOptions,
} from './types.ts';
import {
  bringLateForward,
  closeWorker,
  Fetches,
  kindOf,
  noteAttempt,
  outcomeText,
  withReached,
} from './worker-parts.ts';

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

/**
 * Starts that may end without an outcome because the process was killed. All but the first one run alone. After that,
 * the message counts as poison.
 */
const maxCrashes = 5;
/** BullMQ's count includes neighbours. Our own limit is reached long before it. */
const maxStalled = 1000;
/** Waiting for the network kills no process, so another suspect may start beside such work after two seconds. */
const besidePatience = { fresh: 0, suspect: 2000 };
const lookForLateEvery = 10_000;
/** Longest wait of a job whose destination was not even contacted (the breaker of the hand-off). */
const longestUntried = 300_000;
/** Clocks of several machines always differ a little. */
const clockMargin = 60_000;
/**
 * Failures of a route in a row after which it is paused, and for how many milliseconds, unless the schedule has shorter
 * waits.
 */
const breaker = { failures: 1, firstPause: 2000, longestPause: longestUntried };

export interface WorkersParts {
  /** The time of day, in milliseconds since the epoch. */
  now: () => number;
  redis: Redis;
  target: RedisTarget;
  keys: Keys;
  /** For the steps that end a job. */
  writes: DurableWrites;
  flow: Flow;
  ledger: Ledger;
  /** The present names and keys of partners. */
  names: PartnerNames;
  /** What people have paused, and what attempts showed. */
  routes: Routes;
  log: Log;
  retry: RetrySchedule & { attempts: number };
  /** Called when a job has had an outcome. */
  onWork?: (() => void) | undefined;
}

/** The context in which a job is started. */
interface Start {
  lane: Suspects;
  signal: AbortSignal;
  end: JobEnd | undefined;
  /** Receives what the attempt showed about its route. */
  heard: (peer: PeerState | undefined) => void;
  recovery: Recovery;
  sick: SickRoutes;
}

/** Tells BullMQ to run the job again. BullMQ keeps the error's message in Redis, so it is only a reason code. */
class RetryLater extends Error {
  readonly delay: number;
  constructor(reason: string, delay: number) {
    super(reason);
    this.delay = delay;
  }
}

/** The job has not begun, and goes back to those that wait for its route. */
class InLine extends Error {}

export class BullWorkers implements Pick<Queues, 'createWorker'> {
  #parts: WorkersParts;
  #workers = new Set<QueueWorker>();
  readonly #said: JobLog;

  constructor(parts: WorkersParts) {
    this.#parts = parts;
    this.#said = new JobLog(parts);
  }

  async createWorker<N extends QueueName>(
    name: N,
    handler: JobHandler<N>,
    options: WorkerOptions,
  ): Promise<QueueWorker> {
    const { redis, target, keys, writes, log } = this.#parts;
    const lockDuration = options.lockDuration ?? lifetimes.lock;
    const alone = options.suspectsAlone ?? false;
    const lane = alone ? new Suspects(true) : new Suspects(false, besidePatience);
    const connection = connect(target, 'worker', log, name);
    const ended = new AbortController();
    const inHand = new Map<string, string>();
    const kind = kindOf(name);
    const { routes } = this.#parts;
    if (kind) await routes.follow();
    const gate = this.#gate(options, (route) => kind !== undefined && routes.isPaused(kind, route));
    const parking = new Parking({ now: this.#parts.now, redis, keys, queue: name, gate, log });
    const pause = Math.min(this.#parts.retry.maxDelay, longestUntried);
    const hurry = (route: string) => {
      gate.hurry(route);
      options.hurried?.(route);
    };
    const recovery = new Recovery({
      now: this.#parts.now,
      redis,
      keys,
      queue: name,
      gate: { hurry },
      log,
      pause,
    });
    const sick = new SickRoutes({ ...this.#parts, queue: name });
    // the first success may be all that it sees
    await Promise.all([recovery.look(), sick.look()]);
    const work = async (job: Job<Jobs[N]>, token: string) => {
      const route = routeOf(name, job.data);
      const putBack = async (): Promise<never> => {
        const stolen = await parking.park(job.id ?? '', token, route, ended.signal);
        inHand.delete(job.id ?? '');
        if (stolen) await fetches.less();
        throw new DelayedError();
      };
      const over = expired(job.data, this.#parts.now());
      if (over) {
        // Nobody is asked for it, so it needs no place of its route.
        gate.forgo(route);
        return await this.#expire(name, job, over.facts).finally(() => parking.refill(route));
      }
      const entry = await gate.turn(route);
      if (entry === null) return await putBack();
      let isInLine = false;
      let peer: PeerState | undefined;
      const heard = (state: PeerState | undefined) => {
        peer = state;
      };
      try {
        await this.#upgrade(name, job);
        const end = worker.endOf(job, token, () => gate.rests(route) === 0 && !gate.isStopped(route));
        await this.#work(name, handler, job, { lane, signal: ended.signal, end, heard, recovery, sick });
      } catch (error) {
        if (!(error instanceof InLine)) throw error;
        isInLine = true;
      } finally {
        gate.leave(entry, peer);
        if (worker.isFollowed(job)) gate.expect(route, 1);
        if (peer === 'works') {
          recovery.works(route);
          sick.works(route);
        }
        parking.refill(route);
      }
      if (isInLine) await putBack();
    };
    const counted = async (job: Job<Jobs[N]>, token = '') => {
      const id = job.id ?? '';
      inHand.set(id, token);
      fetches.change(1);
      await work(job, token).finally(() => {
        // A job that was put back may be here again.
        if (inHand.get(id) === token) inHand.delete(id);
        fetches.change(-1);
      });
    };
    const own = { queue: name, connection, lockDuration, writes };
    const telemetry = queueTelemetry();
    const worker = new EndingWorker<Jobs[N]>(own, counted, {
      prefix: keys.prefix,
      concurrency: options.concurrency,
      // BullMQ goes by the time of day: if a clock was set back, it would renew no lock for that long
      skipLockRenewal: true,
      ...(telemetry && { telemetry }),
      stalledInterval: Math.min(lifetimes.stalledCheck, Math.max(100, Math.round(lockDuration / 4))),
      maxStalledCount: maxStalled,
      removeOnComplete: { count: 0 },
      settings: {
        backoffStrategy: (_failures, _type, error) => (error instanceof RetryLater ? error.delay : 1000),
      },
    });
    const fetches = new Fetches(worker, options.concurrency);
    // the worst case, in which BullMQ itself gives a job up: it must not stay in a set that nobody reads
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
    parking.start();
    recovery.start();
    if (!options.local) sick.start();
    let closing: Promise<void> | undefined;
    const handle: QueueWorker = {
      close: (timeoutMs) => {
        clearInterval(late);
        parking.stop();
        recovery.stop();
        sick.stop();
        gate.close();
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
      // A job that has just ended has no lock either.
      const ids = failed.filter((id) => inHand.has(id));
      if (ids.length === 0) return;
      const message = 'jobs took too long without renewing their locks; another process may have them';
      logRarely(log, 'warn', `lock ${queue}`, { queue, ids }, message);
    } catch (err) {
      log.debug({ err: redisError(err, queue), queue }, 'locks were not renewed');
    }
  }

  /** Closes what its owners have not closed. */
  async close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.close(0)));
  }

  async #work<N extends QueueName>(
    name: N,
    handler: JobHandler<N>,
    job: Job<Jobs[N]>,
    start: Start,
  ): Promise<void> {
    const { lane } = start;
    const crashes = job.attemptsStarted - 1 - job.attemptsMade;
    if (crashes <= (job.data.forgiven ?? 0)) {
      return await lane.run(false, () => this.#start(name, handler, job, {}, start));
    }
    const alone = job.data.alone ?? 0;
    // the first start was among others
    if (alone + 1 >= maxCrashes) {
      this.#count(name, 'suspend');
      return await this.#giveUp(name, job, 'worker-crashed', { starts: alone + 1 }, start.end);
    }
    await lane.run(true, async () => {
      // if Redis has no room for the mark, continuing makes room
      await job.updateData({ ...job.data, alone: alone + 1 }).catch(() => undefined);
      await this.#start(name, handler, job, { alone: 0, forgiven: crashes }, start);
    });
  }

  /** Runs the handler; `marks` are stored in the job if it is tried again. */
  async #start<N extends QueueName>(
    name: N,
    handler: JobHandler<N>,
    job: Job<Jobs[N]>,
    marks: JobMarks,
    { signal, end, heard, recovery, sick }: Start,
  ): Promise<void> {
    const { retry, names } = this.#parts;
    const { data } = job;
    const { untried = 0 } = data;
    const attempt = job.attemptsMade + 1 - untried;
    const last = attempt >= retry.attempts;
    const tried = await this.#attempt(name, data, () => handler(data, { attempt, last, signal, end }));
    const outcome = await recovery.asProbe(job.id ?? '', tried);
    heard('done' in outcome ? 'works' : outcome.peer);
    noteAttempt(this.#parts.routes, name, data, outcome);
    noteOnSpan({ message: data.id, attempt, outcome: outcomeText(outcome) });
    if ('done' in outcome) {
      countMessage('done', name, data, names);
      return this.#count(name, 'done');
    }
    if (outcome.peer === 'down' && name !== 'inbound')
      sick.failed(routeOf(name, data), 'retry' in outcome ? outcome.retry : outcome.suspend, outcome.facts);
    const isInLine = 'retry' in outcome && outcome.inLine === true;
    if (isInLine && marks.forgiven !== undefined) await job.updateData({ ...job.data, ...marks });
    if (outcome.reached && outcome.reached.length > 0)
      await job.updateData({ ...job.data, reached: [...(data.reached ?? []), ...outcome.reached] });
    if (isInLine) throw new InLine();
    if ('retry' in outcome && outcome.peer === 'down' && (outcome.untried === true || !last))
      await recovery.failed(routeOf(name, data), job.id ?? '', 'retry' in tried ? tried.after : 0);
    if ('retry' in outcome && outcome.untried === true) {
      await job.updateData({ ...job.data, ...marks, untried: untried + 1 });
      const after = outcome.after ?? retryDelay(attempt, retry);
      throw new RetryLater(outcome.retry, Math.min(after, this.#longestWait()));
    }
    if ('retry' in outcome && !last) {
      this.#count(name, 'retry');
      if (marks.forgiven !== undefined) await job.updateData({ ...job.data, ...marks });
      return await this.#retry(name, data, outcome, attempt);
    }
    this.#count(name, 'suspend');
    if ('suspend' in outcome)
      return await this.#giveUp(name, job, outcome.suspend, outcome.facts, end, outcome.from);
    const facts = { ...outcome.facts, last: outcome.retry, attempts: attempt };
    await this.#giveUp(name, job, 'attempts-exhausted', facts, end, outcome.from);
  }

  /** A job may be from an earlier version. */
  async #upgrade<N extends QueueName>(name: N, job: Job<Jobs[N]>): Promise<void> {
    if (isCurrent(name, job.data)) return;
    job.data = upgraded(name, job.data, await this.#parts.ledger.get(job.data.id));
  }

  async #expire<N extends QueueName>(name: N, job: Job<Jobs[N]>, facts?: Facts): Promise<void> {
    await this.#upgrade(name, job);
    this.#count(name, 'suspend');
    await this.#giveUp(name, job, 'expired', facts);
  }

  /** The message waits for a person. A failed report is given up instead, so that no report is ever about a report. */
  async #giveUp(
    name: QueueName,
    job: Job<Jobs[QueueName]>,
    reason: string,
    given?: Facts,
    end?: JobEnd,
    from?: Attribution,
  ): Promise<void> {
    const { flow, ledger, log, names } = this.#parts;
    const { data } = job;
    const facts = withReached(given, data.reached);
    if (name !== 'failures' && !('turn' in data)) {
      await flow.suspend(name, data, reason, facts, job.attemptsStarted, end, from);
      countMessage('suspended', name, data, names, { reason, from });
      // the job of a hand-off does not say who sent the message
      const known = name === 'handoff' ? await ledger.get(data.id).catch(() => null) : from;
      return this.#said.suspended(name, data, reason, facts, known ?? undefined);
    }
    log.error({ id: data.id, reason }, 'a suspended message could not be reported');
    await ledger.note(data.id, { type: 'report-failed', at: this.#parts.now(), facts: { reason, ...facts } });
  }

  #gate(
    { concurrency: total, most = () => total, local = false, pace }: WorkerOptions,
    stopped: (route: string) => boolean,
  ): Gate {
    const { firstDelay, maxDelay } = this.#parts.retry;
    const { failures, firstPause, longestPause } = breaker;
    return new Gate({
      ...{ total, most, local, pace, stopped, now: () => performance.now() },
      // a route is paused no longer than the schedule lets a message wait
      breaker: {
        failures,
        firstPause: Math.min(firstPause, firstDelay),
        longestPause: Math.min(longestPause, maxDelay),
      },
    });
  }

  #count(queue: QueueName, outcome: 'done' | 'retry' | 'suspend'): void {
    jobsDone.inc({ queue, outcome });
    this.#parts.onWork?.();
  }

  #longestWait(): number {
    return Math.max(this.#parts.retry.maxDelay, longestUntried);
  }

  async #bringLateForward(queue: QueueName): Promise<void> {
    const { redis, keys, log, flow } = this.#parts;
    try {
      if (queue === 'outbound') await Promise.all([flow.tendLines(), flow.bringExpired()]);
      const count = await bringLateForward(
        redis,
        keys,
        queue,
        this.#longestWait() + clockMargin,
        this.#parts.now(),
      );
      if (count > 0)
        log.warn({ queue, count }, 'retries were planned by a clock that was ahead; they are due now');
    } catch (err) {
      log.debug({ err, queue }, 'could not check for late retries');
    }
  }

  async #attempt(name: QueueName, data: Jobs[QueueName], work: () => Promise<Outcome>): Promise<Outcome> {
    const timer = jobSeconds.startTimer({ queue: name });
    try {
      return await work();
    } catch (error) {
      // whoever has the job now does the work, and reports the outcome
      if (error instanceof JobLost) throw error;
      const { code } = toErrorInfo(error);
      // while Redis or the object store is unreachable, every job fails like this
      const away = isStoreAway(error);
      this.#said.failed(name, data, error, code, away);
      // the message did not fail: it waits for the store, however long that takes
      return { retry: code, ...(away ? { untried: true, after: this.#storeWait() } : {}) };
    } finally {
      timer();
    }
  }

  /** Milliseconds until a job tries an unavailable store again, with jitter so that not all try at once. */
  #storeWait(): number {
    return Math.min(this.#parts.retry.maxDelay, 15_000) * (0.5 + Math.random() / 2);
  }

  async #retry(
    queue: QueueName,
    data: Jobs[QueueName],
    { retry: reason, facts: more = {}, after = 0, from }: Extract<Outcome, { retry: string }>,
    attempt: number,
  ): Promise<never> {
    const { flow, ledger, retry, names } = this.#parts;
    const planned = Math.max(retryDelay(attempt, retry), Math.min(after, retry.maxDelay));
    const delay = Math.min(planned, untilExpired(data, this.#parts.now()));
    const facts = { queue, reason, attempt, delay, ...more };
    const now = this.#parts.now();
    if (from !== undefined) await flow.attribute(data.id, from);
    await ledger.note(data.id, { type: 'retried', at: now, facts });
    countMessage('retried', queue, data, names, { reason, from });
    this.#said.retried(queue, data, { reason, attempt, at: now + delay, facts: more });
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
