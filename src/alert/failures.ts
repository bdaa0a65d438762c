/** Counts failures per ten minutes, from the counters that each process keeps for itself. */
import type { Measured } from '../daemon/index.ts';
import type { AlertBook } from './book.ts';

/** Failures of the last hour and of the same hour a week before; undefined where nobody counted. */
export interface FailureCount {
  last: number;
  before: number | undefined;
}

const week = 7 * 86_400_000;
/** After this many milliseconds, what was counted in the meantime can no longer be assigned to an interval. */
const longestGap = 300_000;

export class FailureCounter {
  readonly #book: AlertBook;
  /** The counters by process, as of the last look. */
  #seen = new Map<string, number>();
  #at: number | undefined;

  constructor(book: AlertBook) {
    this.#book = book;
  }

  /** Errors: `redis-unreachable`. */
  async count(metrics: readonly Measured[], now: number): Promise<FailureCount> {
    const totals = new Map<string, number>();
    for (const { name, instance, labels, value } of metrics)
      if (name === 'jobs_total' && (labels.outcome === 'retry' || labels.outcome === 'suspend'))
        totals.set(instance, (totals.get(instance) ?? 0) + value);
    const isFirst = this.#at === undefined || Math.abs(now - this.#at) > longestGap;
    let fresh = 0;
    if (!isFirst)
      for (const [instance, total] of totals) {
        const before = this.#seen.get(instance) ?? 0;
        // A restarted process counts from zero.
        fresh += total >= before ? total - before : total;
      }
    this.#seen = totals;
    this.#at = now;
    // also 0: it records that somebody counted
    await this.#book.countFailures(now, fresh);
    const [last = 0, before] = [
      await this.#book.failuresBefore(now),
      await this.#book.failuresBefore(now - week),
    ];
    return { last, before };
  }
}
