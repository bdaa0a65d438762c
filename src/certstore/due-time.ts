/**
 * When the delay of a rule is over. A clock that is set ahead must not end it, because it is the time in which a person
 * can reject the certificate. So three clocks must agree: the one here, that of Redis, and a steady one since this
 * process began. What is left is a clock of Redis's machine that is ahead when the process begins.
 */

/** All in milliseconds; `now` and `redis` since the epoch. */
export interface Clocks {
  now(): number;
  /** Errors: `redis-unreachable`. */
  redis(): Promise<number>;
  /** Since any moment. Nobody sets it, and it may stand still while the machine sleeps. */
  steady(): number;
}

export class DueTime {
  readonly #clocks: Clocks;
  readonly #begin: { at: number; steady: number };

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#begin = { at: clocks.now(), steady: clocks.steady() };
  }

  /** The moment at which a delay that begins now is over. Errors: `redis-unreachable`. */
  async after(delay: number): Promise<number> {
    return Math.max(this.#clocks.now(), await this.#clocks.redis()) + delay;
  }

  /** A time that has certainly come: the earliest that a clock shows. Errors: `redis-unreachable`. */
  async reached(): Promise<number> {
    const { now, redis, steady } = this.#clocks;
    const { at, steady: since } = this.#begin;
    return Math.min(now(), at + (steady() - since), await redis());
  }
}
