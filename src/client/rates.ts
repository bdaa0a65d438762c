/** How much a client may send in a minute: token buckets that hold one minute's worth, for each process of a door. */
import { LRUCache } from 'lru-cache';
import { SealpostError } from '../errors.ts';
import type { Client } from './grants.ts';

interface Bucket {
  /** What is left. */
  messages: number;
  octets: number;
  /** Milliseconds of a clock that only goes forward. */
  at: number;
}

const minute = 60_000;
const mostBuckets = 10_000;

export class Rates {
  readonly #now: () => number;
  readonly #buckets = new LRUCache<string, Bucket>({ max: mostBuckets });

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Takes a message off what the client may still send.
   *
   * @throws {SealpostError} `rate-limited`; nothing was taken then
   */
  takeMessage(client: Client): void {
    const { messages, octets } = client.grants.limits;
    const bucket = this.#bucket(client);
    if (messages > 0 && bucket.messages < 1) throw limited(client, `${messages} messages`);
    // A message that is larger than what is left may still come, and the next one waits for it.
    if (octets > 0 && bucket.octets <= 0) throw limited(client, `${octets} octets`);
    bucket.messages -= 1;
  }

  takeOctets(client: Client, octets: number): void {
    this.#bucket(client).octets -= octets;
  }

  #bucket(client: Client): Bucket {
    const { messages, octets } = client.grants.limits;
    const now = this.#now();
    const bucket = this.#buckets.get(client.name) ?? { messages, octets, at: now };
    const share = Math.max(0, now - bucket.at) / minute;
    bucket.messages = Math.min(messages, bucket.messages + messages * share);
    bucket.octets = Math.min(octets, bucket.octets + octets * share);
    bucket.at = now;
    this.#buckets.set(client.name, bucket);
    return bucket;
  }
}

function limited(client: Client, what: string): SealpostError {
  return new SealpostError('rate-limited', `client ${client.name} may send ${what} a minute`);
}
