/** What each client may take of this process: requests at a time, and in a minute. */
import { LRUCache } from 'lru-cache';
import type { Client } from '../client/index.ts';
import { refusal } from './problem.ts';

const minute = 60_000;

export class RequestLimits {
  readonly #atATime: number;
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #open = new Map<string, number>();
  readonly #left = new LRUCache<string, { requests: number; at: number }>({ max: 10_000 });

  /** @param now milliseconds of a clock that only goes forward */
  constructor(atATime: number, perMinute: number, now: () => number = () => performance.now()) {
    this.#atATime = atATime;
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /**
   * Counts a request; returns what counts it off again when it has ended.
   *
   * @throws {SealpostError} `rate-limited`
   */
  begin({ name, credential }: Client): () => void {
    this.#takeOne(credential);
    const open = this.#open.get(name) ?? 0;
    if (open >= this.#atATime)
      throw refusal('rate-limited', `the client has ${open} requests at a time (api.maxRequestsPerClient)`);
    this.#open.set(name, open + 1);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const left = (this.#open.get(name) ?? 1) - 1;
      if (left > 0) this.#open.set(name, left);
      else this.#open.delete(name);
    };
  }

  #takeOne(credential: string): void {
    if (this.#perMinute === 0) return;
    const now = this.#now();
    const known = this.#left.get(credential) ?? { requests: this.#perMinute, at: now };
    const back = ((now - known.at) / minute) * this.#perMinute;
    const requests = Math.min(this.#perMinute, known.requests + back);
    if (requests < 1)
      throw refusal(
        'rate-limited',
        `more than ${this.#perMinute} requests in a minute (api.requestsPerMinute)`,
      );
    this.#left.set(credential, { requests: requests - 1, at: now });
  }
}
