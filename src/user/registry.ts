/** The people of an installation: one sealed document in Redis, as clients and certificates are. */
import { createHash, randomBytes } from 'node:crypto';
import type { Client } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Adopted, type DocumentKind, type SealedDocumentParts, SealedStore } from '../redis/index.ts';
import { type Person, personOf, rightsOf } from './person.ts';
import type { Rights } from './roles.ts';
import { personName, type StoredPerson, type UsersDocument, usersSchema } from './stored.ts';

export interface UsersParts extends SealedDocumentParts {
  oidc: Config['console']['oidc'];
  /** Milliseconds since the epoch. */
  now(): number;
}

/** For how many milliseconds an invitation is valid. */
const invitationLasts = 24 * 3_600_000;

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

const kind: DocumentKind<UsersDocument> = {
  name: 'users',
  title: 'the list of people',
  code: 'users-changed',
  consequence: 'nobody can use the console until this is mended',
  empty: { version: 0, people: [] },
  parse: (value) => usersSchema.parse(value),
};

export class UserRegistry extends SealedStore<UsersDocument> {
  readonly #parts: UsersParts;
  #byId = new Map<string, StoredPerson>();

  private constructor(parts: UsersParts) {
    super(parts, kind);
    this.#parts = parts;
  }

  protected override adopt({ document }: Adopted<UsersDocument>): void {
    this.#byId = new Map(document.people.map((each) => [each.id, each]));
  }

  static async open(parts: UsersParts): Promise<UserRegistry> {
    const registry = new UserRegistry(parts);
    await registry.refresh();
    return registry;
  }

  get people(): readonly StoredPerson[] {
    return this.stored.document.people;
  }

  byId(id: string): StoredPerson | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): StoredPerson | undefined {
    return this.people.find((each) => each.name.toLowerCase() === name.toLowerCase());
  }

  bySubject(issuer: string, subject: string): StoredPerson | undefined {
    return this.people.find((each) => each.subject?.issuer === issuer && each.subject.subject === subject);
  }

  /** The person with its rights of now; undefined if it has none any more. */
  person(id: string, address: string): Person | undefined {
    const stored = this.#byId.get(id);
    const rights = stored && rightsOf(stored, this.#parts.oidc);
    return stored && rights && personOf(stored, rights, address);
  }

  /** The client of a person now: a stream asks for it while it lasts. */
  again({ credential, actor }: Client): Client | undefined {
    return this.person(credential, actor.replace(/^.* from /, ''))?.client;
  }

  /**
   * Changes the list, as a whole or not at all. The edit may run several times.
   *
   * @param accept takes the list as it is in Redis even if it is older than one that was seen before, as after a
   *    restore
   * @throws {SealpostError} `users-changed`, and what the edit throws
   */
  async change(edit: (document: UsersDocument) => void, accept = false): Promise<void> {
    await this.stored.edit(edit, accept);
  }
}

/** Errors: `person-unknown`. */
export function personNamed(document: { people: readonly StoredPerson[] }, name: string): StoredPerson {
  const found = document.people.find((each) => each.name.toLowerCase() === name.toLowerCase());
  if (found) return found;
  const names = document.people.map((each) => each.name);
  throw new SealpostError('person-unknown', `there is no person ${JSON.stringify(name)}`, {
    hint: names.length > 0 ? `people are ${names.join(', ')}` : 'add the first with sealpost users add',
  });
}

/** A code for the person's first login, shown once. */
export function invite(person: StoredPerson, now: number): string {
  const code = randomBytes(15).toString('base64url');
  person.invitation = { hash: sha256(code), expiresAt: now + invitationLasts };
  person.password = null;
  person.totp = null;
  person.passkeys = [];
  person.epoch += 1;
  return code;
}

export function isInvited({ invitation, disabled }: StoredPerson, code: string, now: number): boolean {
  return !disabled && invitation !== null && invitation.expiresAt > now && invitation.hash === sha256(code);
}

/** Adds a person who has no rights yet. Errors: `usage`. */
export function addPerson(
  document: UsersDocument,
  name: string,
  rights: Rights,
  more: Partial<Pick<StoredPerson, 'subject' | 'groups'>> & { now: number },
): StoredPerson {
  if (!personName.test(name))
    throw new SealpostError('usage', `${JSON.stringify(name)} is not a name for a person`, {
      hint: 'use letters, digits, dot, underscore, hyphen and @, at most 63',
    });
  if (document.people.some((each) => each.name.toLowerCase() === name.toLowerCase()))
    throw new SealpostError('usage', `there is a person ${name} already`, {
      hint: 'change it with sealpost users change',
    });
  const { now, subject = null, groups = null } = more;
  const { role, mailboxes, partners, content } = rights;
  const person: StoredPerson = {
    ...{ id: randomBytes(8).toString('hex'), name, role, mailboxes, partners, content },
    ...{ disabled: false, epoch: 0, createdAt: now, password: null, totp: null, passkeys: [] },
    ...{ invitation: null, subject, groups },
  };
  document.people.push(person);
  return person;
}
