import { clientOf } from '../net/index.ts';
import { type Reply, replyTo } from './replies.ts';

/** Counts connections over all listeners, in total and per client, and knows whether the receiver is draining. */
export class Gate {
  draining = false;
  #total = 0;
  readonly #clients = new Map<string, number>();
  readonly #max: number;
  readonly #maxPerClient: number;

  constructor(max: number, maxPerClient: number) {
    this.#max = max;
    this.#maxPerClient = maxPerClient;
  }

  get open(): number {
    return this.#total;
  }

  /** Admits a client (call the result once when it leaves), or returns the refusal. */
  enter(address: string): { leave: () => void } | { refusal: Reply } {
    if (this.draining) return { refusal: replyTo('draining') };
    const client = clientOf(address);
    const count = this.#clients.get(client) ?? 0;
    if (this.#total >= this.#max || count >= this.#maxPerClient)
      return { refusal: replyTo('too-many-connections') };
    this.#total++;
    this.#clients.set(client, count + 1);
    return { leave: () => this.#leave(client) };
  }

  #leave(client: string): void {
    this.#total--;
    const count = (this.#clients.get(client) ?? 1) - 1;
    if (count > 0) this.#clients.set(client, count);
    else this.#clients.delete(client);
  }
}
