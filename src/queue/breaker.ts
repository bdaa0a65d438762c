/** Failures in a row that open the breaker, and how long it then stays open (doubling up to the longest). */
export interface BreakerSettings {
  failures: number;
  firstPause: number;
  longestPause: number;
}

/** Permission for one attempt. */
export interface Pass {
  readonly probe: boolean;
}

/**
 * A circuit breaker for one route. After some failures in a row, nothing is tried for a while. Then one attempt goes as
 * a probe, whose result closes the breaker or opens it for twice as long. A route that is down is tried once, not once
 * for each waiting message.
 */
export class Breaker {
  readonly #settings: BreakerSettings;
  readonly #now: () => number;
  #failures = 0;
  #pause = 0;
  #openUntil = 0;
  /** The attempt that decides. An earlier attempt that ends late cannot. */
  #probe: Pass | undefined;

  constructor(now: () => number, settings: BreakerSettings) {
    this.#now = now;
    this.#settings = settings;
  }

  /** Milliseconds until an attempt may begin; 0 if one may begin now. */
  wait(): number {
    if (this.#pause === 0) return 0;
    const now = this.#now();
    // a clock that was set back must not make the pause longer than intended
    this.#openUntil = Math.min(this.#openUntil, now + this.#pause);
    const wait = this.#openUntil - now;
    if (wait > 0) return wait;
    return this.#probe === undefined ? 0 : this.#settings.firstPause;
  }

  /** A pass if an attempt may begin (return it with the result); otherwise the milliseconds to wait. */
  enter(): Pass | number {
    const wait = this.wait();
    if (wait > 0) return wait;
    if (this.#pause === 0) return { probe: false };
    this.#probe = { probe: true };
    return this.#probe;
  }

  /** The other side answered and works. */
  succeeded(): void {
    this.#failures = 0;
    this.#pause = 0;
    this.#probe = undefined;
  }

  /** There is reason to believe that the other side works again: the next attempt may begin at once, as the probe. */
  hurry(): void {
    if (this.#pause > 0) this.#openUntil = this.#now();
  }

  /** The other side did not answer, or does not work. */
  failed(pass: Pass): void {
    this.#failures++;
    const wasProbe = pass === this.#probe;
    this.abandoned(pass);
    // attempts that were in progress when it opened change nothing
    if (this.#pause > 0 && !wasProbe) return;
    if (this.#failures < this.#settings.failures && !wasProbe) return;
    const { firstPause, longestPause } = this.#settings;
    this.#pause = this.#pause === 0 ? firstPause : Math.min(this.#pause * 2, longestPause);
    this.#openUntil = this.#now() + this.#pause;
  }

  /** The attempt ended without saying anything about the other side (it was stopped). */
  abandoned(pass: Pass): void {
    if (pass === this.#probe) this.#probe = undefined;
  }
}
