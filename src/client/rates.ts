/** How much a client may send per minute, in each process of a door, and the buckets that count it. */

import { LRUCache } from 'lru-cache';
import { SealpostError } from '../errors.ts';
import type { Client } from './grants.ts';

/** As much as a minute's worth may be sent at once. */
const sizeOf = (limit: number): BucketSize => ({ holds: limit, perMinute: limit });

export class Rates {
  readonly #messages: Buckets;
  readonly #octets: Buckets;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now?: () => number) {
    this.#messages = new Buckets(now);
    this.#octets = new Buckets(now);
  }

  /**
   * Takes a message off what the client may still send.
   *
   * @throws {SealpostError} `rate-limited`; nothing was taken then
   */
  takeMessage(client: Client): void {
    const { name, grants } = client;
    const { messages, octets } = grants.limits;
    if (messages > 0 && this.#messages.left(name, sizeOf(messages)) < 1)
      throw limited(client, `${messages} messages`);
    // A message that is larger than what is left may still be sent. The next one waits for it.
    if (octets > 0 && this.#octets.left(name, sizeOf(octets)) <= 0) throw limited(client, `${octets} octets`);
    if (messages > 0) this.#messages.take(name, 1, sizeOf(messages));
  }

  takeOctets({ name, grants }: Client, amount: number): void {
    const { octets } = grants.limits;
    if (octets > 0) this.#octets.take(name, amount, sizeOf(octets));
  }
}

function limited(client: Client, what: string): SealpostError {
  return new SealpostError('rate-limited', `client ${client.name} may send ${what} a minute`);
}

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
  /** What was taken and has not come back. The size does not enter into it, because it may change. */
  readonly #taken = new LRUCache<string, { amount: number; at: number }>({ max: mostNames });

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Below zero if more was taken than was there. */
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
