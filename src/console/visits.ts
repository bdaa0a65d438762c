/** Who is behind a request of the console, and what it may. Asked anew for each request. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Origins, RequestLimits, refusal } from '../api/index.ts';
import type { Audit } from '../queue/index.ts';
import { hasRole, type Logins, type Person, type Role, type Session } from '../user/index.ts';
import { cookieOf, dropCookie, setCookie } from './cookies.ts';

/** Everything that is known of a request before its page. */
export interface Visit {
  address: string;
  /** Over TLS, at least to a proxy that is trusted. */
  secure: boolean;
  /** The mark of the browser. */
  device: string;
  person?: Person;
  session?: Session;
}

/** A visit of somebody who has logged in. */
export type Known = Visit & { person: Person; session: Session };

export const isKnown = (visit: Visit): visit is Known => visit.session !== undefined;

const notIn = () => refusal('person-unauthenticated', 'you have not logged in, or too long ago');

export interface VisitsParts {
  origins: Origins;
  logins: Logins;
  audit: Pick<Audit, 'add'>;
  requestsPerMinute: number;
  /** Streams of events and downloads are requests, too. */
  requestsPerPerson: number;
  now(): number;
}

/** Seconds that a browser is remembered. */
const deviceLasts = 180 * 86_400;
/** Milliseconds in which the same denial of a person is noted once: a page that is loaded again and again. */
const deniedEvery = 60_000;
const mostDenied = 10_000;

export class Visits {
  readonly #parts: VisitsParts;
  readonly #limits: RequestLimits;
  readonly #visits = new WeakMap<FastifyRequest, Visit>();
  readonly #denied = new Map<string, number>();

  constructor(parts: VisitsParts) {
    this.#parts = parts;
    this.#limits = new RequestLimits(parts.requestsPerPerson, parts.requestsPerMinute, {
      atATime: 'console.maxRequestsPerPerson',
      perMinute: 'console.requestsPerMinute',
    });
  }

  /** Errors: those of `Origins.check`, `rate-limited`, `users-changed`, `redis-unreachable`. */
  async begin(request: FastifyRequest, reply: FastifyReply): Promise<Visit> {
    const { origins, logins } = this.#parts;
    const address = origins.check(request.raw);
    const secure = origins.isSecure(request.raw);
    const device = cookieOf(request.raw, 'device');
    const visit: Visit = { address, secure, device };
    this.#visits.set(request, visit);
    const id = cookieOf(request.raw, 'session');
    const found = id === '' ? undefined : await logins.whose(id, address, isByItself(request));
    if (found) {
      // Many people may be behind one proxy, and a name may be that of two.
      const { id: credential } = found.person;
      reply.raw.once('close', this.#limits.begin({ name: credential, credential }));
      Object.assign(visit, found);
    }
    return visit;
  }

  of(request: FastifyRequest): Visit {
    const found = this.#visits.get(request);
    if (found) return found;
    throw refusal('internal', 'a request came past the door');
  }

  /** Somebody who has logged in, and has the role. Errors: `person-unauthenticated`, `not-granted`. */
  async known(request: FastifyRequest, needs: Role): Promise<Known> {
    const visit = this.of(request);
    if (!isKnown(visit)) throw notIn();
    const { person } = visit;
    if (hasRole(person.role, needs)) return visit;
    throw refusal('not-granted', `only ${needs === 'administrator' ? 'an' : 'a'} ${needs} may do that`);
  }

  /**
   * The visit as it is after its form, which may take long: who was reset, disabled or logged out meanwhile does
   * nothing more with it.
   *
   * @throws {SealpostError} `person-unauthenticated`, `users-changed`, `redis-unreachable`
   */
  async again(visit: Known): Promise<void> {
    const found = await this.#parts.logins.whose(visit.session.id, visit.address);
    if (found === undefined) throw notIn();
    Object.assign(visit, found);
  }

  /** Notes in the audit trail what somebody wanted and may not do. */
  async denied({ person }: Known, what: string): Promise<void> {
    const { audit, now } = this.#parts;
    const key = `${person.id} ${what}`;
    if (now() - (this.#denied.get(key) ?? 0) < deniedEvery) return;
    if (this.#denied.size >= mostDenied) this.#denied.clear();
    this.#denied.set(key, now());
    await audit.add({ at: now(), by: person.client.actor, what: 'denied', subject: what });
  }

  /** Gives the browser the session, and from a login on the mark. */
  give(reply: FastifyReply, session: Session, device?: string): void {
    const cookies = [setCookie('session', session.id)];
    if (device !== undefined) cookies.push(setCookie('device', device, deviceLasts));
    reply.header('Set-Cookie', cookies);
  }

  drop(reply: FastifyReply): void {
    reply.header('Set-Cookie', dropCookie('session'));
    // Also what the browser has kept of pages, without the mark: it is among the cookies.
    reply.header('Clear-Site-Data', '"cache", "storage"');
  }
}

/** Whether a page asks by itself (live.js): its person may have gone, and the login ends after a while. */
const isByItself = ({ method, headers }: FastifyRequest): boolean =>
  method === 'GET' &&
  (headers['sealpost-refresh'] !== undefined || /\btext\/event-stream\b/.test(headers.accept ?? ''));
