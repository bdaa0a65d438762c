/**
 * The clients of an installation, and their credentials: one sealed document in Redis. It is opened with the spool key,
 * which no client has, so whoever can write into Redis can neither add a client nor change one. An older document is
 * refused by its version, which each process remembers, and each machine in a file.
 */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { hasCode, SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { guarded, run, script } from '../redis/index.ts';
import { credentialId, isCredential, makeCredential, noHash } from './credential.ts';
import { Client, narrowed } from './grants.ts';
import { type ClientDocument, documentSchema, type StoredClient, type StoredCredential } from './stored.ts';

export interface RegistryParts {
  redis: Redis;
  prefix: string;
  seal(context: string, value: unknown): Buffer;
  /** Errors: `spool-corrupt`. */
  unseal(context: string, sealed: Buffer): unknown;
  /** The data folder, where the newest version seen is kept. */
  folder: string;
  log: Log;
  /** Milliseconds since the epoch. */
  now(): number;
}

export { Rates } from './rates.ts';
export { type ClientDocument, type StoredClient, type StoredCredential, scopeSchema } from './stored.ts';

/** Milliseconds until a door knows of a change. */
export const refreshEvery = 500;
/** Milliseconds between two notes of the last use of a credential. */
const usedEvery = 60_000;
const context = 'clients';
const nobody: ClientDocument = { version: 0, clients: [], credentials: [] };

/** SHA-1 of the text that the caller has. Returns false if it is that, else the text, or '' for none. */
const read = script(`
local text = redis.call('GET', string.sub(KEYS[1], 1, -3) .. ':clients') or ''
if redis.sha1hex(text) == ARGV[1] then return false end
return text`);

/** SHA-1 of the text to replace; the new text. Returns 0 if another one is there. */
const replace = script(`
local key = string.sub(KEYS[1], 1, -3) .. ':clients'
if redis.sha1hex(redis.call('GET', key) or '') ~= ARGV[1] then return 0 end
redis.call('SET', key, ARGV[2])
return 1`);

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');

export class ClientRegistry {
  readonly #parts: RegistryParts;
  #document = nobody;
  #sha = '';
  #seen: number;
  #trouble: SealpostError | undefined;
  #byId = new Map<string, StoredCredential>();
  #byName = new Map<string, StoredClient>();
  #timer: NodeJS.Timeout | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #used = new Map<string, number>();

  private constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.#seen = versionOf(parts.folder);
  }

  /** Reads the clients. Errors: `redis-unreachable`; a list that is not ours is a trouble, and grants nothing. */
  static async open(parts: RegistryParts): Promise<ClientRegistry> {
    const registry = new ClientRegistry(parts);
    await registry.refresh();
    return registry;
  }

  /** Follows changes until `stop`. */
  start(): void {
    const again = () => {
      this.#timer = setTimeout(() => {
        // Without Redis nothing can be submitted or read either; what is known stays known.
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

  /** Calls back after each change: a client may be gone, or have other grants. Returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Why nobody is a client now; undefined normally. */
  get trouble(): SealpostError | undefined {
    return this.#trouble;
  }

  get document(): ClientDocument {
    return this.#document;
  }

  async refresh(): Promise<void> {
    const { redis, prefix } = this.#parts;
    const text = await run(redis, prefix, read, [this.#sha], 'clients');
    if (typeof text !== 'string') return;
    this.#adopt(text);
  }

  #adopt(text: string): void {
    const { log } = this.#parts;
    let document = nobody;
    this.#trouble = undefined;
    try {
      document = this.#opened(text);
      this.#remember(document.version);
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      this.#trouble = error;
      log.error({ err: error }, 'clients are refused until this is mended');
    }
    this.#sha = sha1(text);
    this.#document = document;
    this.#byId = new Map(document.credentials.map((each) => [each.id, each]));
    this.#byName = new Map(document.clients.map((each) => [each.name.toLowerCase(), each]));
    for (const listener of this.#listeners) listener();
  }

  /** Errors: `clients-changed`. */
  #opened(text: string, accepted = false): ClientDocument {
    const changed = (why: string) => new SealpostError('clients-changed', `the list of clients ${why}`);
    if (text === '') {
      if (this.#seen > 0 && !accepted) throw changed('is gone from Redis');
      return nobody;
    }
    let value: unknown;
    try {
      value = this.#parts.unseal(context, Buffer.from(text, 'base64'));
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      throw changed('in Redis was not written by Sealpost');
    }
    const document = documentSchema.parse(value);
    if (document.version < this.#seen && !accepted)
      throw changed(`has version ${document.version}, but version ${this.#seen} was seen before`);
    return document;
  }

  #remember(version: number): void {
    if (version <= this.#seen) return;
    this.#seen = version;
    keepVersion(this.#parts.folder, version);
  }

  /** The client of a token. Errors: `client-unauthenticated`, with the same text for whatever is wrong. */
  byToken(token: string): Client {
    return this.#authenticated(token, undefined);
  }

  /** The client of a login, alike. Unknown users and wrong passwords take the same way. */
  byLogin(user: string, password: string): Client {
    return this.#authenticated(password, user);
  }

  #authenticated(text: string, user: string | undefined): Client {
    const id = credentialId(text);
    const stored = id === undefined ? undefined : this.#byId.get(id);
    const right = isCredential(text, stored?.hash ?? noHash);
    const client = stored && this.#byName.get(stored.client.toLowerCase());
    const valid = stored !== undefined && right && !this.#hasExpired(stored);
    if (
      !valid ||
      client === undefined ||
      (user !== undefined && user.toLowerCase() !== client.name.toLowerCase())
    )
      throw new SealpostError('client-unauthenticated', 'the token or login is not valid');
    this.#note(stored.id);
    return new Client(client.name, narrowed(client.grants, stored.scope), stored.id);
  }

  #hasExpired({ expiresAt }: Pick<StoredCredential, 'expiresAt'>): boolean {
    return expiresAt !== null && expiresAt <= this.#parts.now();
  }

  /** The client that a door is bound to by the configuration. */
  byName(name: string): Client | undefined {
    const found = this.#byName.get(name.toLowerCase());
    return found && new Client(found.name, found.grants);
  }

  /** As `byName`. Errors: `client-unknown`, `clients-changed`. */
  named(name: string): Client {
    if (this.#trouble) throw this.#trouble;
    const found = this.byName(name);
    if (found) return found;
    throw new SealpostError('client-unknown', `there is no client ${name}`, {
      hint: `add it: sealpost clients add ${name}`,
    });
  }

  /** @param pin SHA-256 of the SubjectPublicKeyInfo of a certificate that was proven in a TLS handshake, in hex */
  byCertificate(pin: string): Client | undefined {
    const found = this.#document.clients.find(({ pins }) => pins.includes(pin.toLowerCase()));
    return found && new Client(found.name, found.grants);
  }

  /** The same client as it is now; undefined if it, or the credential that it came with, is no longer valid. */
  again({ name, credential }: Client): Client | undefined {
    if (credential === '') return this.byName(name);
    const stored = this.#byId.get(credential);
    const client = this.#byName.get(name.toLowerCase());
    if (stored === undefined || client === undefined || this.#hasExpired(stored)) return undefined;
    return new Client(client.name, narrowed(client.grants, stored.scope), credential);
  }

  /** Last use of a credential is worth a note a minute, and no failure. */
  #note(id: string): void {
    const now = this.#parts.now();
    if (now - (this.#used.get(id) ?? 0) < usedEvery) return;
    this.#used.set(id, now);
    const { redis, prefix } = this.#parts;
    redis.hset(`${prefix}:clients:used`, id, now).catch(() => undefined);
  }

  /** When each credential was last used, in milliseconds since the epoch. Only a hint: it is not sealed. */
  async lastUses(): Promise<Map<string, number>> {
    const { redis, prefix } = this.#parts;
    const fields = await guarded('clients', redis.hgetall(`${prefix}:clients:used`));
    return new Map(Object.entries(fields).map(([id, at]) => [id, Number(at)]));
  }

  /**
   * Changes the list, as a whole or not at all. The edit may run several times.
   *
   * @param accept takes the list as it is in Redis although it is older than one seen before, after a restore
   * @throws {SealpostError} `clients-changed`, and what the edit throws
   */
  async change(edit: (document: ClientDocument) => void, accept = false): Promise<void> {
    const { redis, prefix, seal } = this.#parts;
    for (;;) {
      const text = (await guarded('clients', redis.get(`${prefix}:clients`))) ?? '';
      const document = structuredClone(this.#opened(text, accept));
      edit(document);
      document.version = Math.max(document.version, this.#seen) + 1;
      const sealed = seal(context, documentSchema.parse(document)).toString('base64');
      if ((await run(redis, prefix, replace, [sha1(text), sealed], 'clients')) === 1) {
        this.#adopt(sealed);
        return;
      }
    }
  }

  /** A new credential of a client, in its only readable form. */
  async addCredential(
    client: string,
    facts: Pick<StoredCredential, 'note' | 'scope' | 'expiresAt'>,
  ): Promise<{ id: string; text: string }> {
    const { id, text, hash } = makeCredential();
    await this.change((document) => {
      const owner = clientOf(document, client);
      const { now } = this.#parts;
      document.credentials.push({ id, client: owner.name, hash, createdAt: now(), ...facts });
    });
    return { id, text };
  }
}

/** Errors: `client-unknown`. */
export function clientOf(document: ClientDocument, name: string): StoredClient {
  const found = document.clients.find((each) => each.name.toLowerCase() === name.toLowerCase());
  if (found) return found;
  const names = document.clients.map((each) => each.name);
  throw new SealpostError('client-unknown', `there is no client ${JSON.stringify(name)}`, {
    hint: names.length > 0 ? `clients are ${names.join(', ')}` : 'add it with sealpost clients add',
  });
}

const versionFile = (folder: string) => join(folder, 'clients.version');

function versionOf(folder: string): number {
  try {
    return Number.parseInt(readFileSync(versionFile(folder), 'utf8'), 10) || 0;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EACCES')) return 0;
    throw error;
  }
}

/** A door that may not write there relies on the others, and on what it has seen itself. */
function keepVersion(folder: string, version: number): void {
  const draft = `${versionFile(folder)}.${process.pid}`;
  try {
    writeFileSync(draft, `${version}\n`, { mode: 0o600 });
    renameSync(draft, versionFile(folder));
  } catch (error) {
    if (!hasCode(error, 'EACCES', 'EROFS', 'EPERM', 'ENOENT', 'ENOSPC')) throw error;
  }
}
