/**
 * Long work of clients in this process, some of it at a time. A client that asks for much waits for itself; the others
 * do not wait for it.
 */
import type { ServerResponse } from 'node:http';
import type { Client } from '../client/index.ts';
import { refusal } from './problem.ts';

export class Turns {
  readonly #what: string;
  readonly #atATime: number;
  readonly #mostEach: number;
  /** The work of one client that runs or waits. */
  readonly #open = new Map<string, number>();
  readonly #running = new Set<string>();
  /** Waiting work by client, in the order of their turns. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /**
   * @param what is done, in the plural, for whoever has to wait
   * @param atATime how much of it runs at a time, each of another client
   * @param mostEach how much of a client may run or wait
   */
  constructor(what: string, atATime: number, mostEach: number) {
    this.#what = what;
    this.#atATime = atATime;
    this.#mostEach = mostEach;
  }

  /**
   * Runs work when it is the client's turn.
   *
   * Errors: `rate-limited` if too much of the client is under way; those of `work`.
   *
   * @param response of the request that waits. If the client goes away, its work is dropped; otherwise, work for nobody
   *    could pile up.
   */
  async take<T>(
    { holder: who }: Client,
    work: () => Promise<T>,
    response?: Pick<ServerResponse, 'destroyed'>,
  ): Promise<T> {
    const open = this.#open.get(who) ?? 0;
    if (open >= this.#mostEach)
      throw refusal('rate-limited', `other ${this.#what} of yours are under way`, 'ask again later');
    this.#open.set(who, open + 1);
    try {
      await this.#turnOf(who);
      try {
        if (response?.destroyed === true) throw refusal('request-invalid', 'nobody waits for it any more');
        return await work();
      } finally {
        this.#ended(who);
      }
    } finally {
      const left = (this.#open.get(who) ?? 1) - 1;
      if (left > 0) this.#open.set(who, left);
      else this.#open.delete(who);
    }
  }

  #turnOf(who: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.set(who, [...(this.#waiting.get(who) ?? []), resolve]);
      this.#next();
    });
  }

  /** Its other work waits behind everybody else's. */
  #ended(who: string): void {
    this.#running.delete(who);
    const line = this.#waiting.get(who);
    this.#waiting.delete(who);
    if (line) this.#waiting.set(who, line);
    this.#next();
  }

  #next(): void {
    for (const [who, [first, ...others]] of this.#waiting) {
      if (this.#running.size >= this.#atATime) return;
      if (this.#running.has(who) || first === undefined) continue;
      if (others.length > 0) this.#waiting.set(who, others);
      else this.#waiting.delete(who);
      this.#running.add(who);
      first();
    }
  }
}
