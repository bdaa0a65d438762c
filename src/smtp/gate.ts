import { isIPv4, isIPv6 } from 'node:net';
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

/**
 * What counts as one client: an IPv4 address (including its form on a listener on `::`, ::ffff:192.0.2.1), or the first
 * 64 bits of an IPv6 address (RFC 4291 section 2.5.1).
 */
export function clientOf(address: string): string {
  const mapped = address.replace(/^::ffff:/i, '');
  if (isIPv4(mapped) || !isIPv6(address)) return mapped;
  const [head = '', tail = ''] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = address.includes('::') ? 8 - groups.length - (tail === '' ? 0 : tail.split(':').length) : 0;
  const all = [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...tail.split(':')];
  return all
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+/, '') || group.slice(0, 1))
    .join(':');
}
