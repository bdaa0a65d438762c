import { clientOf } from '../net/index.ts';
import { type Reply, replyTo } from './replies.ts';

/** Who connects: partners' servers (`mx`), or our own programs (`submission`). */
export type ListenerKind = 'mx' | 'submission';

/**
 * Counts connections over all listeners (in total, per client and per kind), and knows whether the receiver is
 * draining.
 */
export class Gate {
  draining = false;
  #total = 0;
  readonly #kinds = { mx: 0, submission: 0 };
  readonly #clients = new Map<string, number>();
  readonly #max: number;
  readonly #maxPerKind: number;
  readonly #maxPerClient: number;

  /**
   * @param areBoth whether there are listeners of both kinds; then neither kind can take the last fifth of the
   *    connections
   */
  constructor(max: number, maxPerClient: number, areBoth = false) {
    this.#max = max;
    this.#maxPerKind = areBoth ? Math.max(1, max - Math.ceil(max / 5)) : max;
    this.#maxPerClient = maxPerClient;
  }

  get open(): number {
    return this.#total;
  }

  /** Admits a client, or returns the refusal. Call the result once, when the client leaves. */
  enter(address: string, kind: ListenerKind = 'mx'): { leave: () => void } | { refusal: Reply } {
    if (this.draining) return { refusal: replyTo('draining') };
    const client = clientOf(address);
    const count = this.#clients.get(client) ?? 0;
    const isFull = this.#total >= this.#max || this.#kinds[kind] >= this.#maxPerKind;
    if (isFull || count >= this.#maxPerClient) return { refusal: replyTo('too-many-connections') };
    this.#total++;
    this.#kinds[kind]++;
    this.#clients.set(client, count + 1);
    return { leave: () => this.#leave(client, kind) };
  }

  #leave(client: string, kind: ListenerKind): void {
    this.#total--;
    this.#kinds[kind]--;
    const count = (this.#clients.get(client) ?? 1) - 1;
    if (count > 0) this.#clients.set(client, count);
    else this.#clients.delete(client);
  }
}
