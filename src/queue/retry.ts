import { randomBytes } from 'node:crypto';

export interface RetrySchedule {
  /** Milliseconds. */
  firstDelay: number;
  maxDelay: number;
}

/**
 * Milliseconds to wait after the given number of failures (from 1). The first delay is doubled each time, up to the
 * longest. Of that, a random share is taken (full jitter, so that jobs that failed together do not return together),
 * but at least a tenth, because a destination that is down must not be tried in a tight loop.
 */
export function retryDelay(
  failures: number,
  { firstDelay, maxDelay }: RetrySchedule,
  random: () => number = Math.random,
): number {
  const longest = Math.min(maxDelay, firstDelay * 2 ** Math.min(failures - 1, 40));
  return Math.round(longest * (0.1 + 0.9 * random()));
}

/** Milliseconds for which a nudge stays (`recovery.ts`). A process that starts later tries everything anyway. */
export const nudgeLasts = 600_000;

/** A value that no earlier nudge had. */
export function newNudge(): string {
  return randomBytes(6).toString('hex');
}
