/**
 * Changes to people: one implementation for the command line, the API and the console. Each act is in the audit trail
 * before it is done. Nobody can grant rights that they do not have, change a person who may do more than they may, or
 * change their own rights.
 */
import {
  type Acting,
  checkNames,
  covers,
  type Named,
  namesLine,
  seesAll,
  seesAllOf,
} from '../client/index.ts';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Audit, AuditEntry } from '../queue/index.ts';
import { type FailedLogin, failedLogins, type LoginsParts } from './logins.ts';
import { rightsOf } from './person.ts';
import { addPerson, invite, personNamed, type UserRegistry } from './registry.ts';
import { grantsOf, type Rights } from './roles.ts';
import type { StoredPerson, UsersDocument } from './stored.ts';

export interface PersonDeskParts extends Pick<LoginsParts, 'redis' | 'prefix'> {
  registry: UserRegistry;
  audit: Pick<Audit, 'add'>;
  /** The names that rights may contain, and the rights of groups. */
  config: Named & Pick<Config, 'console'>;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** A person, and the code of its first login, which is shown once. */
export interface Invited {
  person: StoredPerson;
  /** Undefined for a person who logs in at the provider. */
  invitation: string | undefined;
}

type Document = { people: readonly StoredPerson[] };

const usage = (message: string, hint: string) => new SealpostError('usage', message, { hint });
const denied = (message: string, hint: string) => new SealpostError('not-granted', message, { hint });

export class PersonDesk {
  readonly #parts: PersonDeskParts;

  constructor(parts: PersonDeskParts) {
    this.#parts = parts;
  }

  /** The list as it is now. Errors: `users-changed`, `redis-unreachable`. */
  async #document(): Promise<Document> {
    const { registry } = this.#parts;
    await registry.refresh();
    if (registry.trouble) throw registry.trouble;
    return registry;
  }

  /** The rights of a person, as they would be if it were not disabled; if its groups give none, its stored ones. */
  #rightsOf(person: StoredPerson): Rights {
    return rightsOf({ ...person, disabled: false }, this.#parts.config.console.oidc) ?? person;
  }

  #seen({ people }: Document, { client }: Acting): StoredPerson[] {
    return people.filter((each) => seesAllOf(client.grants, grantsOf(this.#rightsOf(each))));
  }

  /** The people that the actor may see: those whose mail it may see. Others do not exist for it. */
  async list(acting: Acting): Promise<StoredPerson[]> {
    return this.#seen(await this.#document(), acting);
  }

  /** Why an act of the actor on a person would be refused; undefined if it would not. */
  why({ client: { grants, credential } }: Acting, other: StoredPerson): SealpostError | undefined {
    if (credential === other.id)
      return denied('nobody changes what concerns itself', 'have another administrator do it');
    if (covers(grants, grantsOf(this.#rightsOf(other)))) return undefined;
    return denied(
      `${other.name} may do more than you`,
      'have somebody do it who may do all of that, or use sealpost users on the machine',
    );
  }

  /** The person, if the actor may change it. Errors: `person-unknown`, `not-granted`. */
  #own(document: Document, acting: Acting, name: string): StoredPerson {
    const found = personNamed({ people: this.#seen(document, acting) }, name);
    const why = this.why(acting, found);
    if (why) throw why;
    return found;
  }

  async #change(
    { by }: Acting,
    note: { what: AuditEntry['what']; subject: string; why?: string },
    edit: (document: UsersDocument) => void,
  ): Promise<void> {
    const { registry, audit, now } = this.#parts;
    const { people } = await this.#document();
    // Errors of the change show before anything is written.
    edit({ version: 0, people: structuredClone([...people]) });
    await audit.add({ at: now(), by, ...note });
    await registry.change(edit);
  }

  /** Changes one person. */
  async #edit(
    acting: Acting,
    what: AuditEntry['what'],
    name: string,
    edit: (person: StoredPerson, document: UsersDocument) => void,
    why?: string,
  ): Promise<StoredPerson> {
    const { name: subject, id } = this.#own(await this.#document(), acting, name);
    let last: StoredPerson | undefined;
    await this.#change(acting, { what, subject, ...(why !== undefined && { why }) }, (document) => {
      last = this.#own(document, acting, name);
      edit(last, document);
    });
    const after = this.#parts.registry.byId(id) ?? last;
    if (after) return after;
    throw new SealpostError('person-unknown', `there is no person ${JSON.stringify(name)}`);
  }

  /** Errors: `usage`, `not-granted`. */
  #checkRights({ client: { grants } }: Acting, rights: Rights): void {
    checkNames(rights, this.#parts.config);
    if (!covers(grants, grantsOf(rights)))
      throw denied('these rights are more than your own', 'give less, or use sealpost users on the machine');
  }

  /**
   * Adds a person.
   *
   * @param subject identifies it at the provider (`console.oidc`), where it will log in
   * @throws {SealpostError} `usage`, `not-granted`, `users-changed`
   */
  async add(acting: Acting, name: string, rights: Rights, subject?: string): Promise<Invited> {
    const { now, config, registry } = this.#parts;
    const { oidc } = config.console;
    if (subject !== undefined && oidc === undefined)
      throw usage('there is no provider for a subject', 'write console.oidc');
    // Whoever is added loses the rights of its groups, which may be more than the giver has.
    if (subject !== undefined && !seesAll(acting.client))
      throw denied(
        'a subject of the provider is for an administrator of all mailboxes and partners to add',
        'leave the subject out: the person gets an invitation',
      );
    const own = subject === undefined || oidc === undefined ? null : { issuer: oidc.issuer, subject };
    this.#checkRights(acting, rights);
    let invitation: string | undefined;
    await this.#change(acting, { what: 'person-add', subject: name, why: lineOf(rights) }, (document) => {
      if (
        own &&
        document.people.some(({ subject: of }) => of?.issuer === own.issuer && of.subject === own.subject)
      )
        throw usage('somebody has this subject already', 'see sealpost users list');
      const person = addPerson(document, name, rights, { now: now(), subject: own });
      invitation = own === null ? invite(person, now()) : undefined;
    });
    return { person: personNamed(registry, name), invitation };
  }

  /** Replaces the rights that are given. Errors: `person-unknown`, `usage`, `not-granted`, `users-changed`. */
  async changeRights(acting: Acting, name: string, some: Partial<Rights>): Promise<StoredPerson> {
    const after = ({ role, mailboxes, partners, content }: Rights): Rights => ({
      ...{ role: some.role ?? role, mailboxes: some.mailboxes ?? mailboxes },
      ...{ partners: some.partners ?? partners, content: some.content ?? content },
    });
    const known = this.#own(await this.#document(), acting, name);
    const edit = (person: StoredPerson) => {
      if (person.groups !== null)
        throw usage(`${person.name} has the rights of its groups`, 'change console.oidc.groups');
      this.#checkRights(acting, after(person));
      Object.assign(person, after(person));
    };
    return await this.#edit(acting, 'person-change', name, edit, lineOf(after(known)));
  }

  /** Takes away password, app and passkeys, and ends all logins. Errors: `person-unknown`, `usage`, `not-granted`. */
  async reset(acting: Acting, name: string): Promise<Invited> {
    let invitation = '';
    const person = await this.#edit(acting, 'person-reset', name, (each) => {
      if (each.subject !== null)
        throw usage(`${each.name} logs in at the provider`, 'there is no password here to reset');
      invitation = invite(each, this.#parts.now());
    });
    return { person, invitation };
  }

  /** Ends all logins of a person, and refuses new ones. Errors: `person-unknown`, `not-granted`. */
  async disable(acting: Acting, name: string): Promise<StoredPerson> {
    return await this.#edit(acting, 'person-disable', name, (person) => {
      person.disabled = true;
      person.epoch += 1;
    });
  }

  async enable(acting: Acting, name: string): Promise<StoredPerson> {
    return await this.#edit(acting, 'person-enable', name, (person) => {
      person.disabled = false;
    });
  }

  /** Ends all logins of a person, who may log in again afterwards. */
  async endSessions(acting: Acting, name: string): Promise<StoredPerson> {
    return await this.#edit(acting, 'person-logout', name, (person) => {
      person.epoch += 1;
    });
  }

  async remove(acting: Acting, name: string): Promise<StoredPerson> {
    return await this.#edit(acting, 'person-remove', name, (person, document) => {
      document.people = document.people.filter((each) => each !== person);
    });
  }

  /** Failed logins, newest first: of a person, or with names that nobody has. Errors: `person-unknown`. */
  async failures(acting: Acting, name: string | undefined): Promise<FailedLogin[]> {
    const people = await this.list(acting);
    return await failedLogins(this.#parts, name === undefined ? undefined : personNamed({ people }, name).id);
  }
}

/** Rights in one line, for the audit trail. */
function lineOf({ role, mailboxes, partners, content }: Rights): string {
  const line = `${role}; mailboxes ${namesLine(mailboxes)}; partners ${namesLine(partners)}`;
  return `${line}${content ? '; content' : ''}`.slice(0, 500);
}

/** The facts of a person that may be shown. */
export function personView(stored: StoredPerson, now: number) {
  const { name, role, mailboxes, partners, content, disabled, createdAt } = stored;
  const { password, totp, passkeys, invitation, subject, groups } = stored;
  const login: 'oidc' | 'password' | 'none' =
    subject !== null ? 'oidc' : password !== null ? 'password' : 'none';
  return {
    ...{ name, role, mailboxes, partners, content, disabled, login, totp: totp !== null },
    ...{ passkeys: passkeys.length, invited: invitation !== null && invitation.expiresAt > now },
    ...{ subject, groups, createdAt: new Date(createdAt).toISOString() },
  };
}
