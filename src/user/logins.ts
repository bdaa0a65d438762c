/**
 * How people prove who they are: at the first login, at each login, and again before grave acts. Each proof is in the
 * audit trail.
 */
import { SealpostError } from '../errors.ts';
import { cleanText, type Log, logRarely } from '../log.ts';
import { counter } from '../metrics.ts';
import { guarded } from '../redis/index.ts';
import { type Came, type Flow, flowLasts } from './oidc.ts';
import { Passkeys, type PasskeysParts } from './passkeys.ts';
import { checkNewPassword, isPassword, type Lane, storePassword } from './password.ts';
import { type Person, personOf, rightsOf } from './person.ts';
import { addPerson, isInvited, personNamed, type UserRegistry } from './registry.ts';
import { type Session, Sessions } from './sessions.ts';
import type { StoredPerson } from './stored.ts';
import { newTotpSecret, totpStep } from './totp.ts';
import { Devices, networkOfStranger, Tries } from './tries.ts';

export interface LoginsParts extends PasskeysParts {
  deriveKey(purpose: string): Buffer;
  log: Log;
}

/** What somebody enters into the form. */
export interface Shown {
  password: string;
  /** Of the authenticator app. */
  code: string;
  /** What the browser says of a passkey, as JSON; '' for none. */
  passkey?: string;
}

/** Address of the other end. */
export interface Where {
  address: string;
  /** The mark of the browser, or anything. */
  device: string;
}

export interface LoggedIn {
  person: Person;
  session: Session;
  /** The mark of the browser from now on. */
  device: string;
}

const logins = counter('console_logins_total', 'Logins to the console, by how they ended.', ['result']);

/** For this many milliseconds, a code is refused the second time: longer than it is valid. */
const codeLasts = 300_000;
/** How many failed logins are kept for each person. */
const keptFailures = 200;

export interface FailedLogin {
  /** Milliseconds since the epoch. */
  at: number;
  address: string;
}

const failuresKey = (prefix: string, id: string | undefined) => `${prefix}:logins:${id ?? 'nobody'}`;

/** Failed logins, newest first: of a person, or with names that nobody has. */
export async function failedLogins(
  { redis, prefix }: Pick<LoginsParts, 'redis' | 'prefix'>,
  id: string | undefined,
): Promise<FailedLogin[]> {
  const lines = await guarded('login', redis.lrange(failuresKey(prefix, id), 0, -1));
  return lines.map((line) => JSON.parse(line));
}

export class Logins {
  readonly #parts: LoginsParts;
  readonly #tries: Tries;
  readonly #devices: Devices;
  readonly sessions: Sessions;
  readonly passkeys: Passkeys;

  constructor(parts: LoginsParts) {
    this.#parts = parts;
    this.#tries = new Tries(parts);
    this.#devices = new Devices(parts.deriveKey('browsers of the console'));
    this.passkeys = new Passkeys(parts);
    this.sessions = new Sessions({ ...parts, idle: parts.config.console.idle });
  }

  /** The list as it is now, including people who were just added or disabled. */
  async #newest(): Promise<UserRegistry> {
    await this.#parts.registry.refresh();
    return this.#trusted();
  }

  #trusted(): UserRegistry {
    const { registry } = this.#parts;
    if (registry.trouble) throw registry.trouble;
    return registry;
  }

  /** A person who may do something, and who logs in here and not at the provider. */
  #local(stored: StoredPerson | undefined): StoredPerson | undefined {
    const may = stored && stored.subject === null && rightsOf(stored, undefined) !== undefined;
    return may ? stored : undefined;
  }

  /**
   * Errors: `person-unauthenticated`, with the same text whatever is wrong; `login-limited`.
   */
  async login(name: string, shown: Shown, where: Where): Promise<LoggedIn> {
    const named = this.#local((await this.#newest()).byName(name));
    const stored = shown.passkey ? this.#holder(shown.passkey, name) : named;
    await this.#check(stored, shown, where, 'login');
    if (stored === undefined) throw wrong(shown);
    return await this.enter(stored, where);
  }

  /** The owner of the passkey; undefined if that is not the person who was named. */
  #holder(passkey: string, name: string): StoredPerson | undefined {
    const holder = this.#local(this.passkeys.holder(passkey));
    return name === '' || holder?.name.toLowerCase() === name.toLowerCase() ? holder : undefined;
  }

  /** Counts requests to use a passkey. Errors: `login-limited`, `request-invalid`. */
  async passkeyOptions(person: Person | undefined, { address, device }: Where): Promise<object> {
    const whose = person?.id ?? this.#browserOf(device) ?? networkOfStranger(address);
    await this.#tries.take('challenge', whose);
    return await this.passkeys.options(person && this.#trusted().byId(person.id));
  }

  /** The name of a browser in which somebody has logged in before: others at its address cannot use up its tries. */
  #browserOf(mark: string): string | undefined {
    if (mark === '') return undefined;
    for (const each of this.#trusted().people) {
      const browser = this.#devices.known(mark, each);
      if (browser !== undefined) return browser;
    }
    return undefined;
  }

  /** Errors: as `login`. */
  async #check(
    stored: StoredPerson | undefined,
    shown: Shown,
    where: Where,
    purpose: 'login' | 'step-up',
  ): Promise<void> {
    const browser = stored && this.#devices.known(where.device, stored);
    const right =
      browser === undefined
        ? await this.#tries.take('address', networkOfStranger(where.address))
        : await this.#tries.take('device', browser);
    const lane = browser === undefined ? 'stranger' : 'known';
    const fits = shown.passkey
      ? stored !== undefined && (await this.#fitsPasskey(stored, shown, where, lane, purpose))
      : (await isPassword(shown.password, stored?.password ?? null, lane)) &&
        stored !== undefined &&
        (await this.#isCode(stored, shown.code, browser === undefined));
    if (!fits) {
      await this.#failed(stored, where);
      throw wrong(shown);
    }
    await right();
  }

  /** A passkey that has verified its person is enough. Another one counts as the code does, beside the password. */
  async #fitsPasskey(
    stored: StoredPerson,
    { passkey = '', password }: Shown,
    where: Where,
    lane: Lane,
    purpose: 'login' | 'step-up',
  ): Promise<boolean> {
    const proof = await this.passkeys.proof(stored, passkey, purpose, where);
    if (proof === undefined) return false;
    return proof.verified || (await isPassword(password, stored.password, lane));
  }

  async #isCode(stored: StoredPerson, code: string, stranger: boolean): Promise<boolean> {
    if (!this.#parts.config.console.secondFactor && stored.totp === null) return true;
    if (stored.totp === null) return false;
    const right = stranger ? await this.#tries.take('code', stored.id) : undefined;
    const step = totpStep(stored.totp, code, this.#parts.now());
    if (step === undefined || !(await this.#isFirst(stored.id, step))) return false;
    await right?.();
    return true;
  }

  /** A code is accepted once (RFC 6238 section 5.2). */
  async #isFirst(id: string, step: number): Promise<boolean> {
    const { redis, prefix } = this.#parts;
    const key = `${prefix}:code:${id}:${step}`;
    return (await guarded('login', redis.set(key, '1', 'PX', codeLasts, 'NX'))) === 'OK';
  }

  /** Nothing that was typed is kept: a password may have been typed into the wrong field. */
  async #failed(stored: StoredPerson | undefined, { address }: Where): Promise<void> {
    const { redis, prefix, log, now } = this.#parts;
    logins.inc({ result: 'refused' });
    const name = stored?.name ?? 'nobody';
    logRarely(log, 'warn', `login of ${name}`, { person: name, address }, 'a login to the console failed');
    const key = failuresKey(prefix, stored?.id);
    const failed: FailedLogin = { at: now(), address: cleanText(address, 64) };
    await guarded('login', redis.lpush(key, JSON.stringify(failed)));
    await guarded('login', redis.ltrim(key, 0, keptFailures - 1));
  }

  /** Failed logins, newest first: of a person, or with names that nobody has. */
  async failures(id: string | undefined): Promise<FailedLogin[]> {
    return await failedLogins(this.#parts, id);
  }

  /** A new session for a person who has proved who it is. */
  async enter(stored: StoredPerson, { address }: Where): Promise<LoggedIn> {
    const { config, audit, now } = this.#parts;
    const rights = rightsOf(stored, config.console.oidc);
    if (rights === undefined) throw wrong();
    const person = personOf(stored, rights, address);
    await audit.add({ at: now(), by: person.client.actor, what: 'login' });
    const { session: most, oidc } = config.console;
    const lasts = stored.subject === null ? most : Math.min(most, oidc?.session ?? 0);
    const session = await this.sessions.begin(stored, lasts);
    logins.inc({ result: 'accepted' });
    return { person, session, device: this.#devices.mark(stored) };
  }

  /**
   * The person of a session, with its rights of now; undefined if the session has ended. Errors: `users-changed`.
   *
   * @param quiet the session is not prolonged
   */
  async whose(
    id: string,
    address: string,
    quiet = false,
  ): Promise<{ person: Person; session: Session } | undefined> {
    const registry = this.#trusted();
    const session = await this.sessions.find(id, quiet);
    if (session === undefined) return undefined;
    const person = registry.person(session.person, address);
    if (person === undefined || registry.byId(session.person)?.epoch !== session.epoch) {
      await this.sessions.end(id);
      return undefined;
    }
    return { person, session };
  }

  /** Whether a session still lasts, and has not been ended with all logins of its person. This does not prolong it. */
  async isOpen(session: Session): Promise<boolean> {
    const isOfNow = this.#parts.registry.byId(session.person)?.epoch === session.epoch;
    return isOfNow && (await this.sessions.isThere(session));
  }

  /** The person proves again who it is. The session has another id from then on. Errors: as `login`. */
  async stepUp(person: Person, session: Session, shown: Shown, where: Where): Promise<Session> {
    await this.#check(this.#local(this.#trusted().byId(person.id)), shown, where, 'step-up');
    return await this.proved(person, session);
  }

  /** The same after a proof elsewhere, at the provider. */
  async proved(person: Person, session: Session): Promise<Session> {
    await this.#parts.audit.add({ at: this.#parts.now(), by: person.client.actor, what: 'step-up' });
    return await this.sessions.prove(session);
  }

  /**
   * Counts a return from the provider before the provider is asked with our secret: each return once, and a limited
   * number in all. Returns the function that takes the try back if it was right.
   *
   * @param person who is already logged in, and is counted by itself
   * @throws {SealpostError} `person-unauthenticated`, `login-limited`
   */
  async cameBack(
    { state }: Flow,
    { address }: Where,
    person: Person | undefined,
  ): Promise<() => Promise<void>> {
    const right = await this.#tries.take('provider', person?.id ?? networkOfStranger(address));
    await this.#once(state);
    return right;
  }

  /**
   * Logs in somebody who comes from the provider. A new person is added, with the rights of its groups.
   *
   * @throws {SealpostError} `person-unauthenticated` for people in no group with rights, and for disabled ones
   */
  async loginAs(came: Came, where: Where): Promise<LoggedIn> {
    const right = await this.#tries.take('address', networkOfStranger(where.address));
    const registry = await this.#newest();
    const { config } = this.#parts;
    const known = registry.bySubject(came.issuer, came.subject);
    const groups = known && known.groups === null ? null : await this.#groups(came, where);
    const stored = known ?? newcomer(registry, came, groups, this.#parts.now());
    if (rightsOf({ ...stored, groups }, config.console.oidc) === undefined)
      throw await this.#denied(`${came.name} is in no group that may do anything here, or disabled`, where);
    if (known === undefined || !isSame(known.groups, groups)) await this.#keep(stored, groups);
    const now = registry.bySubject(came.issuer, came.subject);
    if (now === undefined) throw wrong();
    await right();
    return await this.enter(now, where);
  }

  /** The same for a step-up: it must be the person of the session. */
  async stepUpAs(came: Came, person: Person, session: Session, where: Where): Promise<Session> {
    const stored = this.#trusted().byId(person.id);
    const { issuer, subject } = stored?.subject ?? {};
    if (issuer !== came.issuer || subject !== came.subject)
      throw await this.#denied('another person came back from the provider', where);
    return await this.proved(person, session);
  }

  /** A return from the provider is accepted once. */
  async #once(state: string): Promise<void> {
    const { redis, prefix } = this.#parts;
    const key = `${prefix}:code:oidc:${state}`;
    if ((await guarded('login', redis.set(key, '1', 'PX', flowLasts, 'NX'))) !== 'OK') throw wrong();
  }

  async #groups(came: Came, where: Where): Promise<string[]> {
    const { groups } = came;
    if (groups !== undefined) return groups;
    throw await this.#denied(`the provider does not list all groups of ${came.name}`, where);
  }

  async #denied(why: string, { address }: Where): Promise<SealpostError> {
    const { audit, now } = this.#parts;
    logins.inc({ result: 'refused' });
    const by = `somebody, console, from ${address}`;
    await audit.add({ at: now(), by, what: 'denied', subject: 'login', why: cleanText(why, 200) });
    return new SealpostError('person-unauthenticated', cleanText(why, 200));
  }

  async #keep(stored: StoredPerson, groups: string[] | null): Promise<void> {
    const { audit, now } = this.#parts;
    const by = 'provider of console.oidc';
    await audit.add({ at: now(), by, what: 'person-change', subject: stored.name });
    await this.#parts.registry.change((document) => {
      const { issuer, subject } = stored.subject ?? {};
      const found = document.people.find(
        (each) => each.subject?.issuer === issuer && each.subject?.subject === subject,
      );
      if (found) found.groups = groups;
      else document.people.push({ ...stored, groups });
    });
  }

  isFresh({ provedAt }: Session): boolean {
    return this.#parts.now() - provedAt < this.#parts.config.console.stepUp;
  }

  async logout(person: Person, session: Session): Promise<void> {
    await this.#parts.audit.add({ at: this.#parts.now(), by: person.client.actor, what: 'logout' });
    await this.sessions.end(session.id);
  }

  /**
   * Takes an invitation, with a password and the secret for the authenticator app, of which a code must come back.
   *
   * @throws {SealpostError} `person-unauthenticated`, `login-limited`, `request-invalid`
   */
  async welcome(
    name: string,
    invitation: string,
    { password, code }: Shown,
    secret: string,
    where: Where,
  ): Promise<LoggedIn> {
    const { config, now } = this.#parts;
    const stored = this.#local((await this.#newest()).byName(name));
    const right = await this.#tries.take('address', networkOfStranger(where.address));
    if (stored === undefined || !isInvited(stored, invitation, now())) {
      await this.#failed(stored, where);
      throw wrong();
    }
    await right();
    checkNewPassword(password, stored.name);
    const { secondFactor } = config.console;
    const step = secondFactor ? totpStep(secret, code, now()) : 0;
    if (step === undefined)
      throw new SealpostError('request-invalid', 'the code is not the one of this secret', {
        hint: 'look at the clock of the phone',
      });
    const kept = await storePassword(password);
    const by = `person ${stored.name}, console, from ${where.address}`;
    await this.#parts.audit.add({ at: now(), by, what: 'password-set', subject: stored.name });
    await this.#parts.registry.change((document) => {
      const own = personNamed(document, stored.name);
      // Somebody else may have taken the invitation in the meantime.
      if (!isInvited(own, invitation, now())) throw wrong();
      own.password = kept;
      own.totp = secondFactor ? secret : null;
      own.invitation = null;
      own.epoch += 1;
    });
    await this.#isFirst(stored.id, step);
    return await this.enter(personNamed(this.#parts.registry, stored.name), where);
  }

  /** A secret for an authenticator app. */
  newSecret(): string {
    return newTotpSecret();
  }
}

const isSame = (a: readonly string[] | null, b: readonly string[] | null) =>
  JSON.stringify(a) === JSON.stringify(b);

/** A name that nobody has, for somebody of the provider. It reveals nothing about the person. */
function newcomer(
  { people }: UserRegistry,
  { issuer, subject, name }: Came,
  groups: string[] | null,
  now: number,
): StoredPerson {
  const plain = name.replaceAll(/[^a-z0-9._@-]+/gi, '-').replace(/^[^a-z0-9]+/i, '');
  const base = plain.slice(0, 55) || 'person';
  const taken = new Set(people.map((each) => each.name.toLowerCase()));
  let free = base;
  for (let number = 2; taken.has(free.toLowerCase()); number += 1) free = `${base}-${number}`;
  const rights = { role: 'viewer', mailboxes: [], partners: [], content: false } as const;
  const more = { now, subject: { issuer, subject }, groups };
  return addPerson({ version: 0, people: [] }, free, { ...rights, mailboxes: [], partners: [] }, more);
}

function wrong(shown?: Shown): SealpostError {
  const what = shown?.passkey ? 'the passkey was not accepted' : 'name, password or code are wrong';
  return new SealpostError('person-unauthenticated', what);
}
