/**
 * How much a client may send per minute, with all its tokens and with each, in each process of a door, and the buckets
 * that count it.
 */

import { LRUCache } from 'lru-cache';
import { SealpostError } from '../errors.ts';
import type { Client, Limits } from './grants.ts';

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
   * Takes messages off what the client, and its token, may still send.
   *
   * @param count one for each partner
   * @throws {SealpostError} `rate-limited`; nothing was taken then
   */
  takeMessages(client: Client, count = 1): void {
    const counted = countedFor(client);
    for (const { key, who, limits } of counted) {
      const { messages, octets } = limits;
      if (messages > 0 && this.#messages.left(key, sizeOf(messages)) < 1)
        throw limited(who, `${messages} messages`);
      // A mail to more partners, or with more octets, than are left may still be sent. The next one waits for it.
      if (octets > 0 && this.#octets.left(key, sizeOf(octets)) <= 0) throw limited(who, `${octets} octets`);
    }
    for (const { key, limits } of counted)
      if (limits.messages > 0) this.#messages.take(key, count, sizeOf(limits.messages));
  }

  takeOctets(client: Client, amount: number): void {
    for (const { key, limits } of countedFor(client))
      if (limits.octets > 0) this.#octets.take(key, amount, sizeOf(limits.octets));
  }
}

interface Counted {
  key: string;
  who: string;
  limits: Limits;
}

/** Whose limits hold: those of the client with all its tokens, and those of the token. No client has a colon. */
function countedFor({ name, credential, grants, shared }: Client): Counted[] {
  const all = { key: name, who: `client ${name}`, limits: shared };
  if (credential === '' || grants.limits === shared) return [all];
  const who = `token ${credential} of client ${name}`;
  return [all, { key: `token:${credential}`, who, limits: grants.limits }];
}

function limited(who: string, what: string): SealpostError {
  return new SealpostError('rate-limited', `${who} may send ${what} a minute`);
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
