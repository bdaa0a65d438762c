/** How often a client may fail to log in. */
import { LRUCache } from 'lru-cache';

/** Failures that one client may have at once. */
export const MAX_FAILURES = 10;
/** Milliseconds after which one of them is forgotten. */
export const FORGIVEN_EVERY = 60_000;
/** Clients that are remembered. */
const MAX_CLIENTS = 10_000;

interface Failures {
  count: number;
  /** Milliseconds of a clock that only goes forward. */
  at: number;
}

/**
 * Counts failed logins by client, in a table of bounded size. What it protects is the log and the processor: nobody
 * guesses 256 random bits.
 */
export class FailedLogins {
  readonly #now: () => number;
  readonly #clients = new LRUCache<string, Failures>({ max: MAX_CLIENTS });

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** False for a client that has failed too often; whatever it presents is not looked at then. */
  mayTry(client: string): boolean {
    return this.#countOf(client) <= MAX_FAILURES - 1;
  }

  note(client: string): void {
    this.#clients.set(client, { count: this.#countOf(client) + 1, at: this.#now() });
  }

  #countOf(client: string): number {
    const known = this.#clients.get(client);
    if (known === undefined) return 0;
    return Math.max(0, known.count - (this.#now() - known.at) / FORGIVEN_EVERY);
  }
}
