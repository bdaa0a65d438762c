/** How much of this process each client or person may use: requests at a time, and per minute. */
import { Buckets, type Client } from '../client/index.ts';
import { refusal } from './problem.ts';

/** The settings that set these limits, to be named in refusals. */
export interface LimitNames {
  atATime: string;
  perMinute: string;
}

export class RequestLimits {
  readonly #atATime: number;
  readonly #perMinute: number;
  readonly #names: LimitNames;
  readonly #open = new Map<string, number>();
  readonly #requests: Buckets;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(atATime: number, perMinute: number, names: LimitNames, now?: () => number) {
    this.#atATime = atATime;
    this.#perMinute = perMinute;
    this.#names = names;
    this.#requests = new Buckets(now);
  }

  /**
   * Counts a request. Returns the function that ends it.
   *
   * @throws {SealpostError} `rate-limited`
   */
  begin({ name, credential }: Pick<Client, 'name' | 'credential'>): () => void {
    this.#takeOne(credential);
    const open = this.#open.get(name) ?? 0;
    if (open >= this.#atATime)
      throw refusal('rate-limited', `${open} requests are open at a time (${this.#names.atATime})`);
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
    const size = { holds: this.#perMinute, perMinute: this.#perMinute };
    if (this.#requests.left(credential, size) < 1)
      throw refusal(
        'rate-limited',
        `more than ${this.#perMinute} requests in a minute (${this.#names.perMinute})`,
      );
    this.#requests.take(credential, 1, size);
  }
}
