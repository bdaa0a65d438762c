/** How people show who they are: the first time, at each login, and again before grave acts. Each is in the audit trail. */
import type { Redis } from 'ioredis';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { cleanText, type Log, logRarely } from '../log.ts';
import { counter } from '../metrics.ts';
import type { Audit } from '../queue/index.ts';
import { guarded } from '../redis/index.ts';
import { checkNewPassword, isPassword, storePassword } from './password.ts';
import { type Person, personOf, rightsOf } from './person.ts';
import { isInvited, personNamed, type UserRegistry } from './registry.ts';
import { type Session, Sessions } from './sessions.ts';
import type { StoredPerson } from './stored.ts';
import { newTotpSecret, totpStep } from './totp.ts';
import { Devices, networkOfStranger, Tries } from './tries.ts';

export interface LoginsParts {
  config: Pick<Config, 'console'>;
  registry: UserRegistry;
  redis: Redis;
  prefix: string;
  seal(context: string, value: unknown): Buffer;
  unseal(context: string, sealed: Buffer): unknown;
  deriveKey(purpose: string): Buffer;
  audit: Pick<Audit, 'add'>;
  log: Log;
  now(): number;
}

/** What somebody writes into the form. */
export interface Shown {
  password: string;
  /** Of the authenticator app. */
  code: string;
}

/** Where it comes from. */
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

/** Milliseconds in which a code counts once: longer than it is valid. */
const codeLasts = 300_000;
/** Failed logins that are kept for each person. */
const keptFailures = 200;

export interface FailedLogin {
  /** Milliseconds since the epoch. */
  at: number;
  address: string;
}

export class Logins {
  readonly #parts: LoginsParts;
  readonly #tries: Tries;
  readonly #devices: Devices;
  readonly sessions: Sessions;

  constructor(parts: LoginsParts) {
    this.#parts = parts;
    this.#tries = new Tries(parts);
    this.#devices = new Devices(parts.deriveKey('browsers of the console'));
    this.sessions = new Sessions({ ...parts, idle: parts.config.console.idle });
  }

  /** As it is at this moment: who was added or disabled just now. */
  async #newest(): Promise<UserRegistry> {
    await this.#parts.registry.refresh();
    return this.#trusted();
  }

  #trusted(): UserRegistry {
    const { registry } = this.#parts;
    if (registry.trouble) throw registry.trouble;
    return registry;
  }

  /** A person who may do something, and logs in here. */
  #local(stored: StoredPerson | undefined): StoredPerson | undefined {
    const may = stored && stored.subject === null && rightsOf(stored, undefined) !== undefined;
    return may ? stored : undefined;
  }

  /**
   * Errors: `person-unauthenticated`, with the same text whatever is wrong; `login-limited`.
   */
  async login(name: string, shown: Shown, where: Where): Promise<LoggedIn> {
    const stored = this.#local((await this.#newest()).byName(name));
    await this.#check(stored, shown, where);
    if (stored === undefined) throw wrong();
    return await this.enter(stored, where);
  }

  /** Errors: as `login`. */
  async #check(stored: StoredPerson | undefined, shown: Shown, where: Where): Promise<void> {
    const browser = stored && this.#devices.known(where.device, stored);
    const right =
      browser === undefined
        ? await this.#tries.take('address', networkOfStranger(where.address))
        : await this.#tries.take('device', browser);
    const lane = browser === undefined ? 'stranger' : 'known';
    const fits =
      (await isPassword(shown.password, stored?.password ?? null, lane)) &&
      stored !== undefined &&
      (await this.#isCode(stored, shown.code, browser === undefined));
    if (!fits) {
      await this.#failed(stored, where);
      throw wrong();
    }
    await right();
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

  /** A code counts once (RFC 6238 section 5.2). */
  async #isFirst(id: string, step: number): Promise<boolean> {
    const { redis, prefix } = this.#parts;
    const key = `${prefix}:code:${id}:${step}`;
    return (await guarded('login', redis.set(key, '1', 'PX', codeLasts, 'NX'))) === 'OK';
  }

  /** Nothing that was typed is kept: a password may be in the wrong field. */
  async #failed(stored: StoredPerson | undefined, { address }: Where): Promise<void> {
    const { redis, prefix, log, now } = this.#parts;
    logins.inc({ result: 'refused' });
    const name = stored?.name ?? 'nobody';
    logRarely(log, 'warn', `login of ${name}`, { person: name, address }, 'a login to the console failed');
    const key = `${prefix}:logins:${stored?.id ?? 'nobody'}`;
    const failed: FailedLogin = { at: now(), address: cleanText(address, 64) };
    await guarded('login', redis.lpush(key, JSON.stringify(failed)));
    await guarded('login', redis.ltrim(key, 0, keptFailures - 1));
  }

  /** Failed logins, newest first: of a person, or of names that nobody has. */
  async failures(id: string | undefined): Promise<FailedLogin[]> {
    const { redis, prefix } = this.#parts;
    const lines = await guarded('login', redis.lrange(`${prefix}:logins:${id ?? 'nobody'}`, 0, -1));
    return lines.map((line) => JSON.parse(line));
  }

  /** A new session for a person who has shown who it is. */
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

  /** The person of a session, as it may be now; undefined if it has ended. Errors: `users-changed`. */
  async whose(id: string, address: string): Promise<{ person: Person; session: Session } | undefined> {
    const registry = this.#trusted();
    const session = await this.sessions.find(id);
    if (session === undefined) return undefined;
    const person = registry.person(session.person, address);
    if (person === undefined || registry.byId(session.person)?.epoch !== session.epoch) {
      await this.sessions.end(id);
      return undefined;
    }
    return { person, session };
  }

  /** The person shows again who it is. The session has another id from then on. Errors: as `login`. */
  async stepUp(person: Person, session: Session, shown: Shown, where: Where): Promise<Session> {
    await this.#check(this.#local(this.#trusted().byId(person.id)), shown, where);
    return await this.proved(person, session);
  }

  /** The same once it has shown so elsewhere. */
  async proved(person: Person, session: Session): Promise<Session> {
    await this.#parts.audit.add({ at: this.#parts.now(), by: person.client.actor, what: 'step-up' });
    return await this.sessions.prove(session);
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
      // Another one may have taken the invitation meanwhile.
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

function wrong(): SealpostError {
  return new SealpostError('person-unauthenticated', 'name, password or code are wrong');
}
