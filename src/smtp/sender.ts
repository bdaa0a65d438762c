/** What sends mail to a partner or a mail server, whatever its route is. */
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
  /** Id of the message: notifications are asked of a server that offers DSN, and bring it back. */
  id?: string;
  /**
   * The message, with CRLF line ends; called again for each attempt. Its start (all of a small message) is produced
   * before a connection is opened, so that no server is contacted for a message that cannot be encoded.
   */
  octets: MakeOctets;
  /** What is said of it beside a file. */
  about?: Pick<Submitted, 'partner' | 'receivedAt' | 'messageId' | 'client' | 'metadata'>;
  /** Approximate octets of a large message, for SIZE (RFC 1870). Those of a small one are counted. */
  estimate?: number | undefined;
  /** Approximate octets for the rate of the route. Default: `estimate`. */
  weight?: number | undefined;
}

export interface Sender {
  /**
   * - `done`: every recipient was accepted.
   * - `send-failed`: try again, since at least one recipient was deferred. `tls-failed`, `dns-failed`: as this, because
   *   no server met the TLS policy, or because the resolver gave no answer.
   * - `send-refused`: permanently refused for at least one recipient, and none is deferred.
   * - the outcome of the error that stopped the message: an invalid address, or a SealpostError of `octets`. If that
   *   comes at the start of the message, no connection was opened.
   *
   * - `rate-limited`, `inLine`: the rate of the route is used up; nothing was begun.
   *
   * Of what is tried again or refused, `reached` are the recipients that have it nevertheless.
   *
   * The facts: `host` that gave the last reply (null if none was reached), its reply `code`, the `reply` or what went
   * wrong in one line, and `possibleDuplicate`: the whole message was sent but no reply came, so the server may have
   * it.
   */
  send(message: OutboundMessage, signal?: AbortSignal): Promise<Outcome>;
  /** Of a route with a rate. */
  pace?: Pace;
  /** There is reason to try a route at once that was down. */
  hurry?(): void;
  close(): void;
}

type Settings = PartnerConfig['route'];

/** Where mail goes, and how. */
export type Route = Pick<Settings, 'port' | 'tls' | 'connections'> &
  Partial<Settings> & {
    /** LMTP (RFC 2033) instead of SMTP, which needs a host. */
    lmtp?: boolean;
  };

/** The rate of a route. */
export interface RouteRate extends Pace {
  /** Takes one message of so many octets: 0, or milliseconds to wait, and nothing was taken. `redis-unreachable`. */
  take(octets: number): Promise<number>;
}

export interface SenderParts {
  route: Route;
  readSecret: (secret: Secret) => string;
  /** Name in EHLO. */
  name: string;
  /** Told of the dialogue, without secrets. */
  trace?: Trace | undefined;
  /** Where the dialogue is logged at level debug, and whose it is. */
  dialogue?: { log: Log; about: Record<string, string> } | undefined;
  /** Bearer tokens, shared by the routes of a process. */
  tokens?: Pick<Tokens, 'for'> | undefined;
  /** MX lookup; default: the system's. */
  resolver?: MxResolver;
  /** A validating resolver, in place of that lookup, for DANE. */
  dns?: Dns | undefined;
  /** For routes with a rate, which all processes keep together. */
  rate?: RouteRate | undefined;
  /** For routes that follow MTA-STS. */
  sts?: Pick<StsPolicies, 'policyOf'> | undefined;
  /** The time of day, in milliseconds since the epoch; it chooses the client certificate. Default: this machine's. */
  now?: (() => number) | undefined;
}

/** The outcome while the rate of a route is used up; undefined if the message may go, and was taken off it. */
export async function heldByRate(
  rate: RouteRate | undefined,
  { weight, estimate }: OutboundMessage,
): Promise<Outcome | undefined> {
  if (rate === undefined) return undefined;
  const wait = await rate.take(weight ?? estimate ?? 0);
  return wait > 0 ? { retry: 'rate-limited', untried: true, inLine: true, after: wait } : undefined;
}
