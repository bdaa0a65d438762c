/** Storage of large messages: the interface of spool folder and object store, and how octets from both are opened. */
import { consequenceOf, type ErrorCode, SealpostError } from '../errors.ts';
import { chunkSize, headerSize, type SpoolKey, StreamOpener, tagSize } from './seal.ts';

/** One object while it is being written. Calls must not overlap. */
export interface LargeWriter {
  /**
   * Takes octets. If it returns a promise, wait for it before the next call. Errors: `spool-write`, `spool-full`,
   * `spool-unreachable`, `spool-refused`.
   */
  write(octets: Buffer): Promise<void> | undefined;
  /** When this resolves, the object is durable under its id. Errors: those of `write`. */
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
  /** The plain octets in chunks, each verified before it is returned. Errors: `spool-missing`, `spool-corrupt`. */
  open(id: string): AsyncGenerator<Buffer>;
  /** The octets as they are stored, still sealed, for a backup. Errors: `spool-missing`. */
  sealed(id: string): AsyncGenerator<Buffer>;
  /** Like `create`, for octets that `sealed` returned. */
  createSealed(id: string): Promise<LargeWriter>;
  /** Idempotent. */
  remove(id: string): Promise<void>;
  objects(): AsyncIterable<StoredObject>;
  /** Removes drafts of processes that have certainly ended; returns how many. */
  removeDead(): Promise<number>;
  /** Why the store cannot be used now, as far as known; null if it can. */
  trouble(): SealpostError | null;
  close(): void;
}

/** True if a store is unreachable or denies access. Whatever needs it is tried again until it is back. */
export function isStoreAway(error: unknown): error is SealpostError {
  return error instanceof SealpostError && consequenceOf(error.code) === 'wait';
}

export function missing(id: string): SealpostError {
  return new SealpostError('spool-missing', `stored octets ${id} are gone`);
}

/** True for an error code that says that stored octets are gone or cannot be opened. */
export function isLoss(code: ErrorCode): boolean {
  return code === 'spool-missing' || code === 'spool-corrupt';
}

/** Some octets of an object, and how many there are in total. The next read may overwrite the octets. */
export interface StoredOctets {
  octets: Buffer;
  size: number;
}

/**
 * The plain octets of an object. `read` reads it in order, about `chunks` chunks at a time. Errors: `spool-corrupt`,
 * and those of `read`.
 */
export async function* openStored(
  key: SpoolKey,
  id: string,
  chunks: number,
  read: (from: number, length: number) => Promise<StoredOctets>,
): AsyncGenerator<Buffer> {
  // with room for what ends the stream: a read that has less than a chunk has the rest
  const window = chunks * (chunkSize + tagSize) + tagSize;
  let { octets, size } = await read(0, headerSize + window);
  const opener = new StreamOpener(key, id, octets.subarray(0, headerSize));
  octets = octets.subarray(headerSize);
  for (let at = headerSize; ; ) {
    const isLast = at + octets.length >= size;
    const whole = isLast ? octets : octets.subarray(0, opener.wholeChunks(octets.length, size - at));
    yield* opener.open(whole, isLast);
    if (isLast) return;
    at += whole.length;
    ({ octets, size } = await read(at, window));
  }
}
