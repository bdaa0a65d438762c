import type { Log } from '../log.ts';
import { gauge } from '../metrics.ts';
import { type Expiry, expiryText, thresholdOf } from './expiry.ts';

const seconds = gauge(
  'certificate_expiry_seconds',
  'Seconds until certificates of a partner (empty: our own) end for a use with nothing in their place; those that end soon.',
  ['partner', 'use'],
);

export interface ExpiryWatchParts {
  /** Awaited before each look: reads what may have changed. Errors: `redis-unreachable`. */
  prepare?: () => Promise<void>;
  /** Everything that ends before a time, the soonest first. */
  expiries: (at: Date, before: Date) => readonly Expiry[];
  /** Days before the end at which is warned (`expiry.days`). */
  days: readonly number[];
  log: Log;
  now: () => Date;
  /** Whether this process is the one that watches. Errors: `redis-unreachable`. */
  isMine: () => Promise<boolean>;
  /** What has ended lately. */
  ended?: (at: Date) => readonly Expiry[];
  /** Tells the alerts what ends and what has ended. Errors: `redis-unreachable`. */
  publish?: (expiries: readonly Expiry[]) => Promise<void>;
  /** True once for a name in the whole installation. Errors: `redis-unreachable`. */
  once: (name: string) => Promise<boolean>;
}

/** Milliseconds between two looks, and from a change of certificates to the look that it causes. */
const every = 10 * 60_000;
const soonAfter = 1000;
/** Time series that one process shows: those that end first. */
const mostSeries = 500;
/** Days before the end from which `sealpost health` names it. */
const healthDays = 7;
const dayLong = 86_400_000;

/**
 * Warns of certificates that end: in the log, once for each certificate and threshold; as a metric; and in `health`.
 */
export class ExpiryWatch {
  readonly #parts: ExpiryWatchParts;
  #soon: readonly { expiry: Expiry; since: number; why: string }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #soonLook: NodeJS.Timeout | undefined;

  constructor(parts: ExpiryWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    const look = () => void this.look();
    this.#timer = setInterval(look, every).unref();
    look();
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soonLook);
  }

  /** Looks soon: certificates have changed. Many changes at once are one look. */
  lookSoon(): void {
    this.#soonLook ??= setTimeout(() => {
      this.#soonLook = undefined;
      void this.look();
    }, soonAfter).unref();
  }

  /** For `sealpost health`. */
  troubles(): { what: string; since: number; why: string; certificate: true }[] {
    return this.#soon.map(({ expiry, since, why }) => ({
      ...{ what: `${expiry.owner} soon`, since, why },
      certificate: true,
    }));
  }

  /** Looks once. While Redis is away, nothing is said, and the next look says it. */
  async look(): Promise<void> {
    const { now, isMine, expiries, days } = this.#parts;
    try {
      seconds.reset();
      this.#soon = [];
      if (!(await isMine())) return;
      await this.#parts.prepare?.();
      const at = now();
      const before = new Date(at.getTime() + Math.max(0, ...days) * dayLong);
      const due = expiries(at, before).filter((each) => thresholdOf(each, at, days) !== undefined);
      this.#measure(due, at);
      this.#soon = due
        .filter((each) => thresholdOf(each, at, [healthDays]) !== undefined)
        .slice(0, mostSeries)
        .map((expiry) => {
          const since = expiry.until.getTime() - healthDays * dayLong;
          return { expiry, since, why: `${expiryText(expiry, at)}; ${expiry.hint}` };
        });
      const { ended = () => [], publish } = this.#parts;
      await publish?.([...ended(at), ...due].slice(0, mostSeries));
      for (const each of due) await this.#warn(each, at);
    } catch {
      // Redis is away
    }
  }

  #measure(due: readonly Expiry[], at: Date): void {
    const least = new Map<string, { partner: string; use: string; left: number }>();
    for (const { partner, uses, until } of due)
      for (const use of uses) {
        const key = `${use} ${partner}`;
        // the soonest comes first
        if (!least.has(key) && least.size < mostSeries)
          least.set(key, { partner, use, left: Math.round((until.getTime() - at.getTime()) / 1000) });
      }
    for (const { partner, use, left } of least.values()) seconds.set({ partner, use }, left);
  }

  async #warn(expiry: Expiry, at: Date): Promise<void> {
    const { days, once, log } = this.#parts;
    const threshold = thresholdOf(expiry, at, days);
    if (threshold === undefined) return;
    const { owner, partner, uses, until, id, hint } = expiry;
    if (!(await once(`${owner} ${uses.join()} ${id} ${threshold}`))) return;
    const facts = { ...(partner !== '' && { partner }), uses, until: until.toISOString(), threshold, hint };
    log.warn(facts, expiryText(expiry, at));
  }
}
