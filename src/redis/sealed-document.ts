/**
 * A document of an installation that nobody can forge merely by writing into Redis: it is sealed with the spool key, as
 * a whole or in parts. Its version only goes forward. Each process remembers the newest version that it has seen, and
 * each machine keeps it in a file, so an older document, or a missing one, is noticed.
 */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { type ErrorCode, hasCode, SealpostError } from '../errors.ts';
import { draftOwner } from '../files.ts';
import type { Log } from '../log.ts';
import { guarded } from './connection.ts';
import { run, script } from './scripts.ts';

export interface SealedDocumentParts {
  redis: Redis;
  prefix: string;
  seal(context: string, value: unknown): Buffer;
  /** Errors: `spool-corrupt`. */
  unseal(context: string, sealed: Buffer): unknown;
  /** The data folder, where the newest version seen is kept. */
  folder: string;
  log: Log;
}

/** What kind of document it is. */
export interface DocumentKind<T> {
  /** Used for the name of its key in Redis, for the seal, and for the file with its version. */
  name: string;
  /** For messages: `the list of clients`. */
  title: string;
  /** The error for a document that cannot be trusted, and its consequence, for the log. */
  code: ErrorCode;
  consequence: string;
  /** What applies if there is no document. */
  empty: T;
  /** Throws for a value that does not have the right shape. */
  parse(value: unknown): T;
}

/** Milliseconds until a process notices a change. */
export const refreshEvery = 500;
/** A document may have parts. They are stored with it in one step, and it holds their digests. */
type PartDigests = Readonly<Record<string, string>>;

interface Stored<T> {
  version: number;
  document: T;
  /** SHA-256 of the sealed text of each part, in hex. */
  parts: PartDigests;
}

/**
 * SHA-1 of the text that the caller has. Returns false if that is still the text; otherwise the text, or '' if there is
 * none.
 */
const read = script(`
local text = redis.call('GET', string.sub(KEYS[1], 1, -3) .. ':' .. ARGV[2]) or ''
if redis.sha1hex(text) == ARGV[1] then return false end
return text`);

/**
 * SHA-1 of the text to replace; name; the new text; then name and text of each part. Returns 0 if a different text is
 * there.
 */
const replace = script(`
local key = string.sub(KEYS[1], 1, -3) .. ':' .. ARGV[2]
if redis.sha1hex(redis.call('GET', key) or '') ~= ARGV[1] then return 0 end
for at = 4, #ARGV, 2 do redis.call('HSET', key .. ':parts', ARGV[at], ARGV[at + 1]) end
redis.call('SET', key, ARGV[3])
return 1`);

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** What a reader adopts: the document, and those of its parts that have changed. */
export interface Adopted<T> {
  document: T;
  /** By name, opened; only those that have changed. */
  parts: ReadonlyMap<string, unknown>;
  /** Names of all its parts; empty if it cannot be trusted. */
  names: ReadonlySet<string>;
}

/** An edit of the document, and of some of its parts. */
export interface Edited<T> {
  document: T;
  parts?: ReadonlyMap<string, unknown>;
}

export class SealedDocument<T> {
  readonly #parts: SealedDocumentParts;
  readonly #kind: DocumentKind<T>;
  readonly #adopt: (adopted: Adopted<T>) => void;
  #sha = '';
  #stored: Stored<T>;
  #seen: number;
  #trouble: SealpostError | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #listeners = new Set<() => void>();

  /** @param adopt takes each document that is read or written, and `empty` if none can be trusted */
  constructor(
    parts: SealedDocumentParts,
    kind: DocumentKind<T>,
    adopt: (adopted: Adopted<T>) => void = () => undefined,
  ) {
    this.#parts = parts;
    this.#kind = kind;
    this.#adopt = adopt;
    this.#stored = this.#nothing;
    this.#seen = versionOf(this.#versionFile);
  }

  get #nothing(): Stored<T> {
    return { version: 0, document: this.#kind.empty, parts: {} };
  }

  get #versionFile(): string {
    return join(this.#parts.folder, `${this.#kind.name}.version`);
  }

  /** Why the document cannot be trusted now; normally undefined. */
  get trouble(): SealpostError | undefined {
    return this.#trouble;
  }

  get document(): T {
    return this.#stored.document;
  }

  get version(): number {
    return this.#stored.version;
  }

  /** Follows changes until `stop`. */
  start(): void {
    const again = () => {
      this.#timer = setTimeout(() => {
        // without Redis, nothing can be done here either; what is known stays known
        this.refresh()
          .catch(() => undefined)
          .finally(() => this.#timer && again());
      }, refreshEvery);
      this.#timer.unref();
    };
    again();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Calls back after each change. Returns a function that ends this. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads what has changed. Errors: `redis-unreachable`. A document that is not ours is a `trouble`. */
  async refresh(): Promise<void> {
    const { redis, prefix, log } = this.#parts;
    const { name, consequence } = this.#kind;
    // while it is being written, the parts may already be those of the next version
    for (let left = 5; ; left--) {
      const text = await run(redis, prefix, read, [this.#sha, name], name);
      if (typeof text !== 'string') return;
      try {
        const stored = this.#opened(text);
        const parts = await this.#read(changed(this.#stored.parts, stored.parts), stored.parts);
        if (parts === undefined) {
          if (left > 0) continue;
          throw this.#changed('has parts that do not belong to it');
        }
        this.#take(text, stored, parts);
      } catch (error) {
        if (!(error instanceof SealpostError) || error.code !== this.#kind.code) throw error;
        this.#trouble = error;
        log.error({ err: error }, consequence);
        this.#sha = sha1(text);
        this.#stored = this.#nothing;
        this.#tell(new Map());
      }
      return;
    }
  }

  #take(text: string, stored: Stored<T>, parts: ReadonlyMap<string, unknown>): void {
    this.#trouble = undefined;
    this.#remember(stored.version);
    this.#sha = sha1(text);
    this.#stored = stored;
    this.#tell(parts);
  }

  #tell(parts: ReadonlyMap<string, unknown>): void {
    const names = new Set(Object.keys(this.#stored.parts));
    this.#adopt({ document: this.#stored.document, parts, names });
    for (const listener of this.#listeners) listener();
  }

  /**
   * Opened parts by name; undefined if one is not the part that the document refers to. Errors: `redis-unreachable`.
   */
  async #read(names: readonly string[], digests: PartDigests): Promise<Map<string, unknown> | undefined> {
    const { redis, prefix, unseal } = this.#parts;
    const { name } = this.#kind;
    const found = new Map<string, unknown>();
    // in portions, because all at once would hold up others
    for (let at = 0; at < names.length; at += 16) {
      const some = names.slice(at, at + 16);
      const texts = await guarded(name, redis.hmget(`${prefix}:${name}:parts`, ...some));
      for (const [index, part] of some.entries()) {
        const text = texts[index] ?? '';
        if (sha256(text) !== digests[part]) return undefined;
        found.set(part, unseal(`${name}:${part}`, Buffer.from(text, 'base64')));
      }
    }
    return found;
  }

  #changed(why: string): SealpostError {
    return new SealpostError(this.#kind.code, `${this.#kind.title} ${why}`);
  }

  /** Errors: the code of the kind. */
  #opened(text: string, accepted = false): Stored<T> {
    if (text === '') {
      if (this.#seen > 0 && !accepted) throw this.#changed('is gone from Redis');
      return this.#nothing;
    }
    let value: unknown;
    try {
      value = this.#parts.unseal(this.#kind.name, Buffer.from(text, 'base64'));
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      throw this.#changed('in Redis was not written by Sealpost');
    }
    const stored = { version: versionIn(value), document: this.#kind.parse(value), parts: partsIn(value) };
    if (stored.version < this.#seen && !accepted)
      throw this.#changed(`has version ${stored.version}, but version ${this.#seen} was seen before`);
    return stored;
  }

  #remember(version: number): void {
    if (version <= this.#seen) return;
    this.#seen = version;
    keepVersion(this.#versionFile, version);
  }

  /**
   * Changes the document, completely or not at all. The edit may run several times.
   *
   * @param edit gets the document, and can read a part as it is stored (undefined if missing); it returns what has
   *    changed, or undefined for nothing
   * @param accept takes the document as it is in Redis even if it is older than one seen before, after a restore
   * @throws {SealpostError} the code of the kind, and what the edit throws
   */
  async change(
    edit: (
      document: T,
      part: (name: string) => Promise<unknown>,
    ) => Edited<T> | undefined | Promise<Edited<T> | undefined>,
    accept = false,
  ): Promise<void> {
    const { redis, prefix, seal } = this.#parts;
    const { name, parse } = this.#kind;
    for (;;) {
      const text = (await guarded(name, redis.get(`${prefix}:${name}`))) ?? '';
      const old = this.#opened(text, accept);
      if (accept) old.parts = await this.#whole(old.parts);
      let torn = false;
      const part = async (wanted: string) => {
        if (old.parts[wanted] === undefined) return undefined;
        const found = await this.#read([wanted], old.parts);
        torn ||= found === undefined;
        return found?.get(wanted);
      };
      const edited = await edit(structuredClone(old.document), part);
      // another process is writing at this moment, or an outsider did: reading again tells which
      if (torn) {
        await this.#settle(text);
        continue;
      }
      if (edited === undefined) return;
      const { document, parts = new Map() } = edited;
      const sealed = [...parts].map(
        ([each, value]) => [each, seal(`${name}:${each}`, value).toString('base64')] as const,
      );
      const version = Math.max(old.version, this.#seen) + 1;
      const digests = {
        ...old.parts,
        ...Object.fromEntries(sealed.map(([each, made]) => [each, sha256(made)])),
      };
      const hasParts = Object.keys(digests).length > 0;
      const whole = { ...parse(document), version, ...(hasParts && { parts: digests }) };
      const made = seal(name, whole).toString('base64');
      if ((await run(redis, prefix, replace, [sha1(text), name, made, ...sealed.flat()], name)) !== 1)
        continue;
      await this.refresh();
      return;
    }
  }

  /** Like `change`, for a document without parts. */
  async edit(edit: (document: T) => void, accept = false): Promise<void> {
    await this.change((document) => {
      edit(document);
      return { document };
    }, accept);
  }

  /** The parts that exist. After a restore of one key without the other, some may be missing. */
  async #whole(parts: PartDigests): Promise<PartDigests> {
    const found = await Promise.all(
      Object.entries(parts).map(async ([name, digest]) =>
        (await this.#read([name], parts)) === undefined ? [] : [[name, digest] as const],
      ),
    );
    return Object.fromEntries(found.flat());
  }

  /** Errors: the code of the kind if the parts of this very text are not there. */
  async #settle(text: string): Promise<void> {
    const { redis, prefix } = this.#parts;
    const now = (await guarded(this.#kind.name, redis.get(`${prefix}:${this.#kind.name}`))) ?? '';
    if (now === text) throw this.#changed('has parts that do not belong to it');
  }
}

/** A sealed document as a room shows it to others. It follows changes, and says when no document can be trusted. */
export abstract class SealedStore<T> {
  protected readonly stored: SealedDocument<T>;

  constructor(parts: SealedDocumentParts, kind: DocumentKind<T>) {
    this.stored = new SealedDocument(parts, kind, (adopted) => this.adopt(adopted));
  }

  /** Takes each document that is read or written, and `empty` if none can be trusted. */
  protected abstract adopt(adopted: Adopted<T>): void;

  /** Follows changes until `stop`. */
  start(): void {
    this.stored.start();
  }

  stop(): void {
    this.stored.stop();
  }

  /** Calls back after each change. Returns a function that ends this. */
  onChange(listener: () => void): () => void {
    return this.stored.onChange(listener);
  }

  /** Why nothing in it counts now; normally undefined. */
  get trouble(): SealpostError | undefined {
    return this.stored.trouble;
  }

  /** Reads the document if it has changed. Errors: `redis-unreachable`. A document that is not ours is a `trouble`. */
  async refresh(): Promise<void> {
    await this.stored.refresh();
  }
}

/** Names of the parts that have changed. */
function changed(before: PartDigests, now: PartDigests): string[] {
  return Object.keys(now).filter((name) => now[name] !== before[name]);
}

function versionIn(value: unknown): number {
  const version = typeof value === 'object' && value !== null && 'version' in value ? value.version : 0;
  return typeof version === 'number' && Number.isSafeInteger(version) ? version : 0;
}

function partsIn(value: unknown): PartDigests {
  const parts = typeof value === 'object' && value !== null && 'parts' in value ? value.parts : {};
  return Object.fromEntries(
    Object.entries(parts ?? {}).flatMap(([name, digest]) =>
      typeof digest === 'string' ? [[name, digest]] : [],
    ),
  );
}

function versionOf(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || 0;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EACCES')) return 0;
    throw error;
  }
}

/** A process that may not write there relies on the others, and on what it has seen itself. */
function keepVersion(file: string, version: number): void {
  const draft = `${file}.${draftOwner}`;
  try {
    writeFileSync(draft, `${version}\n`, { mode: 0o600 });
    renameSync(draft, file);
  } catch (error) {
    if (!hasCode(error, 'EACCES', 'EROFS', 'EPERM', 'ENOENT', 'ENOSPC')) throw error;
  }
}
