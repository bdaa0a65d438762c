/**
 * How far a client has read the stream of events. Redis counts the events of a millisecond there, so a place would tell
 * what happens at others. The id of an event is therefore its place, encrypted: the same each time, for everybody. The
 * end of a page may lie behind events of others, so it is sealed: a client must not see how far the stream goes.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Client } from '../client/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { refusal } from './problem.ts';

/** Milliseconds and number, as Redis writes them. */
const placeForm = /^(\d{1,15})-(\d{1,9})$/;
const idForm = /^[\w-]{22}$/;

export class EventIds {
  readonly #key: Buffer;

  constructor({ deriveKey }: Pick<QueueRoom, 'deriveKey'>) {
    this.#key = deriveKey('ids of events');
  }

  /** One block of AES: what is equal stays equal, and nothing else of a place can be seen. */
  of(place: string): string {
    const [, milliseconds = '', number = ''] = placeForm.exec(place) ?? [];
    const block = Buffer.alloc(16);
    block.writeBigUInt64BE(BigInt(milliseconds || 0), 0);
    block.writeUInt32BE(Number(number), 8);
    const cipher = createCipheriv('aes-256-ecb', this.#key, null).setAutoPadding(false);
    return Buffer.concat([cipher.update(block), cipher.final()]).toString('base64url');
  }

  /** The place of an event; undefined for what is no id of ours. */
  placeOf(id: string): string | undefined {
    // As ids were before, for a program that was away during an update.
    if (placeForm.test(id)) return id;
    const octets = idForm.test(id) ? Buffer.from(id, 'base64url') : undefined;
    if (octets?.length !== 16) return undefined;
    const cipher = createDecipheriv('aes-256-ecb', this.#key, null).setAutoPadding(false);
    const block = Buffer.concat([cipher.update(octets), cipher.final()]);
    const place = `${block.readBigUInt64BE(0)}-${block.readUInt32BE(8)}`;
    return block.readUInt32BE(12) === 0 && placeForm.test(place) ? place : undefined;
  }
}

export class Places {
  readonly ids: EventIds;
  readonly #seals: Pick<QueueRoom, 'seal' | 'unseal'>;

  constructor(seals: Pick<QueueRoom, 'seal' | 'unseal' | 'deriveKey'>) {
    this.#seals = seals;
    this.ids = new EventIds(seals);
  }

  /** A cursor that is valid for this client alone, and different each time. */
  seal({ holder }: Client, place: string): string {
    return this.#seals.seal(contextOf(holder), place).toString('base64url');
  }

  /**
   * @param what is read, in errors
   * @returns the place of an event
   * @throws {SealpostError} `request-invalid`
   */
  read({ holder }: Client, text: string, what: string): string {
    const known = this.ids.placeOf(text);
    if (known !== undefined) return known;
    try {
      const place = this.#seals.unseal(contextOf(holder), Buffer.from(text, 'base64url'));
      if (typeof place === 'string' && placeForm.test(place)) return place;
    } catch {
      // It was sealed for another client, or is not one of ours.
    }
    throw refusal('request-invalid', `${what} is neither the id of an event nor a cursor of this client`);
  }
}

const contextOf = (holder: string): string => `events-cursor:${holder}`;
