/**
 * Where a client stands in the stream of events. The id of an event of its own is a place; the end of a page is one that
 * may lie behind events of others, so it is sealed: how far the stream goes is nothing that it may see.
 */
import type { Client } from '../client/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { refusal } from './problem.ts';

const idOfEvent = /^\d{1,16}-\d{1,16}$/;

export class Places {
  readonly #seals: Pick<QueueRoom, 'seal' | 'unseal'>;

  constructor(seals: Pick<QueueRoom, 'seal' | 'unseal'>) {
    this.#seals = seals;
  }

  /** A cursor of that client alone, another one each time. */
  seal({ holder }: Client, place: string): string {
    return this.#seals.seal(contextOf(holder), place).toString('base64url');
  }

  /**
   * @param what is read, in errors
   * @returns the id of an event
   * @throws {SealpostError} `request-invalid`
   */
  read({ holder }: Client, text: string, what: string): string {
    if (idOfEvent.test(text)) return text;
    try {
      const place = this.#seals.unseal(contextOf(holder), Buffer.from(text, 'base64url'));
      if (typeof place === 'string' && idOfEvent.test(place)) return place;
    } catch {
      // It was sealed for another client, or is none of ours.
    }
    throw refusal('request-invalid', `${what} is neither the id of an event nor a cursor of this client`);
  }
}

const contextOf = (holder: string): string => `events-cursor:${holder}`;
