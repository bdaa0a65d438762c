/** Small parts of the workers: how many jobs they fetch and how they end, and what is noted of an attempt. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import { disconnect, run, script } from '../redis/index.ts';
import type { EndingWorker } from './ending-worker.ts';
import { routeOf } from './jobs.ts';
import type { Keys } from './keys.ts';
import { records } from './lua.ts';
import type { Routes } from './route-types.ts';
import type { Facts, Jobs, Outcome, QueueName } from './types.ts';

/** For traces: `done`, or what failed. */
export function outcomeText(outcome: Outcome): string {
  if ('done' in outcome) return 'done';
  return 'retry' in outcome ? `retry ${outcome.retry}` : `suspend ${outcome.suspend}`;
}

/** What is said of a message that waits for a person: who has it, of all attempts. */
export function withReached(facts: Facts | undefined, reached: readonly string[] = []): Facts | undefined {
  return reached.length === 0 ? facts : { ...facts, reached: [...reached] };
}

export async function closeWorker(
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
  // remaining jobs keep their locks until these expire; then another worker takes them
  ended.abort(new SealpostError('internal', 'the worker has closed'));
  if (late) worker.disconnect().catch(() => undefined);
  await disconnect(connection);
}

/**
 * Jobs that are fetched beyond those in progress, one after the other. What was fetched together with the end of a job
 * waits behind them, and must not get old (`fresh` in `ending-worker.ts`).
 */
const mostAhead = 16;
/** Milliseconds during which less is fetched, because another process needs the jobs. */
const restraint = 100;

/**
 * Lets BullMQ fetch jobs regardless of how many are in progress. The gate decides which of them are worked on, and the
 * others are put back. BullMQ checks its limit after it has started a job, and after one has ended.
 */
export class Fetches {
  readonly #worker: Pick<EndingWorker<unknown>, 'concurrency' | 'isRestrained'>;
  readonly #ahead: number;
  #inHand = 0;
  #restrained = 0;

  constructor(worker: Pick<EndingWorker<unknown>, 'concurrency' | 'isRestrained'>, concurrency: number) {
    this.#worker = worker;
    this.#ahead = Math.min(mostAhead, concurrency);
  }

  change(by: number): void {
    this.#inHand += by;
    this.#worker.isRestrained = this.#restrained > 0;
    this.#worker.concurrency = Math.max(1, this.#inHand + (this.#restrained > 0 ? 0 : this.#ahead));
  }

  /** Leaves waiting jobs to other processes for a moment. Called with a job in progress, which then ends. */
  async less(): Promise<void> {
    this.#restrained += 1;
    this.change(0);
    await sleep(restraint);
    this.#restrained -= 1;
    this.change(0);
  }
}

/** The kind of a queue's routes; undefined if a person cannot pause them. */
export function kindOf(queue: QueueName): 'partner' | 'destination' | undefined {
  if (queue === 'outbound') return 'partner';
  return queue === 'handoff' ? 'destination' : undefined;
}

export function noteAttempt<N extends QueueName>(
  routes: Routes,
  queue: N,
  data: Jobs[N],
  outcome: Outcome,
): void {
  const kind = kindOf(queue);
  if (kind === undefined) return;
  const route = routeOf(queue, data);
  if ('done' in outcome || outcome.peer === 'works') routes.succeeded(kind, route);
  if ('done' in outcome || outcome.peer === undefined) return;
  const code = 'retry' in outcome ? outcome.retry : outcome.suspend;
  const { facts = {}, dialogue = [] } = outcome;
  routes.failed(kind, route, { code, down: outcome.peer === 'down', facts, dialogue: [...dialogue] });
}

/** Jobs that one check brings forward at most. The next check takes more. */
const batch = 1000;

/**
 * Arguments: queue, now, longest possible wait. BullMQ keeps delayed jobs in a sorted set by the time in milliseconds
 * times 4096. A job that is due later than the longest wait from now was scheduled by another clock. "Now" is the later
 * of the caller's and Redis's time: a worker whose clock is behind must not assume that all others are ahead. The jobs
 * become due one millisecond apart, and the marker wakes a worker. Returns how many.
 */
const bringForward = script(
  records,
  `
local q, now = P .. ':' .. ARGV[1] .. ':', tonumber(ARGV[2])
local time = rcall('TIME')
local latest = math.max(now, time[1] * 1000 + math.floor(time[2] / 1000)) + tonumber(ARGV[3])
local late = rcall('ZRANGEBYSCORE', q .. 'delayed', string.format('(%.0f', latest * 4096), '+inf', 'LIMIT', 0, ${batch})
for at, id in ipairs(late) do
  rcall('ZADD', q .. 'delayed', 'XX', string.format('%.0f', (now + at) * 4096), id)
end
if #late > 0 then rcall('ZADD', q .. 'marker', 0, '0') end
return #late
`,
);

/**
 * Makes jobs due now that would be due later than `longest` milliseconds from `now` (milliseconds since the epoch).
 * Returns how many. Errors: `redis-unreachable`, `redis-full`.
 */
export async function bringLateForward(
  redis: Redis,
  keys: Keys,
  queue: QueueName,
  longest: number,
  now: number,
): Promise<number> {
  return Number(await run(redis, keys.prefix, bringForward, [queue, now, longest], 'delayed'));
}
