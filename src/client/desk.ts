/**
 * Changes to clients and their tokens: one implementation for the command line, the API and the console. Each act is in
 * the audit trail before it is done. Nobody can grant more than they have, change a client that may do more than they
 * may, or change their own client. So no token raises its own rights.
 */
import { SealpostError } from '../errors.ts';
import { makeCredential } from './credential.ts';
import {
  allGranted,
  type Client,
  checkNames,
  covers,
  daemonClient,
  type Grants,
  type Limits,
  limitTexts,
  type Named,
  namesLine,
  noLimits,
  operatorClient,
  replaced,
  type Scope,
  seesAllOf,
} from './grants.ts';
import { type ClientRegistry, clientOf } from './registry.ts';
import type { ClientDocument, StoredClient, StoredCredential } from './stored.ts';

type What = 'client-add' | 'client-grant' | 'client-remove' | 'clients-accept' | 'token-add' | 'token-revoke';

/** Who acts. */
export interface Acting {
  client: Client;
  /** The name of the actor in the audit trail. */
  by: string;
}

export interface ClientDeskParts {
  registry: ClientRegistry;
  audit: {
    add(entry: { at: number; by: string; what: What; subject?: string; why?: string }): Promise<void>;
  };
  config: Named;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** The facts of a new token. */
export interface TokenFacts extends Pick<StoredCredential, 'note' | 'scope' | 'expiresAt'> {
  /** Beside those of the client, whichever is lower; 0 for none. */
  limits?: Partial<Limits> | undefined;
}

/** The facts of a new client. What is left out is not granted. */
export interface ClientFacts {
  scope: Scope;
  limits?: Partial<Limits> | undefined;
  /** In the form of `StoredClient`. */
  pins?: string[] | undefined;
  queue?: boolean | undefined;
}

export interface MadeToken {
  id: string;
  /** The whole token. It is shown once. */
  text: string;
  client: string;
  expiresAt: number | null;
}

/** A client starts with nothing but what it is given. Its identities are those that sign mail to its partners. */
export const nothingGranted: Grants = { ...allGranted, verbs: [], partners: [], mailboxes: [], senders: [] };

/** These names are taken: messages and idempotency keys of such a client would mix with somebody else's. */
const ownNames: ReadonlySet<string> = new Set([operatorClient.name, daemonClient.name]);

const usage = (message: string, hint: string) => new SealpostError('usage', message, { hint });
const denied = (message: string, hint: string) => new SealpostError('not-granted', message, { hint });

/** Errors: `usage`. */
export function checkClientName(name: string): void {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/i.test(name) || ownNames.has(name.toLowerCase()))
    throw usage(
      `${name}: not a name for a client`,
      'use letters, digits, dot, underscore and hyphen, at most 63',
    );
}

/** Errors: `client-unknown` for an id that does not exist. */
export function tokenOf(document: ClientDocument, id: string): StoredCredential {
  const found = document.credentials.find((each) => each.id === id);
  if (found) return found;
  throw new SealpostError('client-unknown', `there is no token ${JSON.stringify(id)}`, {
    hint: 'see sealpost tokens list',
  });
}

export class ClientDesk {
  readonly #parts: ClientDeskParts;

  constructor(parts: ClientDeskParts) {
    this.#parts = parts;
  }

  /** The list as it is now. Errors: `clients-changed`, `redis-unreachable`. */
  async #document(): Promise<ClientDocument> {
    const { registry } = this.#parts;
    await registry.refresh();
    if (registry.trouble) throw registry.trouble;
    return registry.document;
  }

  /** The clients that the actor may see: those whose mail it may see. Others do not exist for it. */
  async list({ client }: Acting): Promise<StoredClient[]> {
    const { clients } = await this.#document();
    return clients.filter(({ grants }) => seesAllOf(client.grants, grants));
  }

  /** Tokens of these clients, with the time of their last use. */
  async tokens(acting: Acting): Promise<(StoredCredential & { usedAt: number | null })[]> {
    const seen = new Set((await this.list(acting)).map(({ name }) => name));
    const used = await this.#parts.registry.lastUses();
    return this.#parts.registry.document.credentials
      .filter(({ client }) => seen.has(client))
      .map((each) => ({ ...each, usedAt: used.get(each.id) ?? null }));
  }

  /** Whether an act of the actor on a client would be refused, and why. */
  why({ client: { name, grants, credential } }: Acting, other: StoredClient): SealpostError | undefined {
    if (credential !== '' && name.toLowerCase() === other.name.toLowerCase())
      return denied(`client ${other.name} would change itself`, 'have somebody else do it');
    if (covers(grants, other.grants)) return undefined;
    return denied(`client ${other.name} may do more than you`, 'have somebody do it who may do all of that');
  }

  /** The client, if the actor may change it. Errors: `client-unknown`, `not-granted`. */
  #own(document: ClientDocument, acting: Acting, name: string): StoredClient {
    const seen = document.clients.filter(({ grants }) => seesAllOf(acting.client.grants, grants));
    const found = clientOf({ ...document, clients: seen }, name);
    const why = this.why(acting, found);
    if (why) throw why;
    return found;
  }

  /** The token, if the actor may change its client. A token of a client that it cannot see does not exist. */
  #ownToken(document: ClientDocument, acting: Acting, id: string): StoredCredential {
    const seen = document.clients.filter(({ grants }) => seesAllOf(acting.client.grants, grants));
    const names = new Set(seen.map(({ name }) => name));
    const credentials = document.credentials.filter(({ client }) => names.has(client));
    const found = tokenOf({ ...document, credentials }, id);
    this.#own(document, acting, found.client);
    return found;
  }

  /** A token cannot outlive itself by making another one. */
  #checkExpiry(document: ClientDocument, { client }: Acting, expiresAt: number | null): void {
    const own = document.credentials.find(({ id }) => id === client.credential)?.expiresAt ?? null;
    if (own !== null && (expiresAt === null || expiresAt > own))
      throw denied('a token would be valid for longer than the one that makes it', 'write a shorter time');
  }

  /**
   * Certificates that the client does not have yet. They log in without an end, and as one client: the mail of one
   * holder must not appear under the name of another.
   */
  #checkPins(document: ClientDocument, acting: Acting, own: StoredClient, pins: readonly string[]): void {
    const more = pins.filter((pin) => !own.pins.includes(pin));
    if (more.length === 0) return;
    this.#checkExpiry(document, acting, null);
    const name = own.name.toLowerCase();
    const others = document.clients.filter((each) => each.name.toLowerCase() !== name);
    if (others.some((each) => each.pins.some((pin) => more.includes(pin))))
      throw usage('another client logs in with this certificate', 'have it removed there first');
  }

  /** @param notes written to the audit trail before the change */
  async #change(
    { by }: Acting,
    notes: readonly (readonly [what: What, subject: string, why?: string])[],
    edit: (document: ClientDocument) => void,
  ): Promise<void> {
    const { registry, audit, now } = this.#parts;
    // Errors of the change show before anything is written.
    edit(structuredClone(await this.#document()));
    for (const [what, subject, why] of notes)
      await audit.add({ at: now(), by, what, subject, ...(why !== undefined && { why }) });
    await registry.change(edit);
  }

  #named(name: string): StoredClient {
    return clientOf(this.#parts.registry.document, name);
  }

  /** Errors: `usage`, `not-granted`, `clients-changed`. */
  async add(acting: Acting, name: string, facts: ClientFacts): Promise<StoredClient> {
    checkClientName(name);
    checkNames(facts.scope, this.#parts.config);
    const { now } = this.#parts;
    const { scope, limits, pins = [], queue = false } = facts;
    const grants = {
      ...replaced(nothingGranted, scope),
      limits: { ...nothingGranted.limits, ...limits },
    };
    const made: StoredClient = { name, grants, createdAt: now(), pins, queue };
    const why = this.why(acting, made);
    if (why) throw denied(`client ${name} would be able to do more than you`, 'grant less');
    await this.#change(acting, [['client-add', name, grantsLine(grants, pins)]], (document) => {
      if (document.clients.some((each) => each.name.toLowerCase() === name.toLowerCase()))
        throw usage(`there is a client ${name} already`, 'change it with sealpost clients grant');
      this.#checkPins(document, acting, { ...made, pins: [] }, pins);
      document.clients.push(structuredClone(made));
    });
    return this.#named(name);
  }

  /** Replaces the facts that are given. Errors: `client-unknown`, `usage`, `not-granted`, `clients-changed`. */
  async grant(
    acting: Acting,
    name: string,
    { scope, limits, pins, queue }: ClientFacts,
  ): Promise<StoredClient> {
    checkNames(scope, this.#parts.config);
    const after = ({ grants }: StoredClient): Grants => ({
      ...replaced(grants, scope),
      limits: { ...grants.limits, ...limits },
    });
    const known = this.#own(await this.#document(), acting, name);
    const line = grantsLine(after(known), pins ?? known.pins);
    await this.#change(acting, [['client-grant', known.name, line]], (document) => {
      const client = this.#own(document, acting, name);
      if (pins !== undefined) this.#checkPins(document, acting, client, pins);
      client.grants = after(client);
      if (pins !== undefined) client.pins = pins;
      if (queue !== undefined) client.queue = queue;
      if (this.why(acting, client))
        throw denied(`client ${client.name} would be able to do more than you`, 'grant less');
    });
    return this.#named(name);
  }

  /** Removes a client with its tokens. Errors: `client-unknown`, `not-granted`, `clients-changed`. */
  async remove(acting: Acting, name: string): Promise<void> {
    await this.#change(acting, [['client-remove', name]], (document) => {
      const client = this.#own(document, acting, name);
      document.clients = document.clients.filter((each) => each !== client);
      document.credentials = document.credentials.filter((each) => each.client !== client.name);
    });
  }

  /**
   * A new token of a client.
   *
   * @param facts.scope what narrows the grants of the client
   * @throws {SealpostError} `client-unknown`, `usage`, `not-granted`, `clients-changed`
   */
  async addToken(
    acting: Acting,
    client: string,
    { scope, note, expiresAt, limits }: TokenFacts,
  ): Promise<MadeToken> {
    checkNames(scope, this.#parts.config);
    const { id, text, hash } = makeCredential();
    const { name } = this.#own(await this.#document(), acting, client);
    const own = { ...noLimits, ...limits };
    const words = limitTexts(own);
    const line = [`token ${id}`, ...words].join('; ');
    await this.#change(acting, [['token-add', name, line]], (document) => {
      const owner = this.#own(document, acting, client);
      this.#checkExpiry(document, acting, expiresAt);
      const createdAt = this.#parts.now();
      const made = { id, client: owner.name, hash, createdAt, note, scope, expiresAt };
      document.credentials.push({ ...made, ...(words.length > 0 && { limits: own }) });
    });
    return { id, text, client: name, expiresAt };
  }

  /**
   * A new token with the scope and limits of an old one, which stays valid for `overlap` milliseconds. Errors: as
   * `addToken`.
   */
  async rotateToken(
    acting: Acting,
    old: string,
    { expiresAt, overlap }: { expiresAt: number | null; overlap: number },
  ): Promise<MadeToken> {
    const { id, text, hash } = makeCredential();
    const { client } = this.#ownToken(await this.#document(), acting, old);
    const notes = [['token-add', client, `token ${id}, for ${old}`] as const, ['token-revoke', old] as const];
    await this.#change(acting, notes, (document) => {
      const before = this.#ownToken(document, acting, old);
      this.#checkExpiry(document, acting, expiresAt);
      const { scope, note, limits } = before;
      const createdAt = this.#parts.now();
      const made = { id, client, hash, createdAt, note, scope, expiresAt };
      document.credentials.push({ ...made, ...(limits && { limits }) });
      const until = createdAt + overlap;
      before.expiresAt = Math.min(before.expiresAt ?? until, until);
    });
    return { id, text, client, expiresAt };
  }

  /** Errors: `client-unknown`, `not-granted`, `clients-changed`. */
  async revokeToken(acting: Acting, id: string): Promise<void> {
    await this.#change(acting, [['token-revoke', id]], (document) => {
      const token = this.#ownToken(document, acting, id);
      document.credentials = document.credentials.filter((each) => each !== token);
    });
  }
}

/** Grants in one line, for the audit trail. Certificates come first: they can log in, and the line may be cut. */
function grantsLine({ verbs, partners, mailboxes }: Grants, pins: readonly string[]): string {
  const line = `${namesLine(verbs)}; partners ${namesLine(partners)}; mailboxes ${namesLine(mailboxes)}`;
  const certificates = pins.map((pin) => pin.slice(0, 16)).join(' ');
  return (certificates === '' ? line : `pins ${certificates}; ${line}`).slice(0, 500);
}
