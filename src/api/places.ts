/**
 * How far a client has read the stream of events. The id of an event is its place in the stream. The end of a page may
 * lie behind events of others, so it is sealed: a client must not see how far the stream goes.
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

  /** A cursor that is valid for this client alone, and different each time. */
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
      // It was sealed for another client, or is not one of ours.
    }
    throw refusal('request-invalid', `${what} is neither the id of an event nor a cursor of this client`);
  }
}

const contextOf = (holder: string): string => `events-cursor:${holder}`;
