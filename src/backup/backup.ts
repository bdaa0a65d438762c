/**
 * A backup: what Redis and the spool hold at one moment, the configuration beside it, and on request the spool key and
 * other secrets.
 */
import { createHash, createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { deriveKey, type LargeStore, type SpoolKey } from '../spool/index.ts';
import { type ArchiveSink, ArchiveWriter, packed, pieceSize } from './archive.ts';
import { savedFiles } from './files.ts';
import { dataFiles, objectOf } from './kinds.ts';
import { Snapshot } from './snapshot.ts';

export interface BackupParts {
  configFile: string;
  config: Config;
  /** Version of the program that made it. */
  version: string;
  connect(name: string, isFollower?: boolean): Redis;
  store: LargeStore;
  spoolKey: SpoolKey;
  log: Log;
}

export interface BackupOptions {
  /** Public half of the key that backups are sealed to. */
  recipient: KeyObject;
  /** Include the spool key. Nothing in the backup can be read without it. */
  withSpoolKey: boolean;
  /** Include private keys, passwords and whatever else the configuration names. */
  withKeys: boolean;
}

/** How much a backup contains. */
export interface Counts {
  keys: number;
  objects: number;
  files: number;
}

/** What a backup says about itself. */
export interface BackupHead {
  version: string;
  prefix: string;
  /** Milliseconds since the epoch, when it began. */
  startedAt: number;
  /** Identifies the spool key without revealing it. */
  spoolKey: string;
  /**
   * Proves to whoever has the spool key that the backup was made with it: nobody else knows this value for the content
   * key.
   */
  proof: string;
}

export interface BackupTrailer extends Counts {
  /** The moment whose state it shows, in milliseconds since the epoch. */
  at: number;
  /** Objects that records refer to, and that were no longer in the spool. */
  missing: number;
}

export interface BackupResult extends BackupTrailer {
  /** For how many milliseconds writes were held up. */
  heldUp: number;
  /** How many keys were left out because this version does not know their kind, and the names of the kinds. */
  unknown: number;
  unknownKinds: string[];
  spoolKey: string;
  /** Opens what was written, to verify it. */
  contentKey: KeyObject;
}

/** A name for a spool key that people can compare. */
export function spoolKeyId(key: SpoolKey): string {
  return deriveKey(key, 'backup key id').toString('hex').slice(0, 16);
}

export function proofOf(key: SpoolKey, contentKey: Buffer): string {
  return createHmac('sha256', deriveKey(key, 'backup proof')).update(contentKey).digest('hex');
}

export function isProof(proof: string, key: SpoolKey, contentKey: Buffer): boolean {
  const [given, wanted] = [Buffer.from(proof, 'hex'), Buffer.from(proofOf(key, contentKey), 'hex')];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** Errors: `backup-failed`, `redis-unreachable`, those of the spool and of the sink. */
export async function makeBackup(
  parts: BackupParts,
  options: BackupOptions,
  sink: ArchiveSink,
): Promise<BackupResult> {
  const { config, connect, log, version, spoolKey } = parts;
  const { prefix } = config.redis;
  const writer = new ArchiveWriter(sink);
  const snapshot = await Snapshot.open({ connect, prefix, log });
  try {
    await writer.begin(options.recipient);
    const head: BackupHead = {
      version,
      prefix,
      startedAt: Date.now(),
      spoolKey: spoolKeyId(spoolKey),
      proof: proofOf(spoolKey, writer.contentKey.export()),
    };
    await writer.frame('H', head);
    const saving = new Saving(writer, parts.store);
    const { at, heldUp, unknown } = await snapshot.read(saving, (held) => saving.objects(held));
    // What was refused until that moment or later: refusing too much does no harm.
    await saving.files(filesOf(parts, options));
    const trailer: BackupTrailer = { at, ...saving.counts };
    await writer.frame('T', trailer);
    await writer.end();
    return {
      ...trailer,
      heldUp,
      unknown,
      unknownKinds: [...snapshot.unknown],
      spoolKey: head.spoolKey,
      contentKey: writer.contentKey,
    };
  } finally {
    await snapshot.close();
  }
}

export interface NamedFile {
  place: 'data' | 'config';
  name: string;
  octets: Buffer;
}

function* filesOf(
  { config, configFile, spoolKey }: BackupParts,
  { withKeys, withSpoolKey }: BackupOptions,
): Generator<NamedFile> {
  for (const name of dataFiles) {
    const path = join(config.dataDir, name);
    if (existsSync(path)) yield { place: 'data', name, octets: readFileSync(path) };
  }
  if (withSpoolKey)
    yield {
      place: 'data',
      name: 'spool.key',
      octets: Buffer.from(`${spoolKey.export().toString('base64')}\n`),
    };
  for (const { name, octets, isPrivate } of savedFiles(configFile, config))
    if (withKeys || !isPrivate) yield { place: 'config', name, octets };
}

/**
 * Elements that belong together: single members of a set, pairs, and entries of a stream, which contain their own
 * length.
 */
function* unitsOf(type: string, elements: readonly Buffer[]): Generator<Buffer[]> {
  for (let at = 0; at < elements.length; ) {
    const length = type === 'set' ? 1 : type === 'stream' ? 2 + Number(elements[at + 1]) : 2;
    yield elements.slice(at, at + length);
    at += length;
  }
}

/** Writes what is read as frames. */
class Saving {
  readonly #writer: ArchiveWriter;
  readonly #store: LargeStore;
  /** Objects that are referred to and not copied yet. */
  #wanted = new Set<string>();
  readonly #copied = new Set<string>();
  #type = '';
  readonly counts = { keys: 0, objects: 0, files: 0, missing: 0 };

  constructor(writer: ArchiveWriter, store: LargeStore) {
    this.#writer = writer;
    this.#store = store;
  }

  async key(name: string, type: string, expiresAt: number): Promise<void> {
    this.#type = type;
    this.counts.keys += 1;
    const object = objectOf(name);
    if (object !== undefined && !this.#copied.has(object)) this.#wanted.add(object);
    await this.#writer.frame('K', { k: name, t: type, x: expiresAt });
  }

  async elements(elements: Buffer[]): Promise<void> {
    if (this.#type === 'string') {
      // One value, in as many pieces as it needs.
      const [value = Buffer.alloc(0)] = elements;
      for (let at = 0; at === 0 || at < value.length; at += pieceSize)
        await this.#writer.frame('P', packed([value.subarray(at, at + pieceSize)]));
      return;
    }
    let some: Buffer[] = [];
    let size = 0;
    for (const unit of unitsOf(this.#type, elements)) {
      some.push(...unit);
      size += unit.reduce((sum, { length }) => sum + length, 0);
      if (size < pieceSize) continue;
      await this.#writer.frame('P', packed(some));
      [some, size] = [[], 0];
    }
    if (some.length > 0) await this.#writer.frame('P', packed(some));
  }

  async gone(name: string): Promise<void> {
    const object = objectOf(name);
    if (object !== undefined) this.#wanted.delete(object);
    await this.#writer.frame('G', { k: name });
  }

  /** Copies what is referred to. @param held at the moment that counts, so what is missing is missing */
  async objects(held: boolean): Promise<void> {
    for (const id of this.#wanted) {
      if (await this.#object(id)) this.#copied.add(id);
      else if (held) this.counts.missing += 1;
    }
    this.#wanted = new Set();
  }

  async #object(id: string): Promise<boolean> {
    await this.#writer.frame('O', { id });
    try {
      await this.#octets(this.#store.sealed(id));
    } catch (error) {
      if (!(error instanceof SealpostError) || error.code !== 'spool-missing') throw error;
      await this.#writer.frame('A', {});
      return false;
    }
    this.counts.objects += 1;
    return true;
  }

  async files(files: Iterable<NamedFile>): Promise<void> {
    for (const { place, name, octets } of files) {
      await this.#writer.frame('F', { place, name });
      await this.#octets([octets]);
      this.counts.files += 1;
    }
  }

  async #octets(pieces: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    const hash = createHash('sha256');
    let octets = 0;
    for await (const piece of pieces)
      for (let at = 0; at < piece.length; at += pieceSize) {
        const some = piece.subarray(at, at + pieceSize);
        hash.update(some);
        octets += some.length;
        await this.#writer.frame('D', some);
      }
    await this.#writer.frame('E', { octets, sha256: hash.digest('hex') });
  }
}
