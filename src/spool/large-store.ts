/** Storage of large messages: the interface of spool folder and object store, and the sealing that both share. */
import { consequenceOf, type ErrorCode, SealpostError } from '../errors.ts';
import { chunkSize, type SpoolKey, StreamSealer } from './seal.ts';

/** One object while it is written. Calls must not overlap. */
export interface LargeWriter {
  /** `spool-write`, `spool-full`, `spool-unreachable`, `spool-refused`. */
  write(octets: Buffer): Promise<void>;
  /** The object is durable under its id when this resolves. Errors: those of `write`. */
  finish(): Promise<void>;
  /** Removes what was written. Does not throw. */
  abort(): Promise<void>;
}

/** An object in a store, including unfinished drafts and uploads. */
export interface StoredObject {
  id: string;
  /** Milliseconds since the epoch. */
  modifiedAt: number;
  remove(): Promise<void>;
}

export interface LargeStore {
  create(id: string): Promise<LargeWriter>;
  /** The plain octets in chunks, each verified before it is returned. `spool-missing`, `spool-corrupt`. */
  open(id: string): AsyncGenerator<Buffer>;
  /** Idempotent. */
  remove(id: string): Promise<void>;
  objects(): AsyncIterable<StoredObject>;
  /** Removes drafts of processes that have certainly ended; returns how many. */
  removeDead(): Promise<number>;
  /** Why the store cannot be used now, as far as known; null if it can. */
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

/** True for the code of an error that says that stored octets are gone or cannot be opened. */
export function isLoss(code: ErrorCode): boolean {
  return code === 'spool-missing' || code === 'spool-corrupt';
}

/** Cuts octets of any length into sealed chunks. */
export class ChunkSealer {
  readonly header: Buffer;
  #sealer: StreamSealer;
  // Holds back a full chunk until more octets arrive: only then it is certain not to be the last.
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
