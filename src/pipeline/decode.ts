/**
 * Decodes a message: removes the S/MIME layers, judges the verdict by the mailbox's policy, and hands off directly if
 * the only destination is a queue on the same Redis. Otherwise it queues the hand-off.
 */
import { createHash } from 'node:crypto';
import type { Harvest } from '../certstore/index.ts';
import { type Config, type MailboxConfig, partnerKey } from '../config/index.ts';
import type { Delivery, LocalDestination } from '../handoff/index.ts';
import { type HeadersJson, loopOf, type Tracer } from '../message/index.ts';
import { assess, type PartnerDirectory, type SignedMail } from '../partner/index.ts';
import { codeOf, type ProfileBook } from '../profile/index.ts';
import type { Attribution, Facts, Flow, InboundJob, JobContext, Outcome } from '../queue/index.ts';
import { type DecodeOptions, isSignatureLayer, usedIn, type Verdict } from '../smime/index.ts';
import type { Spool } from '../spool/index.ts';
import { type Decoded, decodeLarge, decodeSmall } from './decoding.ts';
import { identityOf } from './deliver.ts';
import { isWhole, messageLimitsOf, outerBlock, readSender } from './read-sender.ts';
import { type DecodeResultRecord, writeResult } from './stored.ts';
import type { Turns } from './turns.ts';

export interface DecodeParts {
  spool: Pick<Spool, 'create' | 'open'>;
  flow: Pick<Flow, 'fetch' | 'decoded' | 'handedOffAtOnce' | 'dropped'>;
  mailboxes: readonly MailboxConfig[];
  strong: Config['strong'];
  partners: PartnerDirectory;
  profiles: ProfileBook;
  /** Keys, trust, limits and time for a message to a mailbox. */
  optionsFor: (mailbox: MailboxConfig) => DecodeOptions;
  /** Limits how many large messages are processed at a time. */
  large: Turns;
  /** Recognizes mail that has been with us before. */
  trace: Tracer;
  /** Takes the certificates that a message showed; it is not waited for. */
  harvest?: Pick<Harvest, 'take'>;
  /** Is told of each message that the policy accepts. */
  onAccepted?: (mail: SignedMail) => void;
  /** The only destination of a mailbox, if it is a queue on the same Redis. */
  local: (mailbox: string) => LocalDestination | undefined;
}

/** The step of the queue `inbound`. Errors: those of the spool and of Redis. */
export function decodeStep(
  parts: DecodeParts,
): (job: InboundJob, context: Pick<JobContext, 'signal' | 'end'>) => Promise<Outcome> {
  const mailboxes = new Map(parts.mailboxes.map((mailbox) => [mailbox.name, mailbox]));
  return async (job, context) => {
    const mailbox = mailboxes.get(job.mailbox);
    if (!mailbox) return { suspend: 'mailbox-unknown' };
    return await decodeFor(job, mailbox, parts, context);
  };
}

async function decodeFor(
  job: InboundJob,
  mailbox: MailboxConfig,
  parts: DecodeParts,
  { signal, end }: Pick<JobContext, 'signal' | 'end'>,
): Promise<Outcome> {
  const { flow, spool, partners, profiles, strong } = parts;
  const { state, octets } = await flow.fetch(job.id, [job.octets], end);
  // A repeated job whose work is already done, or whose message a person has ended.
  if (state !== 'received') return { done: true };

  const options = parts.optionsFor(mailbox);
  const [small] = octets;
  const decoded = small
    ? await decodeSmall(small, spool, options)
    : await parts.large.run(job.mailbox, () => decodeLarge(() => spool.open(job.octets), spool, options));
  const { pieces, header, detail } = decoded;
  const loop = loopOf(outerBlock(header, messageLimitsOf(options)), parts.trace, job.mailbox);
  if (loop !== undefined) {
    await discard(decoded);
    return { suspend: 'mail-loop', facts: { message: loop } };
  }
  const { verdict, headers, sender } = readSender(decoded, messageLimitsOf(options), partners);
  parts.harvest?.take(job.id, decoded.signers, matchedKeys(verdict));
  const used = usedIn(verdict);
  const facts = factsOf(verdict, used && codeOf('inbound', used, sender.by === 'address'));
  const from: Attribution = {
    partner: sender.partner ? partnerKey(sender.partner) : null,
    partnerBy: sender.by ?? null,
  };
  const minimum = { profiles, used, at: options.at };
  const fate = assess(verdict, { ...mailbox, strong, minimum }, sender, partners);
  if (fate.fate !== 'accept') {
    await discard(decoded);
    const { code, message } = fate;
    if (fate.fate === 'suspend') return { suspend: code, facts: { ...facts, message, detail }, from };
    await flow.dropped(job, { ...from, facts: { reason: code, ...facts, message } }, end);
    return { done: true };
  }
  const signers = verdict.layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  parts.onAccepted?.({ sender, signers, receivedAt: job.receivedAt });
  const whole = isWhole(verdict);
  const local = decoded.small !== null && pieces.isEmpty ? parts.local(job.mailbox) : undefined;
  if (local && decoded.small) {
    const found = { verdict, header, whole, headers };
    const taken = await local.take(deliveryAtOnce(job, local.name, found, decoded.small), signal);
    if (taken) {
      const all = { ...taken, destination: local.name, decoded: facts, ...from };
      await flow.handedOffAtOnce(job, all, end);
      return { done: true };
    }
  }
  const content = decoded.content();
  const stored = await pieces.finish(verdict).catch(async (error: unknown) => {
    await Promise.all([content.abort(), pieces.abort()]);
    throw error;
  });
  const outcome = {
    content,
    result: writeResult({
      verdict,
      header,
      whole,
      headers,
      pieces: stored.pieces,
    }),
    pieces: stored.octets,
    destinations: mailbox.destinations.map(({ name, type }) => name ?? type),
    ...from,
    facts,
  };
  await flow.decoded(job, outcome, end);
  return { done: true };
}

/** Removes what was written of a message that is not handed off. */
async function discard({ small, content, pieces }: Decoded): Promise<void> {
  await Promise.all([small === null && content().abort(), pieces.abort()]);
}

function deliveryAtOnce(
  job: InboundJob,
  destination: string,
  result: Pick<DecodeResultRecord, 'verdict' | 'header' | 'whole'> & { headers: HeadersJson },
  content: Buffer,
): Delivery {
  return {
    ...identityOf(job, destination),
    ...result,
    async *content() {
      yield content;
    },
    contentOctets: content.length,
    contentSha256: createHash('sha256').update(content).digest('hex'),
    read: async () => content,
    pieces: [],
  };
}

/** Thumbprints of the signers whose signature is valid. */
function signersOf(verdict: Verdict): string[] {
  return verdict.layers
    .filter(isSignatureLayer)
    .flatMap(({ signers }) => signers)
    .flatMap(({ valid, thumbprint }) => (valid && thumbprint ? [thumbprint] : []));
}

/** Thumbprints of our own certificates that it was encrypted for, the outermost first. */
function matchedKeys({ layers }: Verdict): string[] {
  return layers.flatMap((layer) =>
    'recipients' in layer
      ? layer.recipients.flatMap(({ matched }) => (matched ? [matched.thumbprint] : []))
      : [],
  );
}

/** What the ledger keeps of a verdict: metadata to find and understand a message. */
function factsOf(verdict: Verdict, used: string | undefined): Facts {
  return {
    status: verdict.status,
    error: verdict.error?.code ?? null,
    encrypted: verdict.encrypted,
    signature: verdict.signature,
    integrity: verdict.integrity,
    layers: verdict.layers.map(({ type }) => type),
    decryptionThumbprint: matchedKeys(verdict)[0] ?? null,
    signatureThumbprint: signersOf(verdict)[0] ?? null,
    partner: verdict.sender?.partner ?? null,
    partnerBy: verdict.sender?.by ?? null,
    sender: verdict.sender?.sender?.address ?? null,
    ...(used && verdict.status === 'ok' ? { used } : {}),
  };
}
