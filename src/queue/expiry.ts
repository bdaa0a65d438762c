/** When outbound messages expire (`notAfter`). */
import type { Jobs, Outcome, QueueName } from './types.ts';

/** Milliseconds after which a message that has expired should say so; at least a tenth of a second. */
export function untilExpired(data: Jobs[QueueName], now: number): number {
  return Math.max(100, endOf(data) + 1 - now);
}

/** The outcome of a message that was not sent in time; undefined for all others. */
export function expired(
  data: Jobs[QueueName],
  now: number,
): Extract<Outcome, { suspend: string }> | undefined {
  const end = endOf(data);
  return now > end ? { suspend: 'expired', facts: { notAfter: new Date(end).toISOString() } } : undefined;
}

function endOf(data: Jobs[QueueName]): number {
  return ('delivery' in data ? data.delivery?.notAfter : undefined) ?? Number.POSITIVE_INFINITY;
}
