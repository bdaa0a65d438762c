/** A BullMQ worker whose jobs end in the script of their step. */

import {
  AsyncFifoQueue,
  Job,
  type JobJson,
  type JobProgress,
  raw2NextJobData,
  type Span,
  Worker,
  type WorkerOptions,
} from 'bullmq';
import type { Redis } from 'ioredis';
import { type DurableWrites, type Octets, redisError, type ScriptArguments } from '../redis/index.ts';
import { Batches } from './batches.ts';
import { type Ahead, type JobEnd, JobLost } from './job-end.ts';
import { stepFailed } from './lua.ts';
import type { Step } from './steps.ts';
import type { QueueName } from './types.ts';

/**
 * Octets that may come along with a job. Lua hashes every octet that passes through it, so for more than this, a
 * separate round trip costs less.
 */
const mostAlong = 32 * 1024;
/**
 * Jobs that end together: those that end while others are on their way share a script, a round trip and an fsync.
 * Nobody else gets a reply from Redis meanwhile.
 */
const mostTogether = 16;
/** Milliseconds for which state and octets that came with a job count as current. */
const fresh = 250;
/** Which octets of a message the work of a queue needs, by their place in the record, from 1. */
const needed: Record<QueueName, readonly [first: number, last: number]> = {
  inbound: [1, 1],
  handoff: [2, 3],
  outbound: [1, 1],
  failures: [1, 0],
};

/**
 * Lets jobs die young. BullMQ's list of jobs that are ready leaves in each of its entries which one came next. While
 * the list is never empty, an entry in the old generation so keeps all that come later, with their jobs, until the next
 * full collection.
 */
function letJobsDieYoung(): void {
  const list: unknown = Reflect.get(new AsyncFifoQueue(), 'queue');
  const prototype: unknown = typeof list === 'object' && list !== null && Object.getPrototypeOf(list);
  if (typeof prototype !== 'object' || prototype === null || Reflect.has(prototype, cut)) return;
  const shift: unknown = Reflect.get(prototype, 'shift');
  if (typeof shift !== 'function') return;
  const value = function (this: unknown): unknown {
    const entry: unknown = Reflect.apply(shift, this, []);
    if (typeof entry === 'object' && entry !== null) Reflect.set(entry, 'next', null);
    return entry;
  };
  Object.defineProperties(prototype, { shift: { value }, [cut]: { value: true } });
}
const cut = Symbol('cut');

/** How a job ended in the script of its step. */
interface JobEnded {
  /** As BullMQ's worker takes it: the next job, its id, and two delays. */
  next: unknown[];
  /** The next job takes the place of this one. */
  takesPlace: boolean;
  at: number;
}

/** BullMQ's job, which knows whether it has ended already. */
class EndingJob<D, R, N extends string, P extends JobProgress> extends Job<D, R, N, P> {
  ended: JobEnded | undefined;
  came: { ahead: Ahead; at: number } | undefined;
  wantsNext: () => boolean = () => false;

  override async moveToCompleted(returnValue: R, token: string, fetchNext?: boolean) {
    if (!this.ended) return await super.moveToCompleted(returnValue, token, fetchNext);
    this.finishedOn = this.ended.at;
    this.attemptsMade += 1;
    return this.ended.next;
  }
}

export interface EndingParts {
  queue: QueueName;
  /** The worker's own connection. */
  connection: Redis;
  lockDuration: number;
  writes: DurableWrites;
}

/** A job that ends, with its step. */
interface End {
  id: string;
  token: string;
  /** In the form that the script takes. */
  next: number;
  args: ScriptArguments;
  octets: Octets;
}

interface EndReply {
  reply: unknown;
  kept: boolean;
  /** Milliseconds since the epoch. */
  at: number;
}

export class EndingWorker<D> extends Worker<D> {
  readonly #parts: EndingParts;
  /** Others need the jobs, so a job that ends takes the next one only if fewer are in progress than allowed. */
  isRestrained = false;
  readonly #steps = new Map<Step, Batches<End, EndReply>>();
  /** Keyed by the job's fields, which BullMQ passes from one place to the other. */
  readonly #came = new WeakMap<object, Ahead>();

  constructor(
    parts: EndingParts,
    work: (job: Job<D>, token?: string) => Promise<void>,
    options: Omit<WorkerOptions, 'connection' | 'lockDuration'>,
  ) {
    const { queue, connection, lockDuration } = parts;
    letJobsDieYoung();
    super(queue, work, { ...options, connection, lockDuration });
    this.#parts = parts;
  }

  /** True if the job that comes next has waited for the place of this one, which has ended. */
  isFollowed(job: Job<D>): boolean {
    return job instanceof EndingJob && job.ended?.takesPlace === true;
  }

  /**
   * For the handler of a job.
   *
   * @param follows whether a job that waits for its route may take its place, at the time when it ends
   */
  endOf(job: Job<D>, token: string, follows = () => true): JobEnd | undefined {
    if (!(job instanceof EndingJob)) return undefined;
    return {
      ahead() {
        const { came } = job;
        return came && performance.now() - came.at <= fresh ? came.ahead : null;
      },
      run: async (step, args, octets) => {
        // BullMQ counts jobs that have just ended, and would often say no; another script would then fetch the next one
        const wanted = (!this.isRestrained || job.wantsNext()) && !this.closing && !this.isPaused();
        const next = wanted ? (follows() ? 1 : 2) : 0;
        const { reply, kept, at } = await this.#batches(step).add({
          id: job.id ?? '',
          token,
          next,
          args,
          octets,
        });
        const [code, outcome, ...rest] = Array.isArray(reply) ? reply : [];
        if (code === stepFailed) throw redisError(replyError(String(outcome)), this.#parts.queue);
        if (typeof code !== 'number' || code < 0) throw new JobLost(Number(code));
        job.ended = { next: this.#next(rest), takesPlace: rest[4] === 1, at };
        return { reply: text(outcome), kept };
      },
    };
  }

  #batches(step: Step): Batches<End, EndReply> {
    const known = this.#steps.get(step);
    if (known) return known;
    const batches = new Batches<End, EndReply>((ends) => this.#run(step, ends), mostTogether);
    this.#steps.set(step, batches);
    return batches;
  }

  async #run(step: Step, ends: readonly End[]): Promise<EndReply[]> {
    const { queue, writes, connection, lockDuration } = this.#parts;
    // BullMQ's clock for everything it writes, delays included
    const at = Date.now();
    const args: ScriptArguments = [queue, lockDuration, at, mostAlong, ...needed[queue]];
    for (const end of ends) args.push(end.id, end.token, end.next, end.args.length, ...end.args);
    const octets = ends.flatMap((end) => end.octets);
    const { reply, kept } = await writes.end(step.ending, args, queue, octets, connection);
    return (Array.isArray(reply) ? reply : []).map((each: unknown) => ({ reply: each, kept, at }));
  }

  #next([fields, id, limit, delay, , state, kept, ...octets]: unknown[]): unknown[] {
    const next = raw2NextJobData([text(fields), text(id), limit, delay]);
    const [data] = next;
    if (typeof data === 'object' && data !== null) {
      const values = new Map<string, Buffer>();
      for (let each = 0; each + 1 < octets.length; each += 2) {
        const value = octets[each + 1];
        if (Buffer.isBuffer(value)) values.set(String(octets[each]), value);
      }
      const known = Buffer.isBuffer(state) ? state.toString() : null;
      this.#came.set(data, {
        state: known,
        kept: Buffer.isBuffer(kept) ? kept.toString() : '',
        octets: values,
      });
    }
    return next;
  }

  protected override get Job(): typeof Job {
    return EndingJob;
  }

  protected override createJob(data: JobJson, id: string): Job<D> {
    const job = super.createJob(data, id);
    const trace = this.opts.telemetry && traceOf(job.data);
    if (trace !== undefined) job.opts = { ...job.opts, telemetry: { metadata: trace } };
    const ahead = this.#came.get(data);
    if (ahead && job instanceof EndingJob) job.came = { ahead, at: performance.now() };
    return job;
  }

  /** What goes wrong after the end of a job (with its files, for instance) does not undo that end. */
  protected override async handleFailed(
    error: Error,
    job: Job<D>,
    token: string,
    wantsNext?: () => boolean,
    span?: Span,
  ): Promise<Job<D>> {
    if (job instanceof EndingJob && job.ended)
      return await this.handleCompleted(undefined, job, token, wantsNext, span);
    return await super.handleFailed(error, job, token, wantsNext, span);
  }

  override processJob(job: Job<D>, token: string, wantsNext?: () => boolean) {
    if (wantsNext && job instanceof EndingJob) job.wantsNext = wantsNext;
    return super.processJob(job, token, wantsNext);
  }
}

/** The trace that a job carries, which one of our scripts added instead of BullMQ. */
function traceOf(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || !('trace' in data)) return undefined;
  return typeof data.trace === 'string' ? data.trace : undefined;
}

/** An error that a script has caught, as ioredis would have thrown it. Before Redis 7, it begins with the line. */
function replyError(message: string): Error {
  const error = new Error(message.replace(/^@?user_script: ?\d+: -?/, ''));
  error.name = 'ReplyError';
  return error;
}

/** Buffers of a reply as strings. */
function text(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString();
  return Array.isArray(value) ? value.map(text) : value;
}
