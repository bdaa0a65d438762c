/** What sends mail to a partner or a mail server, whatever the kind of route. */
import type { PartnerConfig, Secret } from '../config/index.ts';
import type { Log } from '../log.ts';
import type { Dns } from '../net/index.ts';
import type { Tokens } from '../oauth/index.ts';
import type { Envelope, Outcome, Pace, OutboundMessage as Submitted } from '../queue/index.ts';
import type { Trace } from './dialogue.ts';
import type { StsPolicies } from './mta-sts.ts';
import type { MakeOctets } from './prepared.ts';
import type { MxResolver } from './route.ts';

export interface OutboundMessage {
  envelope: Envelope;
  /** Id of the message. It is the ENVID of the delivery notifications that are requested if the server offers DSN. */
  id?: string;
  /**
   * The message, with CRLF line ends; called again for each attempt. Its start (for a small message, all of it) is
   * produced before a connection is opened, so no server is contacted for a message that cannot be encoded.
   */
  octets: MakeOctets;
  /** What the JSON file beside the message says, where the route is a folder. */
  about?: Pick<Submitted, 'partner' | 'receivedAt' | 'messageId' | 'client' | 'metadata'>;
  /** Approximate octets of a large message, for SIZE (RFC 1870). Those of a small one are counted. */
  estimate?: number | undefined;
  /** Approximate octets that count towards the rate of the route. Default: `estimate`. */
  weight?: number | undefined;
  /**
   * Why it may not leave now, if so: it has expired, or its service window has closed. Asked before each connection and
   * transaction, because servers that do not answer take minutes.
   */
  held?: (() => Outcome | undefined) | undefined;
}

export interface Sender {
  /**
   * - `done`: every recipient was accepted.
   * - `send-failed`: try again, since at least one recipient was deferred. `tls-failed` and `dns-failed` likewise: no
   *    server met the TLS policy, or the resolver gave no answer.
   * - `send-refused`: permanently refused for at least one recipient, and deferred for none.
   * - the outcome of the error that stopped the message: an invalid address, or a SealpostError of `octets`. If that
   *    comes at the start of the message, no connection was opened.
   *
   * - `rate-limited`, `inLine`: the rate of the route is used up, and nothing was begun.
   * - what `held` says: nobody was given it.
   *
   * Where a message is tried again or refused, `reached` lists the recipients that have it nevertheless.
   *
   * The facts: `host` that gave the last reply (null if none was reached), its reply `code`, the `reply` or what went
   * wrong in one line, and `possibleDuplicate`: the whole message was sent but no reply came, so the server may have
   * it.
   */
  send(message: OutboundMessage, signal?: AbortSignal): Promise<Outcome>;
  /** Only for a route with a rate. */
  pace?: Pace;
  /** There is reason to try a route at once although it counts as down. */
  hurry?(): void;
  close(): void;
}

type Settings = PartnerConfig['route'];

/** Where mail goes, and how. */
export type Route = Pick<Settings, 'port' | 'tls' | 'connections'> &
  Partial<Settings> & {
    /** Speak LMTP (RFC 2033) instead of SMTP. Needs a host. */
    lmtp?: boolean;
  };

/** The rate of a route. */
export interface RouteRate extends Pace {
  /**
   * Takes one message of this size: returns 0, or the milliseconds to wait, in which case nothing was taken. Errors:
   * `redis-unreachable`.
   */
  take(octets: number): Promise<number>;
}

export interface SenderParts {
  route: Route;
  readSecret: (secret: Secret) => string;
  /** Name in EHLO. */
  name: string;
  /** Called with the dialogue, without secrets. */
  trace?: Trace | undefined;
  /** Where the dialogue is logged at level debug, and for which route. */
  dialogue?: { log: Log; about: Record<string, string> } | undefined;
  /** Bearer tokens, shared by the routes of a process. */
  tokens?: Pick<Tokens, 'for'> | undefined;
  /** MX lookup. Default: the system's. */
  resolver?: MxResolver;
  /** A validating resolver, used for DANE and in place of the lookup above. */
  dns?: Dns | undefined;
  /** Needed for routes with a rate, which all processes keep together. */
  rate?: RouteRate | undefined;
  /** Needed for routes that follow MTA-STS. */
  sts?: Pick<StsPolicies, 'policyOf'> | undefined;
  /**
   * The time of day, in milliseconds since the epoch; it decides which client certificate is used. Default: this
   * machine's clock.
   */
  now?: (() => number) | undefined;
}

/** The outcome while the rate of a route is used up. Undefined if the message may go; then it has been counted. */
export async function heldByRate(
  rate: RouteRate | undefined,
  { weight, estimate }: OutboundMessage,
): Promise<Outcome | undefined> {
  if (rate === undefined) return undefined;
  const wait = await rate.take(weight ?? estimate ?? 0);
  return wait > 0 ? { retry: 'rate-limited', untried: true, inLine: true, after: wait } : undefined;
}
