/** How often a client may fail to log in. */
import { Buckets } from '../client/index.ts';

/** Failures that one client may have at once. */
export const MAX_FAILURES = 10;
/** Milliseconds after which one of them is forgotten. */
export const FORGIVEN_EVERY = 60_000;

const size = { holds: MAX_FAILURES, perMinute: 60_000 / FORGIVEN_EVERY };

/**
 * Counts failed logins by client, in a table of bounded size. What it protects is the log and the processor: nobody
 * guesses 256 random bits.
 */
export class FailedLogins {
  readonly #left: Buckets;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now?: () => number) {
    this.#left = new Buckets(now);
  }

  /** False for a client that has failed too often; whatever it presents is not looked at then. */
  mayTry(client: string): boolean {
    return this.#left.left(client, size) >= 1;
  }

  note(client: string): void {
    this.#left.take(client, 1, size);
  }
}
