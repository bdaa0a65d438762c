/** Token buckets by name: how much each may still take. They fill evenly, and a name that is new has a full one. */
import { LRUCache } from 'lru-cache';

export interface BucketSize {
  /** What a full bucket holds. */
  holds: number;
  /** What comes back in a minute. */
  perMinute: number;
}

const minute = 60_000;
const mostNames = 10_000;

export class Buckets {
  readonly #now: () => number;
  /** What was taken and has not come back, which does not depend on the size: that may change. */
  readonly #taken = new LRUCache<string, { amount: number; at: number }>({ max: mostNames });

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Below zero where more was taken than was there. */
  left(name: string, { holds, perMinute }: BucketSize): number {
    const taken = this.#taken.get(name);
    if (taken === undefined) return holds;
    const back = (Math.max(0, this.#now() - taken.at) / minute) * perMinute;
    return holds - Math.max(0, taken.amount - back);
  }

  take(name: string, amount: number, size: BucketSize): void {
    const before = size.holds - this.left(name, size);
    this.#taken.set(name, { amount: before + amount, at: this.#now() });
  }
}
