/** Where large octets lie: the interface of the spool folder and of the object store, and the sealing both share. */
import { consequenceOf, SealpostError } from '../errors.ts';
import { chunkSize, type SpoolKey, StreamSealer } from './seal.ts';

/** One object while it is written. Calls must not overlap. */
export interface LargeWriter {
  /** `spool-write`, `spool-full`, `spool-unreachable`, `spool-refused`. */
  write(octets: Buffer): Promise<void>;
  /** The object is durable under its id when this resolves. Errors as of `write`. */
  finish(): Promise<void>;
  /** Removes what was written. Does not throw. */
  abort(): Promise<void>;
}

/** What lies in a store, drafts and uploads that were never finished included. */
export interface StoredObject {
  id: string;
  /** Milliseconds since the epoch. */
  modifiedAt: number;
  remove(): Promise<void>;
}

export interface LargeStore {
  create(id: string): Promise<LargeWriter>;
  /** The plain octets in chunks, each verified before it is given out. `spool-missing`, `spool-corrupt`. */
  open(id: string): AsyncGenerator<Buffer>;
  /** Idempotent. */
  remove(id: string): Promise<void>;
  objects(): AsyncIterable<StoredObject>;
  /** Removes what processes that are known to have ended were writing; how many. */
  removeDead(): Promise<number>;
  /** Why the store cannot be used now, as far as known; null when it can. */
  trouble(): SealpostError | null;
  close(): void;
}

/** True when a store is away or denies access. What needs it is tried again until it is back. */
export function isStoreAway(error: unknown): error is SealpostError {
  return error instanceof SealpostError && consequenceOf(error.code) === 'wait';
}

export function missing(id: string): SealpostError {
  return new SealpostError('spool-missing', `stored octets ${id} are gone`);
}

/** Cuts octets of any length into sealed chunks. */
export class ChunkSealer {
  readonly header: Buffer;
  #sealer: StreamSealer;
  // Holds back a full chunk until more octets come: only then it is known not to be the last.
  #pending = Buffer.allocUnsafe(chunkSize);
  #filled = 0;

  constructor(key: SpoolKey, id: string) {
    this.#sealer = new StreamSealer(key, id);
    this.header = this.#sealer.header;
  }

  /** The chunks that have become full. */
  take(octets: Buffer): Buffer[] {
    const sealed: Buffer[] = [];
    let offset = 0;
    while (offset < octets.length) {
      if (this.#filled === chunkSize) {
        sealed.push(this.#sealer.seal(this.#pending, false));
        this.#filled = 0;
      }
      const taken = octets.copy(this.#pending, this.#filled, offset, offset + chunkSize - this.#filled);
      this.#filled += taken;
      offset += taken;
    }
    return sealed;
  }

  /** The last chunk. */
  last(): Buffer {
    return this.#sealer.seal(this.#pending.subarray(0, this.#filled), true);
  }
}
