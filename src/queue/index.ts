/**
 * The queue: records, jobs and events of messages in Redis, and the steps between them. It carries references and
 * sealed octets, and reads no message. Begin with `types.ts` (what other rooms see), then `intake.ts`, `flow.ts` and
 * `steps.ts`. The code that opens it is loaded when it is called, because BullMQ and the rest take longer to load than
 * most commands take to run.
 */
import type { Redis } from 'ioredis';
import type { Config } from '../config/index.ts';
import type { OpenOptions, QueueRoom } from './open.ts';
import type { Records, RecordsOptions } from './records.ts';

/** Loads what `openQueue` needs. */
export async function loadQueue(): Promise<void> {
  await import('./open.ts');
}

/** See `openQueue` in `open.ts`. */
export async function openQueue(config: Config, options: OpenOptions): Promise<QueueRoom> {
  const room = await import('./open.ts');
  return await room.openQueue(config, options);
}

/** See `openRecords` in `records.ts`. */
export async function openRecords(config: Config, options: RecordsOptions): Promise<Records> {
  const room = await import('./records.ts');
  return await room.openRecords(config, options);
}

/** See `holdUnfinished` in `hold.ts`. */
export async function holdUnfinished(parts: { redis: Redis; prefix: string }, now: number): Promise<number> {
  const { holdUnfinished } = await import('./hold.ts');
  return await holdUnfinished(parts, now);
}

export type { ClockFacts } from './clock-watch.ts';
export type { Events, FollowedEvent } from './event-types.ts';
export { expired } from './expiry.ts';
export { type Attempts, attemptsOf, type Explanation, explanationsOf, hostSaid, saidOf } from './explain.ts';
export type { InboundGuards } from './inbound-guards.ts';
export { messageOf, routeOf } from './jobs.ts';
export { type LastError, lastErrors } from './last-errors.ts';
export type {
  Among,
  Latency,
  Ledger,
  ListQuery,
  SuspendedGroup,
  Tallies,
  Tally,
  UsedCount,
} from './ledger-types.ts';
export type { OpenOptions, QueueRoom } from './open.ts';
export { outcomeOf } from './outcome.ts';
export type { Records } from './records.ts';
export {
  keysLike,
  type RestoreMark,
  readRestoreMark,
  waitsForRelease,
  writeRestoreMark,
} from './restored.ts';
export { pauseRoute, pollMailbox, type RouteRef, resumeRoute } from './route-acts.ts';
export {
  type ConfiguredRoute,
  configuredRoutes,
  destinationRoute,
  findMailbox,
  findRoute,
  partnerRoute,
} from './route-refs.ts';
export type {
  DownRoute,
  FolderState,
  Paused,
  RouteFailure,
  RouteKind,
  RouteState,
  Routes,
} from './route-types.ts';
export { type MailboxView, type RouteView, viewMailboxes, viewRoutes } from './route-views.ts';
export * from './types.ts';
export { type Verdicts, verdictsOf } from './verdicts.ts';
