/**
 * Sealing of octets at rest: AES-256-GCM under a key of their own, in the STREAM construction (Hoang, Reyhanitabar,
 * Rogaway, Vizar 2015), so that truncation, reordering and exchange of chunks or whole objects are detected.
 *
 *     whole  = 0x01 | salt (16) | ciphertext | tag (16)
 *     stream = 0x03 | salt (16) | { ciphertext of 262,144 octets, the last one of 1 to 262,144 | tag (16) } ... | tag (16)
 *     stream of version 0.1.0, only read:
 *              0x02 | salt (16) | { ciphertext of 65,536 octets, the last one of 0 to 65,536 | tag (16) } ...
 *
 * Object key: HKDF-SHA-256 of the spool key, with the salt in the info. Nonce: 7 zero octets, number of the chunk in 4
 * octets, 1 octet that is 1 in the last chunk; it cannot repeat, because each object has its own salt and thus its own
 * key. Additional data: the id of the object. The last chunk of a stream is empty and nothing but its tag, so that
 * octets can be sealed as they come: whether a chunk is the last must be known when it begins.
 */
import {
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { SealpostError } from '../errors.ts';

/**
 * Octets of plain text per chunk of a stream. More does not pay off: the chunk must be opened completely before any of
 * it can be used, and should still be in the processor's cache then.
 */
export const chunkSize = 262_144;
/** The same in version 0.1.0. */
const oldChunkSize = 65_536;
/** Octets that are opened into one buffer. For larger ones, the system would have to find memory each time. */
const pieceSize = 65_536;
export const tagSize = 16;
const saltSize = 16;
export const headerSize = 1 + saltSize;
const wholeVersion = 1;
const oldStreamVersion = 2;
const streamVersion = 3;
const cipherName = 'aes-256-gcm';

/** The operator's key. */
export type SpoolKey = KeyObject;

function corrupt(id: string): SealpostError {
  return new SealpostError('spool-corrupt', `stored octets ${id} do not open`, {
    hint: 'the spool key is a different one, or they were changed or cut at rest',
  });
}

/**
 * HKDF-Expand (RFC 5869 section 2.3) for one block. The spool key is uniformly random, so the extract step may be left
 * out (section 3.3). It would cost as much as sealing a small message.
 */
function objectKey(key: SpoolKey, salt: Buffer): string {
  return createHmac('sha256', key).update('sealpost spool 1').update(salt).update('\x01').digest('binary');
}

/**
 * Keys are given as text with one character per octet. Given octets, a cipher of node:crypto goes through two
 * exceptions to find out that they are not a key object, and a key object made for one message outlives every young
 * collection.
 */
const rawKey = { encoding: 'latin1', authTagLength: tagSize } as const;

function nonceOf(index: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 7);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

// random octets are drawn in bulk, because one call for each object costs more than its cipher
let pool = Buffer.alloc(0);
function header(version: number): Buffer {
  if (pool.length < saltSize) pool = randomBytes(256 * saltSize);
  const salt = pool.subarray(0, saltSize);
  pool = pool.subarray(saltSize);
  return Buffer.concat([Buffer.of(version), salt]);
}

/** Seals small octets, given in pieces, in one pass. */
export function sealWhole(key: SpoolKey, id: string, pieces: Buffer[]): Buffer {
  const head = header(wholeVersion);
  const cipher = createCipheriv(cipherName, objectKey(key, head.subarray(1)), nonceOf(0, true), rawKey);
  cipher.setAAD(Buffer.from(id));
  const sealed = pieces.map((piece) => cipher.update(piece));
  cipher.final();
  return Buffer.concat([head, ...sealed, cipher.getAuthTag()]);
}

/** Opens what `sealWhole` made. Errors: `spool-corrupt`. */
export function openWhole(key: SpoolKey, id: string, sealed: Buffer): Buffer {
  if (sealed.length < headerSize + tagSize || sealed[0] !== wholeVersion) throw corrupt(id);
  const decipher = createDecipheriv(
    cipherName,
    objectKey(key, sealed.subarray(1, headerSize)),
    nonceOf(0, true),
    rawKey,
  );
  decipher.setAAD(Buffer.from(id));
  decipher.setAuthTag(sealed.subarray(sealed.length - tagSize));
  const plain = decipher.update(sealed.subarray(headerSize, sealed.length - tagSize));
  try {
    decipher.final();
  } catch {
    throw corrupt(id);
  }
  return plain;
}

/** Seals a stream as it comes. Write `header` before everything else. */
export class StreamSealer {
  readonly header: Buffer;
  #key: string;
  #aad: Buffer;
  #index = 0;
  /** The cipher of the current chunk, and how much it still takes. */
  #cipher: CipherGCM | undefined;
  #room = 0;

  constructor(key: SpoolKey, id: string) {
    this.header = header(streamVersion);
    this.#key = objectKey(key, this.header.subarray(1));
    this.#aad = Buffer.from(id);
  }

  /** The octets, sealed, to be written one after the other. */
  seal(octets: Buffer): Buffer[] {
    const sealed: Buffer[] = [];
    for (let at = 0; at < octets.length; ) {
      if (this.#room === 0) {
        sealed.push(...this.#ended());
        this.#cipher = this.#begin(false);
        this.#room = chunkSize;
      }
      const taken = Math.min(this.#room, octets.length - at);
      if (this.#cipher) sealed.push(this.#cipher.update(octets.subarray(at, at + taken)));
      this.#room -= taken;
      at += taken;
    }
    reclaim(octets.length);
    return sealed;
  }

  /** What ends the stream. */
  end(): Buffer[] {
    const tag = this.#ended();
    this.#cipher = this.#begin(true);
    return [...tag, ...this.#ended()];
  }

  #begin(last: boolean): CipherGCM {
    return createCipheriv(cipherName, this.#key, nonceOf(this.#index++, last), rawKey).setAAD(this.#aad);
  }

  /** The tag of the current chunk. */
  #ended(): Buffer[] {
    const cipher = this.#cipher;
    if (cipher === undefined) return [];
    this.#cipher = undefined;
    cipher.final();
    return [cipher.getAuthTag()];
  }
}

/** Opens a stream chunk by chunk. Errors: `spool-corrupt`. */
export class StreamOpener {
  /** Sealed octets of a chunk. The last one has fewer. */
  #step: number;
  #key: string;
  #id: string;
  #hasOwnEnd: boolean;
  #index = 0;

  constructor(key: SpoolKey, id: string, head: Buffer) {
    const [version] = head;
    if (head.length !== headerSize || (version !== streamVersion && version !== oldStreamVersion))
      throw corrupt(id);
    this.#hasOwnEnd = version === streamVersion;
    this.#step = (this.#hasOwnEnd ? chunkSize : oldChunkSize) + tagSize;
    this.#key = objectKey(key, head.subarray(1));
    this.#id = id;
  }

  /** How many of the next octets belong to chunks that are not the last, if `left` remain until the end. */
  wholeChunks(octets: number, left: number): number {
    const data = Math.min(octets, left - (this.#hasOwnEnd ? tagSize : 0));
    return data - (data % this.#step);
  }

  /**
   * Plain text of sealed octets. Each chunk is verified before any of it is returned. `last` is what the caller saw:
   * that the octets end here. Otherwise they must be whole chunks, at least one.
   */
  *open(sealed: Buffer, last: boolean): Generator<Buffer> {
    const end = sealed.length - (last && this.#hasOwnEnd ? tagSize : 0);
    if (end < 0 || (!last && (end === 0 || end % this.#step !== 0))) throw corrupt(this.#id);
    const isOld = !this.#hasOwnEnd;
    for (let at = 0; at < end || (at === 0 && isOld); at += this.#step) {
      const next = Math.min(at + this.#step, end);
      yield* this.#chunk(sealed.subarray(at, next), last && isOld && next === end);
    }
    if (last && this.#hasOwnEnd) this.#chunk(sealed.subarray(end), true);
  }

  #chunk(sealed: Buffer, last: boolean): Buffer[] {
    const end = sealed.length - tagSize;
    if (end < 0) throw corrupt(this.#id);
    const decipher = createDecipheriv(cipherName, this.#key, nonceOf(this.#index++, last), rawKey);
    decipher.setAAD(Buffer.from(this.#id));
    decipher.setAuthTag(sealed.subarray(end));
    const plain: Buffer[] = [];
    for (let at = 0; at < end; at += pieceSize)
      plain.push(decipher.update(sealed.subarray(at, Math.min(at + pieceSize, end))));
    try {
      decipher.final();
    } catch {
      throw corrupt(this.#id);
    }
    reclaim(end);
    return plain;
  }
}

/** A key of 32 octets for a purpose other than sealing (HKDF, RFC 5869). */
export function deriveKey(key: SpoolKey, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), `sealpost ${purpose}`, 32));
}

/** Seals a small value as JSON. `context` says what it is, and must be the same when it is opened. */
export function sealValue(key: SpoolKey, context: string, value: unknown): Buffer {
  return sealWhole(key, `value:${context}`, [Buffer.from(JSON.stringify(value))]);
}

/** Opens what `sealValue` made. Errors: `spool-corrupt`. */
export function openValue(key: SpoolKey, context: string, sealed: Buffer): unknown {
  return JSON.parse(openWhole(key, `value:${context}`, sealed).toString('utf8'));
}

/**
 * Octets that pass through a process die young, but V8 sees only the few objects that refer to them. It waits, and then
 * marks the whole heap for a few buffers. With large messages, that took a third of the receiver's time. A scavenge
 * takes less than a millisecond and frees them at once.
 */

/** Octets that pass between two scavenges. */
const between = 8 * 1024 * 1024;

let passed = 0;

/** Reports that this many octets of large messages have passed. Has an effect only if V8 runs with `--expose-gc`. */
export function reclaim(octets: number): void {
  passed += octets;
  if (passed < between) return;
  passed = 0;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
