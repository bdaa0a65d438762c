/** A person who has logged in, with its rights of now. */
import { Client, personPrefix } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { grantsOf, type Rights, type Role } from './roles.ts';
import type { StoredPerson } from './stored.ts';

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly rights: Rights;
  /** Proves who it is at the provider, and not with a password. */
  readonly kind: 'oidc' | 'local';
  /** Its rights. The door for programs knows no such client. */
  readonly client: Client;
}

type Oidc = Config['console']['oidc'];

/** The rights of a person now; undefined if it has none any more. */
export function rightsOf(stored: StoredPerson, oidc: Oidc): Rights | undefined {
  if (stored.disabled) return undefined;
  if (stored.subject !== null && stored.subject.issuer !== oidc?.issuer) return undefined;
  if (stored.groups === null) return stored;
  const groups = new Set(stored.groups);
  return oidc?.groups.find(({ group }) => groups.has(group));
}

/**
 * Names of people as clients. No client of the door for programs can have such a name.
 *
 * @param address where the request came from
 */
export function personOf(stored: StoredPerson, rights: Rights, address: string): Person {
  const { id, name, subject } = stored;
  const kind = subject === null ? 'local' : 'oidc';
  const actor = `person ${name}, console, from ${address}`;
  const client = new Client(`${personPrefix}${name}`, grantsOf(rights), id, actor);
  const { role, mailboxes, partners, content } = rights;
  return { id, name, role, rights: { role, mailboxes, partners, content }, kind, client };
}
