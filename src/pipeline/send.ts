/** Signs and encrypts a message for its partner and sends it by the partner's route. */
import { Budget } from '../budget.ts';
import { type Config, type PartnerConfig, strayOf } from '../config/index.ts';
import type { DkimKey } from '../dkim/index.ts';
import { waitsFor } from '../errors.ts';
import { receivedField, sentTrace, type Tracer, traceField } from '../message/index.ts';
import type { Windows } from '../partner/index.ts';
import { codeOf } from '../profile/index.ts';
import {
  expired,
  type Facts,
  type Flow,
  type JobContext,
  type OutboundJob,
  type Outcome,
  outcomeOf,
} from '../queue/index.ts';
import { type EncodeOptions, encode, estimateOctets, usedBy } from '../smime/index.ts';
import type { OutboundMessage, Sender } from '../smtp/index.ts';
import { traced } from '../spans.ts';
import type { Spool } from '../spool/index.ts';
import { signedOctets } from './signed.ts';

/** A partner that mail can be sent to. */
export interface SendRoute {
  partner: PartnerConfig;
  sender: Pick<Sender, 'send'>;
}

export interface SendParts {
  spool: Pick<Spool, 'open' | 'draft' | 'remove'>;
  flow: Pick<Flow, 'fetch' | 'sent'>;
  /** Undefined if there is no partner with that name. */
  route: (partner: string) => SendRoute | undefined;
  /** How mail for the partner is protected with the current keys. Throws a `SealpostError` if that is impossible. */
  protection: (partner: PartnerConfig) => EncodeOptions | Promise<EncodeOptions>;
  limits: Pick<Config['limits'], 'work' | 'output'>;
  /** Name of this machine in the mail. */
  hostname: string;
  /** Marks what was sent, so that it is recognized when it comes back. */
  trace: Tracer;
  /** True for an address at which we receive mail ourselves. What is sent there is supposed to come back. */
  isOwn: (recipient: string) => boolean;
  /** Keys that sign; empty for mail without DKIM. */
  dkim: readonly DkimKey[];
  /** The time of day, in milliseconds since the epoch. */
  now: () => number;
  /** See `opensAt` in the room `partner`. */
  opensAt: (windows: Windows, now: number) => number | null;
  /** A digest of the keys and certificates that mail to a partner is judged with, by the partner's key. */
  judgedWith?: (partner: string, reason: string) => string;
}

/** The step of the queue `outbound`. Errors: those of the spool and of Redis. */
export function sendStep(
  parts: SendParts,
): (job: OutboundJob, context: Pick<JobContext, 'signal' | 'end'>) => Promise<Outcome> {
  return async (job, context) => {
    const route = parts.route(job.partner);
    if (!route) return { suspend: 'partner-unknown' };
    const early = heldBack(job, route.partner, parts);
    if (early) return early;
    const stray = strayOf(route.partner, without(job.envelope.to, job.reached));
    if (stray !== undefined) return notOf(route.partner, stray);
    const outcome = await sendTo(route, job, parts, context);
    if (!('suspend' in outcome) || waitsFor(outcome.suspend) === undefined) return outcome;
    const keys = parts.judgedWith?.(job.partner, outcome.suspend);
    return keys === undefined ? outcome : { ...outcome, facts: { ...outcome.facts, keys } };
  };
}

/** Another partner may have got the name, with its own certificates and its own server. */
function notOf({ name }: PartnerConfig, recipient: string): Outcome {
  const message = `${recipient} is no longer an address of partner ${name}; add it to its addresses, and resume the message`;
  return { suspend: 'partner-unknown', facts: { message } };
}

/** Why a message is not sent now: it is too early or too late. Nobody is asked, and no attempt counts. */
function heldBack(
  job: OutboundJob,
  { windows }: PartnerConfig,
  parts: Pick<SendParts, 'now' | 'opensAt'>,
): Outcome | undefined {
  const now = parts.now();
  const over = expired(job, now);
  if (over) return over;
  const { notBefore = 0, notAfter = Number.POSITIVE_INFINITY } = job.delivery ?? {};
  const first = Math.max(now, notBefore);
  const due = windows ? parts.opensAt(windows, first) : first;
  if (due === null) return { suspend: 'never-open' };
  if (due <= now) return undefined;
  // the queues wait in shorter steps, and each asks here again
  return { retry: 'not-yet', untried: true, after: Math.min(due, notAfter + 1) - now };
}

async function sendTo(
  { partner, sender }: SendRoute,
  job: OutboundJob,
  parts: SendParts,
  { signal, end }: Pick<JobContext, 'signal' | 'end'>,
): Promise<Outcome> {
  const { flow, spool, protection, limits, dkim, now } = parts;
  const { state, octets } = await flow.fetch(job.id, [job.octets], end);
  if (state !== 'queued') return { done: true };
  const [small] = octets;
  // a large message can be read twice, so parts that are already 7bit stay unchanged under a detached signature
  const plain = small ?? (() => spool.open(job.octets));
  const to = without(job.envelope.to, job.reached);
  const keys = partner.dkim ? dkim : [];
  const signed: Facts = {};
  let message: OutboundMessage;
  let options: EncodeOptions;
  try {
    const { work, output } = limits;
    options = { ...(await protection(partner)), budget: new Budget({ work, output }) };
    const estimate = estimateOctets(job.octets.octets, options);
    message = {
      id: job.id,
      about: aboutOf(job, partner.name),
      envelope: { ...job.envelope, to },
      // keys are judged when the octets are made, which the sender does before it connects
      estimate,
      weight: estimate ?? job.octets.octets,
      held: () => heldBack(job, partner, parts),
      octets: () => {
        const mail = below(ownFields(job, to, parts), encode(plain, options));
        if (keys.length === 0) return mail;
        const onSigned = (names: readonly string[]) => {
          signed.dkim = [...names];
        };
        return signedOctets(mail, { keys, spool, now, onSigned });
      },
    };
  } catch (error) {
    const outcome = outcomeOf(error);
    if (outcome) return outcome;
    throw error;
  }
  const outcome = await traced('send', { partner: partner.name }, () => sender.send(message, signal));
  if (!('done' in outcome)) return outcome;
  const used = codeOf('outbound', usedBy(options));
  await flow.sent(job, { ...outcome.facts, ...signed, ...(used === '' ? {} : { used }) }, end);
  return { done: true };
}

/** @param partner its present name; the job has its key */
function aboutOf({ receivedAt, messageId, client, metadata }: OutboundJob, partner: string) {
  return {
    ...{ partner, receivedAt, messageId },
    ...(client !== undefined && { client }),
    ...(metadata !== undefined && { metadata }),
  };
}

/** Those that do not have the message yet. */
function without(recipients: readonly string[], reached: readonly string[] = []): string[] {
  return recipients.filter((recipient) => !reached.includes(recipient));
}

/** The fields that a mail gets above its header when it leaves (RFC 5321, section 4.4). */
function ownFields(job: OutboundJob, to: readonly string[], { hostname, trace, isOwn }: SendParts): Buffer {
  const fields = [receivedField(job, hostname, to)];
  if (!to.some(isOwn)) fields.push(`${traceField}: ${sentTrace(trace)}`);
  return Buffer.from(fields.map((field) => `${field}\r\n`).join(''), 'latin1');
}

async function* below(fields: Buffer, octets: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let above: Buffer | undefined = fields;
  for await (const chunk of octets) {
    // what is wrong with keys shows before the first octet
    if (above !== undefined) yield above;
    above = undefined;
    yield chunk;
  }
}
