/**
 * What ends by itself in Redis, and after how many milliseconds at most. Whoever gives a key its time to live takes it
 * from here, and `queue/clock-watch.ts` looks for keys that would outlive it: those were written by a clock that was ahead.
 */
export const lifetimes = {
  /**
   * Lock of a job. Renewed four times in each, by a timer: only what keeps the event loop for seconds loses it. What a
   * killed process had in hand goes on after this and a look for stalled jobs, each a quarter of it, at the latest.
   */
  lock: 10_000,
  /** BullMQ's note that somebody has looked for stalled jobs. */
  stalledCheck: 2_500,
  /** Sign of life and metrics of a process. */
  presence: 20_000,
  /** Lease of a folder of an IMAP mailbox: longer than a fail-over of Redis takes. */
  imapLease: 20_000,
  /** Lease of whoever sweeps. */
  sweepLease: 15 * 60_000 - 1000,
} as const;

/** What a process leaves of itself; the names of the keys are in a set of this name. */
export const presenceKinds = ['alive', 'metrics'] as const;
export type PresenceKind = (typeof presenceKinds)[number];
