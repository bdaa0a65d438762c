/**
 * The spool: sealed octets of messages. Small ones (up to `inlineLimit`) are one value in Redis; large ones are a file
 * of the spool folder or an object of the object store. A writer starts small, and moves there when it exceeds the
 * limit.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import { guarded } from '../redis/index.ts';
import { type LargeStore, type LargeWriter, missing } from './large-store.ts';
import { openWhole, type SpoolKey, sealWhole } from './seal.ts';
import type { FinishedOctets, Spool, SpoolKeys, SpoolRef, SpoolWriter } from './types.ts';

export interface SpoolParts {
  redis: Redis;
  keys: SpoolKeys;
  key: SpoolKey;
  store: LargeStore;
  /** Octets. */
  inlineLimit: number;
}

function newId(): string {
  return randomUUID().replaceAll('-', '');
}

class Writer implements SpoolWriter {
  octets = 0;
  #parts: SpoolParts;
  #hash = createHash('sha256');
  #pieces: Buffer[] = [];
  #file: Promise<LargeWriter> | undefined;
  /** The file, once it exists and nothing is being written: it takes octets without a promise. */
  #idle: LargeWriter | undefined;
  #fileId = '';
  // writes are serialized even if the caller does not wait
  #tail: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(parts: SpoolParts) {
    this.#parts = parts;
  }

  write(chunk: Buffer): Promise<void> | void {
    if (this.#ended) throw new SealpostError('internal', 'octets were written after their end');
    this.#hash.update(chunk);
    return this.#take(chunk);
  }

  get sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  async commit(): Promise<SpoolRef> {
    const [finished] = await this.finish();
    if (!finished) throw new SealpostError('internal', 'no octets were finished');
    const { ref, sealed } = finished;
    const { redis, keys } = this.#parts;
    if (sealed) await guarded('spool', redis.set(keys.octets(ref.id), sealed));
    return ref;
  }

  async finish(copies = 1): Promise<FinishedOctets[]> {
    if (this.#ended) throw new SealpostError('internal', 'octets were ended twice');
    this.#ended = true;
    const sha256 = this.#hash.digest('hex');
    const facts = { octets: this.octets, sha256 };
    if (!this.#file) {
      const pieces = this.#pieces;
      this.#pieces = [];
      return Array.from({ length: copies }, () => {
        const id = newId();
        return { ref: { kind: 'inline', id, ...facts }, sealed: sealWhole(this.#parts.key, id, pieces) };
      });
    }
    const file = await this.#file;
    try {
      await this.#tail;
      await file.finish();
    } catch (error) {
      await file.abort();
      throw error;
    }
    const ref: SpoolRef = { kind: 'file', id: this.#fileId, ...facts };
    return Array.from({ length: copies }, () => ({ ref, sealed: null }));
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#pieces = [];
    const file = await this.#file?.catch(() => undefined);
    await this.#tail.catch(() => undefined);
    await file?.abort();
  }

  #take(chunk: Buffer): Promise<void> | void {
    this.octets += chunk.length;
    if (!this.#file && this.octets <= this.#parts.inlineLimit) {
      this.#pieces.push(chunk);
      return;
    }
    let octets = chunk;
    if (!this.#file) {
      this.#fileId = newId();
      this.#file = this.#parts.store.create(this.#fileId);
      octets = Buffer.concat([...this.#pieces, chunk]);
      this.#pieces = [];
    }
    const idle = this.#idle;
    if (!idle) return this.#writeAfter(this.#file, octets);
    try {
      const written = idle.write(octets);
      return written && this.#await(written, idle);
    } catch (error) {
      return this.#await(Promise.reject(error), idle);
    }
  }

  /** Writes once the file exists and has taken what came before. */
  #writeAfter(opened: Promise<LargeWriter>, octets: Buffer): Promise<void> {
    const before = this.#tail;
    const written = Promise.all([opened, before]).then(([file]) => file.write(octets));
    return this.#await(written, opened);
  }

  /** After a failure, everything that follows fails as well. */
  #await(written: Promise<void>, opened: LargeWriter | Promise<LargeWriter>): Promise<void> {
    this.#idle = undefined;
    this.#tail = written;
    const settled = async () => {
      await written;
      const file = await opened;
      if (this.#tail === written) this.#idle = file;
    };
    // a failure is reported by this write and by `finish`; it must not count as unhandled in between
    settled().catch(() => undefined);
    return written;
  }
}

export class TieredSpool implements Spool {
  #parts: SpoolParts;

  constructor(parts: SpoolParts) {
    this.#parts = parts;
  }

  create(): SpoolWriter {
    return new Writer(this.#parts);
  }

  draft(): SpoolWriter {
    return new Writer({ ...this.#parts, inlineLimit: 0 });
  }

  /** Seals a small value, which the caller stores. */
  sealInline(octets: Buffer): { ref: SpoolRef; sealed: Buffer } {
    const id = newId();
    const sha256 = createHash('sha256').update(octets).digest('hex');
    const ref: SpoolRef = { kind: 'inline', id, octets: octets.length, sha256 };
    return { ref, sealed: sealWhole(this.#parts.key, id, [octets]) };
  }

  /** Opens a value that the caller has read itself. */
  openInline(ref: SpoolRef, sealed: Buffer): Buffer {
    return openWhole(this.#parts.key, ref.id, sealed);
  }

  async *open(ref: SpoolRef): AsyncGenerator<Buffer> {
    if (ref.kind === 'inline') yield await this.read(ref);
    else yield* this.#parts.store.open(ref.id);
  }

  async read(ref: SpoolRef): Promise<Buffer> {
    if (ref.kind === 'file') {
      const chunks: Buffer[] = [];
      for await (const chunk of this.#parts.store.open(ref.id)) chunks.push(chunk);
      return Buffer.concat(chunks);
    }
    const { redis, keys, key } = this.#parts;
    const sealed = await guarded('spool', redis.getBuffer(keys.octets(ref.id)));
    if (!sealed) throw missing(ref.id);
    return openWhole(key, ref.id, sealed);
  }

  async remove(ref: SpoolRef): Promise<void> {
    const { redis, keys, store } = this.#parts;
    if (ref.kind === 'inline') await guarded('spool', redis.unlink(keys.octets(ref.id)));
    else await store.remove(ref.id);
  }

  /** Removes a file unless a message refers to it. */
  async removeUnowned(ref: SpoolRef): Promise<void> {
    const { redis, keys } = this.#parts;
    if ((await guarded('spool', redis.exists(keys.fileOwners(ref.id)))) === 0) await this.remove(ref);
  }

  /** Removes a file by its id. */
  async removeFile(id: string): Promise<void> {
    await this.#parts.store.remove(id);
  }
}
