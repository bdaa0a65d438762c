/** How much a client may send in a minute, for each process of a door. */
import { SealpostError } from '../errors.ts';
import { type BucketSize, Buckets } from './buckets.ts';
import type { Client } from './grants.ts';

/** A minute's worth at once. */
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
    // A message that is larger than what is left may still come, and the next one waits for it.
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
