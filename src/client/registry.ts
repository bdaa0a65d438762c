/**
 * The clients of an installation, and their credentials: one sealed document in Redis (`SealedDocument`). It is opened
 * with the spool key, which no client has. So whoever can write to Redis can neither add a client nor change one.
 */
import type { PartnerNames } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import {
  type Adopted,
  type DocumentKind,
  guarded,
  type SealedDocumentParts,
  SealedStore,
} from '../redis/index.ts';
import { credentialId, isCredential, makeCredential, noHash } from './credential.ts';
import { Client, type Names, narrowed } from './grants.ts';
import { type ClientDocument, documentSchema, type StoredClient, type StoredCredential } from './stored.ts';

export interface RegistryParts extends SealedDocumentParts {
  /** Partners may have other names than when something was granted. */
  partnerNames?: Pick<PartnerNames, 'present'> | undefined;
  /** Milliseconds since the epoch. */
  now(): number;
}

export { Rates } from './rates.ts';
export { type ClientDocument, type StoredClient, type StoredCredential, scopeSchema } from './stored.ts';

/** Milliseconds between two notes of the last use of a credential. */
const usedEvery = 60_000;
/** Of no client, for what is no credential of ours. */
const noCredential: StoredCredential = {
  ...{ id: '', client: 'no client', hash: noHash, note: '', scope: {}, createdAt: 0, expiresAt: null },
};
const nobody: ClientDocument = { version: 0, clients: [], credentials: [] };

const kind: DocumentKind<ClientDocument> = {
  name: 'clients',
  title: 'the list of clients',
  code: 'clients-changed',
  consequence: 'clients are refused until this is mended',
  empty: nobody,
  parse: (value) => documentSchema.parse(value),
};

export class ClientRegistry extends SealedStore<ClientDocument> {
  readonly #parts: RegistryParts;
  #byId = new Map<string, StoredCredential>();
  #byName = new Map<string, StoredClient>();
  readonly #used = new Map<string, number>();

  private constructor(parts: RegistryParts) {
    super(parts, kind);
    this.#parts = parts;
  }

  protected override adopt({ document }: Adopted<ClientDocument>): void {
    this.#byId = new Map(document.credentials.map((each) => [each.id, each]));
    this.#byName = new Map(document.clients.map((each) => [each.name.toLowerCase(), each]));
  }

  /**
   * Reads the clients. Errors: `redis-unreachable`. A list that is not ours is reported as trouble, and grants nothing.
   */
  static async open(parts: RegistryParts): Promise<ClientRegistry> {
    const registry = new ClientRegistry(parts);
    await registry.refresh();
    return registry;
  }

  get document(): ClientDocument {
    return this.stored.document;
  }

  /** The client of a token. Errors: `client-unauthenticated`, with the same text whatever is wrong. */
  byToken(token: string): Client {
    return this.#authenticated(token, undefined);
  }

  /** The client of a login, with the same errors. Unknown users and wrong passwords take the same path. */
  byLogin(user: string, password: string): Client {
    return this.#authenticated(password, user);
  }

  #authenticated(text: string, user: string | undefined): Client {
    // The same is done for each, so that the time tells nothing either (bench/login-times.ts).
    const stored = this.#byId.get(credentialId(text) ?? '') ?? noCredential;
    const client = this.#byName.get(stored.client.toLowerCase());
    const isRight = isCredential(text, stored.hash);
    const isValid = !this.#hasExpired(stored);
    const isOwn = (user ?? stored.client).toLowerCase() === stored.client.toLowerCase();
    if (client === undefined || !isRight || !isValid || !isOwn)
      throw new SealpostError('client-unauthenticated', 'the token or login is not valid');
    this.#note(stored.id);
    return this.#client(client, stored);
  }

  /** The client, with what was granted for a partner under any of its names. */
  #client({ name, grants }: StoredClient, stored?: StoredCredential): Client {
    const { id = '', scope = {}, limits } = stored ?? {};
    const { partnerNames } = this.#parts;
    const present = (names: Names) =>
      names === '*' || partnerNames === undefined ? names : names.map((each) => partnerNames.present(each));
    const within = { ...scope, ...(scope.partners && { partners: present(scope.partners) }) };
    const own = narrowed({ ...grants, partners: present(grants.partners) }, within, limits);
    return new Client(name, own, id, undefined, limits === undefined ? own.limits : grants.limits);
  }

  #hasExpired({ expiresAt }: Pick<StoredCredential, 'expiresAt'>): boolean {
    return expiresAt !== null && expiresAt <= this.#parts.now();
  }

  /** The client that a door is bound to by the configuration. */
  byName(name: string): Client | undefined {
    const found = this.#byName.get(name.toLowerCase());
    return found && this.#client(found);
  }

  /** As `byName`. Errors: `client-unknown`, `clients-changed`. */
  named(name: string): Client {
    if (this.trouble) throw this.trouble;
    const found = this.byName(name);
    if (found) return found;
    throw new SealpostError('client-unknown', `there is no client ${name}`, {
      hint: `add it: sealpost clients add ${name}`,
    });
  }

  /** @param pin SHA-256 of the SubjectPublicKeyInfo of a certificate that was proven in a TLS handshake, in hex */
  byCertificate(pin: string): Client | undefined {
    const found = this.document.clients.find(({ pins }) => pins.includes(pin.toLowerCase()));
    return found && this.#client(found);
  }

  /** The same client as it is now; undefined if it, or the credential that it came with, is no longer valid. */
  again({ name, credential }: Client): Client | undefined {
    if (credential === '') return this.byName(name);
    const stored = this.#byId.get(credential);
    const client = this.#byName.get(name.toLowerCase());
    if (stored === undefined || client === undefined || this.#hasExpired(stored)) return undefined;
    return this.#client(client, stored);
  }

  /** The last use of a credential is noted once a minute, and a failure to note it is not an error. */
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
   * @param accept takes the list as it is in Redis even if it is older than one that was seen before, as after a
   *    restore
   * @throws {SealpostError} `clients-changed`, and what the edit throws
   */
  async change(edit: (document: ClientDocument) => void, accept = false): Promise<void> {
    await this.stored.edit(edit, accept);
  }

  /** A new credential of a client. Only this form can be used to log in. */
  async addCredential(
    client: string,
    facts: Pick<StoredCredential, 'note' | 'scope' | 'expiresAt' | 'limits'>,
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
