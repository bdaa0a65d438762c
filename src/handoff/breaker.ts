/** Failures in a row that open the breaker, and how long it then stays open (doubling up to the longest). */
export interface BreakerSettings {
  failures: number;
  firstPause: number;
  longestPause: number;
}

export const defaultBreaker: BreakerSettings = { failures: 5, firstPause: 10_000, longestPause: 300_000 };

/** Leave to send one delivery. */
export interface Pass {
  readonly probe: boolean;
}

/**
 * A circuit breaker for one destination: after some failures in a row nothing is sent for a while, then one
 * delivery goes as a probe; its result closes the breaker or opens it for twice as long. It keeps a dead
 * destination from holding the places of others for a timeout each.
 */
export class Breaker {
  readonly #settings: BreakerSettings;
  readonly #now: () => number;
  #failures = 0;
  #pause = 0;
  #openUntil = 0;
  /** The one that decides; a late finisher of before can not take its place. */
  #probe: Pass | undefined;

  constructor(now: () => number, settings: BreakerSettings = defaultBreaker) {
    this.#now = now;
    this.#settings = settings;
  }

  /** A pass when a delivery may go (give it back with its end), else the milliseconds to wait. */
  enter(): Pass | number {
    if (this.#pause === 0) return { probe: false };
    const now = this.#now();
    // A clock that was set back must not make the pause longer than it was meant to be.
    this.#openUntil = Math.min(this.#openUntil, now + this.#pause);
    const wait = this.#openUntil - now;
    if (wait > 0) return wait;
    if (this.#probe !== undefined) return this.#settings.firstPause;
    this.#probe = { probe: true };
    return this.#probe;
  }

  /** The destination answered as one that works. */
  succeeded(): void {
    this.#failures = 0;
    this.#pause = 0;
    this.#probe = undefined;
  }

  /** The destination did not answer, or as one that does not work. */
  failed(pass: Pass): void {
    this.#failures++;
    const wasProbe = pass === this.#probe;
    this.abandoned(pass);
    // deliveries that were on their way when it opened change nothing
    if (this.#pause > 0 && !wasProbe) return;
    if (this.#failures < this.#settings.failures && !wasProbe) return;
    const { firstPause, longestPause } = this.#settings;
    this.#pause = this.#pause === 0 ? firstPause : Math.min(this.#pause * 2, longestPause);
    this.#openUntil = this.#now() + this.#pause;
  }

  /** The delivery ended without saying anything about the destination (it was stopped). */
  abandoned(pass: Pass): void {
    if (pass === this.#probe) this.#probe = undefined;
  }
}
