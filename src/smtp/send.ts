import { readPublicFile, tlsAt } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { parseMailbox } from '../message/index.ts';
import { DnsFailure } from '../net/index.ts';
import { type Envelope, type Facts, type Outcome, outcomeOf, type PeerState } from '../queue/index.ts';
import type { Client, ClientOptions } from './client.ts';
import { ClientError, cleanReply, loggedDialogue } from './dialogue.ts';
import { type DsnParameters, dsnParameters } from './dsn.ts';
import type { Auth } from './login.ts';
import { sendResults } from './metrics.ts';
import { Pool } from './pool.ts';
import { countOctets, eightBitRefusal, type MakeOctets, Prepared, Unsendable } from './prepared.ts';
import { type Hop, hopsFor } from './route.ts';
import { heldByRate, type OutboundMessage, type Sender, type SenderParts } from './sender.ts';
import { countTls, TlsFault } from './tls-check.ts';
import { type DemandParts, type Destination, NoAddress, type Target, targetFor } from './tls-demand.ts';

function authOf({ route, readSecret, tokens }: SenderParts): Auth | undefined {
  const { user, password, oauth2 } = route;
  if (user === undefined) return undefined;
  if (password !== undefined) return { user, pass: readSecret(password) };
  if (oauth2 === undefined || tokens === undefined) return undefined;
  return { user, tokens: tokens.for(oauth2, user) };
}

/** What a hop or host said, and which recipients it refused separately. */
interface Answer {
  outcome: Outcome;
  rejected: ClientError['recipients'];
  /** Recipients that have the message although the whole failed. */
  taken?: readonly string[];
}

/** What connections over a route need. Errors: `file-access`; from `options`, those of the secrets. */
export function wayOf(parts: SenderParts): {
  options: () => Omit<ClientOptions, 'host' | 'demand'>;
  demands: DemandParts;
} {
  const { route, name, dialogue } = parts;
  const ca = route.ca === undefined ? undefined : readPublicFile(route.ca).toString();
  return {
    demands: { route: { ...route, ca }, dns: parts.dns, sts: parts.sts },
    // secrets are read at each use, because another program may renew them
    options: () => ({
      ...{ port: route.port, name, lmtp: route.lmtp },
      trace: parts.trace ?? (dialogue && loggedDialogue(dialogue.log, dialogue.about)),
      auth: authOf(parts),
      clientCertificate:
        route.clientCertificate === undefined
          ? undefined
          : tlsAt(route.clientCertificate, new Date((parts.now ?? Date.now)())),
    }),
  };
}

/** Sends messages over one route, using at most `route.connections` connections. Errors: `file-access`. */
export function createSender(parts: SenderParts): Sender {
  const { route, rate } = parts;
  const pool = new Pool(route.connections);
  const { options, demands } = wayOf(parts);

  return {
    async send(message, signal = new AbortController().signal) {
      const prepared = new Preparation(message.octets);
      try {
        const envelope = checkEnvelope(message.envelope);
        const held = await heldByRate(rate, message);
        if (held !== undefined) return held;
        // before waiting for a connection, while others are sending
        const broken = await prepared.get().then(() => undefined, notMade);
        const outcomes: Outcome[] = broken ? envelope.to.map((to) => outcomeFor(to, broken)) : [];
        const reached: string[] = [];
        const { id } = message;
        const written = (recipient: string) =>
          envelope.to[message.envelope.to.indexOf(recipient)] ?? recipient;
        const dsn = id === undefined ? undefined : dsnParameters(message.envelope, id, written);
        const failed: Facts = {};
        if (!broken) {
          await pool.enter();
          try {
            for (const hop of await hopsFor(envelope.to, route, parts)) {
              const part = {
                ...message,
                prepared,
                dsn,
                envelope: { from: envelope.from, to: hop.recipients },
              };
              const answer =
                'hosts' in hop
                  ? await tryHosts(pool, hop, options(), demands, signal, part)
                  : { outcome: nowhere(hop), rejected: [] };
              for (const recipient of hop.recipients) {
                const outcome = outcomeFor(recipient, answer);
                outcomes.push(outcome);
                const given = writtenAs(recipient, message.envelope.to, envelope.to);
                if ('done' in outcome) reached.push(given);
                else note(failed, 'retry' in outcome ? 'deferred' : 'refused', given);
              }
            }
          } finally {
            pool.leave();
          }
        }
        for (const outcome of outcomes) sendResults.inc({ status: statusOf(outcome) });
        const outcome = together(outcomes, signal.aborted);
        if ('done' in outcome) return outcome;
        const facts = outcomes.length > 1 ? { ...outcome.facts, ...failed, reached } : outcome.facts;
        return { ...outcome, ...(facts && { facts }), ...(reached.length > 0 && { reached }) };
      } catch (error) {
        const outcome = outcomeOf(error);
        if (outcome) return outcome;
        throw error;
      } finally {
        await prepared.drop();
      }
    },
    ...(rate && { pace: rate }),
    close: () => pool.close(),
  };
}

/** A recipient of the checked envelope, in the caller's spelling. */
function writtenAs(recipient: string, given: readonly string[], checked: readonly string[]): string {
  return given[checked.indexOf(recipient)] ?? recipient;
}

/** Tries the hosts in turn until one of them takes the envelope. */
async function tryHosts(
  pool: Pool,
  { hosts, destination }: { hosts: string[]; destination: Destination },
  options: Omit<ClientOptions, 'host' | 'demand'>,
  demands: DemandParts,
  signal: AbortSignal,
  message: PreparedMessage,
): Promise<Answer> {
  let last: Answer | undefined;
  try {
    for (const host of hosts) {
      if (signal.aborted) break;
      await message.prepared.get();
      const target = await targetFor(host, destination, demands).catch((error: unknown) =>
        demandFault(host, error),
      );
      if ('outcome' in target) {
        last = target;
        continue;
      }
      const tried = await tryAddresses(pool, { ...options, host }, target, signal, message);
      last = tried.answer;
      if (!tried.next) break;
    }
  } catch (error) {
    return notMade(error);
  }
  return last ?? failure(null, new ClientError('connect', 'sending was aborted'), false);
}

/** The octets could not be produced, or the store is unreachable. */
function notMade(error: unknown): Answer {
  return (
    broke(null, error) ?? failure(null, new ClientError('message', 'the message could not be read'), false)
  );
}

/** Tries the addresses of a host in turn. */
async function tryAddresses(
  pool: Pool,
  options: Omit<ClientOptions, 'demand'>,
  { demand, addresses }: Target,
  signal: AbortSignal,
  message: PreparedMessage,
): Promise<{ answer: Answer; next: boolean }> {
  const [first, ...others] = addresses;
  let tried = await tryHost(pool, { ...options, demand, address: first }, signal, message);
  for (const address of others) {
    if (!tried.next || signal.aborted) break;
    tried = await tryHost(pool, { ...options, demand, address }, signal, message);
  }
  return tried;
}

/** Why a host is not even contacted. Another one may do; if none does, the message waits. */
function demandFault(host: string, error: unknown): Answer {
  if (error instanceof TlsFault) {
    countTls(error.result === 'dane-required' ? 'dane' : 'mta-sts', error.result);
    return deferred('tls-failed', factsOf(host, null, error.message));
  }
  if (!(error instanceof DnsFailure)) throw error;
  if (!(error instanceof NoAddress)) countTls('dane', 'dnssec-invalid');
  return deferred('dns-failed', factsOf(host, null, error.message));
}

const deferred = (retry: 'tls-failed' | 'dns-failed', facts: Facts): Answer => ({
  outcome: { retry, facts, peer: 'down' },
  rejected: [],
});

/** The prepared start of a message, produced again once an attempt has consumed it. */
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

  /** Call this before sending. A stream that has been read is produced again for the next attempt. */
  take(): void {
    if (this.#ready?.whole !== true) this.#ready = undefined;
  }

  async drop(): Promise<void> {
    await this.#ready?.drop().catch(() => {});
    this.#ready = undefined;
  }
}

/** Adds a recipient to a list in the facts. */
function note(facts: Facts, name: string, recipient: string): void {
  const list = facts[name];
  facts[name] = [...(Array.isArray(list) ? list : []), recipient];
}

interface PreparedMessage extends OutboundMessage {
  dsn: DsnParameters | undefined;
  prepared: Preparation;
}

/** Why the server cannot take the message, judging by its EHLO reply; otherwise the size to declare. */
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
): Promise<{ answer: Answer; next: boolean }> {
  const early = heldNow(message);
  if (early !== undefined) return early;
  const ready = await message.prepared.get();
  let taken: { client: Client; reused: boolean };
  try {
    taken = await pool.take(options, signal);
  } catch (error) {
    if (error instanceof SealpostError) return { answer: noLogin(error), next: false };
    return { answer: failure(options.host, asClientError(error), false), next: true };
  }
  const { client, reused } = taken;
  const late = heldNow(message);
  if (late !== undefined) {
    pool.keep(client);
    return late;
  }
  const { envelope } = message;
  const fits = await fit(client, message, ready).catch((error: unknown) => {
    pool.keep(client);
    throw error;
  });
  if ('reason' in fits) {
    pool.keep(client);
    return { answer: refusal(options.host, fits.reason), next: false };
  }
  message.prepared.take();
  const utf8 = ready.utf8Header || [envelope.from, ...envelope.to].some((address) => !isAscii(address));
  const octets = ready.octets(client.eightBit);
  const stream = Buffer.isBuffer(octets) ? undefined : octets;
  let brokeOff: Answer | undefined;
  // at once, because the SMTP library puts a code of its own into the error
  stream?.once('error', (error) => {
    brokeOff = broke(options.host, error);
  });
  try {
    const { reply, rejected } = await client.send(
      { ...envelope, size: fits.size, utf8, eightBit: !ready.ascii, dsn: message.dsn },
      octets,
      signal,
    );
    pool.keep(client);
    const facts = factsOf(options.host, Number(reply.slice(0, 3)) || null, cleanReply(reply));
    return { answer: { outcome: { done: true, facts }, rejected }, next: false };
  } catch (error) {
    const failed = asClientError(error);
    stream?.destroy();
    // a kept connection that the server has closed meanwhile says nothing about the message
    if (reused && failed.code === null && failed.passed === 'nothing' && !brokeOff && !signal.aborted) {
      return tryHost(pool, options, signal, message);
    }
    const answer = brokeOff ?? failure(options.host, failed, failed.passed === 'all' && failed.code === null);
    return { answer, next: false };
  }
}

/** Time has passed since the message was begun. Another host would get it no sooner. */
function heldNow({ held }: OutboundMessage): { answer: Answer; next: boolean } | undefined {
  const outcome = held?.();
  return outcome && { answer: { outcome, rejected: [] }, next: false };
}

function factsOf(host: string | null, code: number | null, reply: string, possibleDuplicate = false): Facts {
  return { host, code: code === null ? null : String(code), reply, possibleDuplicate };
}

function failure(host: string | null, error: ClientError, possibleDuplicate: boolean): Answer {
  const { stage, code, reply, recipients: rejected, taken } = error;
  const login = stage === 'login' ? { stage } : {};
  const facts = { ...factsOf(host, code, reply, possibleDuplicate), ...login };
  // 421: "service not available" (RFC 5321 section 3.8), at any point
  const peer = code === null || code === 421 || stage !== 'message' ? 'down' : 'works';
  // a refused login or greeting is about configuration, not about this message, so it can be tried again
  const refused = stage === 'message' && code !== null && code >= 500;
  const effect = refused ? refusedFor : stage === 'tls' ? ({ retry: 'tls-failed' } as const) : deferredFor;
  return { outcome: { ...effect, facts, peer, dialogue: error.dialogue }, rejected, taken };
}

const deferredFor = { retry: 'send-failed' } as const;
const refusedFor = { suspend: 'send-refused' } as const;

/** What the server has announced that it cannot take, or what no server takes. */
function refusal(host: string | null, reply: string, peer?: PeerState): Answer {
  return { outcome: { ...refusedFor, facts: factsOf(host, null, reply), peer }, rejected: [] };
}

/** Why the octets of a message ended early, if known. The server had no part in it. */
function broke(host: string | null, error: unknown): Answer | undefined {
  if (error instanceof Unsendable) return refusal(host, error.message);
  const outcome = outcomeOf(error);
  return outcome && { outcome, rejected: [] };
}

/**
 * No host for these recipients. If a name server does not answer, the route is down; a domain without servers says
 * nothing about the route.
 */
function nowhere({ status, reply }: Extract<Hop, { reply: string }>): Outcome {
  const facts = factsOf(null, null, reply);
  return status === 'refused' ? { ...refusedFor, facts } : { retry: 'dns-failed', facts, peer: 'down' };
}

/** There is nothing to log in with, and every host of the route would ask for it. */
function noLogin(error: SealpostError): Answer {
  const { facts, ...outcome } = outcomeOf(error) ?? { retry: error.code, facts: {} };
  const text = typeof facts.message === 'string' ? facts.message : error.message;
  const peer = error.code === 'token-failed' ? 'down' : undefined;
  return { outcome: { ...outcome, facts: factsOf(null, null, text), peer }, rejected: [] };
}

function asClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  return new ClientError('connect', error instanceof SealpostError ? error.message : 'an unexpected error');
}

/** A server that takes a message may still refuse some of its recipients. */
function outcomeFor(recipient: string, { outcome, rejected, taken }: Answer): Outcome {
  if (taken?.includes(recipient)) return { done: true, ...(outcome.facts && { facts: outcome.facts }) };
  const own = rejected.find((each) => each.recipient === recipient);
  if (own === undefined) return outcome;
  const { code, reply } = own;
  const facts = { ...outcome.facts, code: code === null ? null : String(code), reply };
  const [peer, dialogue] = 'done' in outcome ? ['works' as const] : [outcome.peer, outcome.dialogue];
  return { ...(code !== null && code >= 500 ? refusedFor : deferredFor), facts, peer, dialogue };
}

function statusOf(outcome: Outcome): 'sent' | 'deferred' | 'refused' {
  if ('done' in outcome) return 'sent';
  return 'retry' in outcome ? 'deferred' : 'refused';
}

/** The outcome for all recipients: if one is deferred, the message is tried again. */
function together(outcomes: Outcome[], aborted: boolean): Outcome {
  const worst =
    outcomes.find((outcome) => 'retry' in outcome) ??
    outcomes.find((outcome) => 'suspend' in outcome) ??
    outcomes[0];
  if (worst === undefined) return { suspend: 'address-invalid', facts: { message: 'no recipients' } };
  const facts = outcomes.length === 1 ? worst.facts : { ...worst.facts, ...lastWord(outcomes) };
  if ('done' in worst) return { done: true, ...(facts && { facts }) };
  return { ...worst, ...(facts && { facts }), peer: aborted ? undefined : peerOf(outcomes) };
}

function lastWord(outcomes: Outcome[]): Facts {
  const said = (name: string) => outcomes.map(({ facts }) => facts?.[name]);
  return {
    host: said('host').findLast((host) => typeof host === 'string') ?? null,
    possibleDuplicate: said('possibleDuplicate').includes(true),
  };
}

/** A route is down only if all its servers are. */
function peerOf(outcomes: Outcome[]): PeerState | undefined {
  const peers = outcomes.map((outcome) => ('done' in outcome ? 'works' : outcome.peer));
  return peers.find((peer) => peer === 'works') ?? peers.find((peer) => peer === 'down');
}

/**
 * Checks strictly before anything is sent, because nodemailer would turn an address that contains CRLF into a different
 * address. A non-ASCII domain becomes A-labels, so that only local parts need SMTPUTF8.
 */
export function checkEnvelope(envelope: Envelope): Envelope {
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
