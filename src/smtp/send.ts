import { hostname } from 'node:os';
import { Readable } from 'node:stream';
import type { PartnerConfig, Secret } from '../config/schema.ts';
import { readPublicFile } from '../config/secrets.ts';
import { SealpostError } from '../errors.ts';
import { parseMailbox } from '../message/mailbox.ts';
import type { Envelope, PeerState } from '../queue/types.ts';
import { type Client, ClientError, type ClientOptions, cleanReply } from './client.ts';
import { sendResults } from './metrics.ts';
import { Pool } from './pool.ts';
import { countOctets, eightBitRefusal, type MakeOctets, Prepared, Unsendable } from './prepared.ts';
import { hopsFor, type MxResolver } from './route.ts';

/** The result for one recipient. */
export interface RecipientResult {
  recipient: string;
  status: 'sent' | 'deferred' | 'refused';
  /** The server's reply code, or null if there was none. */
  code: number | null;
  /** The reply, or what went wrong, in one line. */
  reply: string;
}

/**
 * `sent`: every recipient was accepted. `deferred`: try again for the deferred recipients. `refused`: permanently
 * refused for at least one recipient, and none is deferred. `possibleDuplicate`: the whole message was sent but no
 * reply came, so the server may have it.
 */
export interface SendResult {
  status: 'sent' | 'deferred' | 'refused';
  code: number | null;
  reply: string;
  /** The host that gave the last reply; null if none was reached. */
  host: string | null;
  possibleDuplicate: boolean;
  recipients: RecipientResult[];
  /** Whether the servers of the route work; undefined if no attempt ran to its end. */
  peer: PeerState | undefined;
}

export interface OutboundMessage {
  envelope: Envelope;
  /**
   * The message, with CRLF line ends; called again for each attempt. Its start (all of a small message) is produced
   * before a connection is opened, so that no server is contacted for a message that cannot be encoded.
   */
  octets: MakeOctets;
  /** Approximate octets of a large message, for SIZE (RFC 1870). Those of a small one are counted. */
  estimate?: number | undefined;
}

export interface Sender {
  /**
   * Rejects with `address-invalid`, and with a SealpostError of `octets` at the start of the message; no connection was
   * opened then. Network failures are in the result.
   */
  send(message: OutboundMessage, signal?: AbortSignal): Promise<SendResult>;
  close(): void;
}

export interface SenderParts {
  route: PartnerConfig['route'];
  readSecret: (secret: Secret) => string;
  /** Name in EHLO; default: the host name. */
  name?: string | undefined;
  /** MX lookup; default: the system's. */
  resolver?: MxResolver;
}

interface Attempt {
  status: 'sent' | 'deferred' | 'refused';
  code: number | null;
  reply: string;
  host: string | null;
  possibleDuplicate: boolean;
  rejected: ClientError['recipients'];
  peer: PeerState | undefined;
}

/** Sends messages over one route, over at most `route.connections` connections. Errors: `file-access`. */
export function createSender(parts: SenderParts): Sender {
  const { route } = parts;
  const pool = new Pool(route.connections);
  const base = {
    port: route.port,
    tls: route.tls,
    ca: route.ca === undefined ? undefined : readPublicFile(route.ca).toString(),
    name: parts.name ?? hostname(),
  };

  /** Read at each use, because another program may renew it. */
  const auth = () =>
    route.user === undefined || route.password === undefined
      ? undefined
      : { user: route.user, pass: parts.readSecret(route.password) };

  return {
    async send(message, signal = new AbortController().signal) {
      const envelope = checkEnvelope(message.envelope);
      await pool.enter();
      try {
        const recipients: RecipientResult[] = [];
        const attempts: Attempt[] = [];
        for (const hop of await hopsFor(envelope.to, route, parts.resolver)) {
          const attempt: Attempt =
            'hosts' in hop
              ? await tryHosts(pool, hop.hosts, { ...base, auth: auth() }, signal, {
                  ...message,
                  envelope: { from: envelope.from, to: hop.recipients },
                })
              : {
                  ...hop,
                  code: null,
                  host: null,
                  possibleDuplicate: false,
                  rejected: [],
                  peer: lookedUp(hop.status),
                };
          attempts.push(attempt);
          recipients.push(...hop.recipients.map((recipient) => resultFor(recipient, attempt)));
        }
        for (const { status } of recipients) sendResults.inc({ status });
        return { ...summarize(attempts, recipients), peer: signal.aborted ? undefined : peerOf(attempts) };
      } finally {
        pool.leave();
      }
    },
    close: () => pool.close(),
  };
}

/** Tries the hosts in turn, until one of them has received the envelope. */
async function tryHosts(
  pool: Pool,
  hosts: string[],
  options: Omit<ClientOptions, 'host'>,
  signal: AbortSignal,
  message: OutboundMessage,
): Promise<Attempt> {
  let last: Attempt | undefined;
  const prepared = new Preparation(message.octets);
  try {
    for (const host of hosts) {
      if (signal.aborted) break;
      await prepared.get();
      const { attempt, next } = await tryHost(pool, { ...options, host }, signal, { ...message, prepared });
      last = attempt;
      if (!next) break;
    }
  } catch (error) {
    if (error instanceof SealpostError) throw error;
    const unsendable = error instanceof Unsendable;
    const reply = unsendable ? error.message : 'the message could not be read';
    const failed = failure(null, new ClientError('message', reply), false);
    return unsendable ? { ...failed, status: 'refused' } : failed;
  } finally {
    await prepared.drop();
  }
  return last ?? failure(null, new ClientError('connect', 'sending was aborted'), false);
}

/** The prepared start of a message, made again when an attempt has consumed it. */
class Preparation {
  readonly #make: MakeOctets;
  #ready: Prepared | undefined;

  constructor(make: MakeOctets) {
    this.#make = make;
  }

  /** Errors: those of `Prepared.from`. */
  async get(): Promise<Prepared> {
    this.#ready ??= await Prepared.from(this.#make);
    return this.#ready;
  }

  /** Takes it for sending. */
  take(): void {
    this.#ready = undefined;
  }

  async drop(): Promise<void> {
    await this.#ready?.drop().catch(() => {});
    this.#ready = undefined;
  }
}

interface PreparedMessage extends OutboundMessage {
  prepared: Preparation;
}

/** Why the server cannot take the message, judging by its EHLO reply; else the size to declare. */
async function fit(
  client: Client,
  { envelope, estimate, octets }: OutboundMessage,
  ready: Prepared,
): Promise<{ reason: string } | { size: number | undefined }> {
  if (!client.utf8 && [envelope.from, ...envelope.to].some((address) => !isAscii(address)))
    return { reason: '5.6.7 the server does not accept non-ASCII addresses' };
  if (!client.utf8 && ready.utf8Header)
    return {
      reason: '5.6.7 the header has a non-ASCII address, which the server does not accept (no SMTPUTF8)',
    };
  if (!client.eightBit && ready.size !== undefined && !ready.ascii && !ready.utf8Header)
    return { reason: eightBitRefusal };
  const { maxSize } = client;
  const about = ready.size ?? estimate;
  if (maxSize === undefined || about === undefined || about <= maxSize) return { size: about };
  const size = ready.size ?? (await countOctets(octets));
  if (size <= maxSize) return { size };
  return { reason: `5.3.4 the message has ${size} octets, and the server accepts at most ${maxSize}` };
}

async function tryHost(
  pool: Pool,
  options: ClientOptions,
  signal: AbortSignal,
  message: PreparedMessage,
): Promise<{ attempt: Attempt; next: boolean }> {
  let taken: { client: Client; reused: boolean };
  try {
    taken = await pool.take(options, signal);
  } catch (error) {
    const failed = asClientError(error);
    if (failed.stage === 'tls' && options.tls === 'opportunistic' && options.auth === undefined) {
      return tryHost(pool, { ...options, tls: 'none' }, signal, message);
    }
    return { attempt: failure(options.host, failed, false), next: true };
  }
  const { client, reused } = taken;
  const { envelope } = message;
  const ready = await message.prepared.get();
  const fits = await fit(client, message, ready);
  if ('reason' in fits) {
    pool.keep(client);
    return {
      attempt: {
        ...failure(options.host, new ClientError('message', fits.reason), false),
        status: 'refused',
        peer: 'works',
      },
      next: false,
    };
  }
  message.prepared.take();
  const utf8 = ready.utf8Header || [envelope.from, ...envelope.to].some((address) => !isAscii(address));
  const octets = Readable.from(ready.octets(client.eightBit), { objectMode: false });
  let broken: unknown;
  octets.once('error', (error) => {
    broken = error;
  });
  let handedOver = false;
  octets.once('end', () => {
    handedOver = true;
  });
  try {
    const { reply, rejected } = await client.send(
      { ...envelope, size: fits.size, utf8, eightBit: !ready.ascii },
      octets,
      signal,
    );
    pool.keep(client);
    const attempt: Attempt = {
      status: 'sent',
      code: Number(reply.slice(0, 3)) || null,
      reply: cleanReply(reply),
      host: options.host,
      possibleDuplicate: false,
      rejected,
      peer: 'works',
    };
    return { attempt, next: false };
  } catch (error) {
    const failed = asClientError(error);
    octets.destroy();
    // a kept connection that the server has closed meanwhile says nothing about the message
    if (reused && failed.code === null && !octets.readableDidRead && !signal.aborted) {
      return tryHost(pool, options, signal, message);
    }
    const attempt = failure(options.host, failed, handedOver && failed.code === null);
    if (broken instanceof Unsendable)
      return { attempt: { ...attempt, status: 'refused', reply: broken.message }, next: false };
    return { attempt, next: false };
  }
}

function failure(host: string | null, error: ClientError, possibleDuplicate: boolean): Attempt {
  // a refused login or greeting is about configuration, not about this message: it can be tried again
  const refused = error.stage === 'message' && error.code !== null && error.code >= 500;
  return {
    status: refused ? 'refused' : 'deferred',
    code: error.code,
    reply: error.reply,
    host,
    possibleDuplicate,
    rejected: error.recipients,
    // 421: "service not available" (RFC 5321 section 3.8), at any point
    peer: error.code === null || error.code === 421 || error.stage !== 'message' ? 'down' : 'works',
  };
}

/** A name server that does not answer means down. A domain without servers says nothing about other domains. */
function lookedUp(status: Attempt['status']): PeerState | undefined {
  return status === 'deferred' ? 'down' : undefined;
}

/** A route is down only if all its servers are. */
function peerOf(attempts: Attempt[]): PeerState | undefined {
  if (attempts.some(({ peer }) => peer === 'works')) return 'works';
  return attempts.some(({ peer }) => peer === 'down') ? 'down' : undefined;
}

function asClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  return new ClientError('connect', error instanceof SealpostError ? error.message : 'an unexpected error');
}

function resultFor(recipient: string, attempt: Attempt): RecipientResult {
  const own = attempt.rejected.find((rejected) => rejected.recipient === recipient);
  if (own === undefined)
    return { recipient, status: attempt.status, code: attempt.code, reply: attempt.reply };
  const status = own.code !== null && own.code >= 500 ? 'refused' : 'deferred';
  return { recipient, status, code: own.code, reply: own.reply };
}

function summarize(attempts: Attempt[], recipients: RecipientResult[]): Omit<SendResult, 'peer'> {
  const worst =
    recipients.find(({ status }) => status === 'deferred') ??
    recipients.find(({ status }) => status === 'refused') ??
    recipients[0];
  return {
    status: worst?.status ?? 'refused',
    code: worst?.code ?? null,
    reply: worst?.reply ?? 'no recipients',
    host: attempts.findLast(({ host }) => host !== null)?.host ?? null,
    possibleDuplicate: attempts.some(({ possibleDuplicate }) => possibleDuplicate),
    recipients,
  };
}

/**
 * Checks strictly before anything is sent: nodemailer would send an address that contains CRLF as a different address.
 * A non-ASCII domain becomes A-labels, so that only local parts need SMTPUTF8.
 */
function checkEnvelope(envelope: Envelope): Envelope {
  if (envelope.to.length === 0) throw new SealpostError('address-invalid', 'the envelope has no recipient');
  const check = (address: string) => {
    const { domain, host } = parseMailbox(address, { utf8: true });
    // an address literal is sent as written, because some servers treat its tag as case-sensitive
    return `${address.slice(0, address.length - domain.length)}${host.startsWith('[') ? domain : host}`;
  };
  return { from: envelope.from === '' ? '' : check(envelope.from), to: envelope.to.map(check) };
}

function isAscii(text: string): boolean {
  return !/[\u0080-\u{10ffff}]/u.test(text);
}
