/**
 * Decodes a message: removes the S/MIME layers, judges the verdict by the mailbox's policy, and hands the message off
 * itself if the only destination is a queue on the same Redis, or, for a large message, a folder of this machine.
 * Otherwise it queues the hand-off.
 */
import { createHash } from 'node:crypto';
import type { Harvest } from '../certstore/index.ts';
import { type Config, type MailboxConfig, partnerKey } from '../config/index.ts';
import { SealpostError, waitsFor } from '../errors.ts';
import type { Delivery, LocalDestination, LocalDraft } from '../handoff/index.ts';
import { type HeaderBlock, type HeadersJson, loopOf, type Tracer } from '../message/index.ts';
import { askedAgainAfter, type PartnerDirectory, type SignedMail, type Tellable } from '../partner/index.ts';
import { codeOf, type ProfileBook } from '../profile/index.ts';
import type {
  Attribution,
  Facts,
  Flow,
  InboundGuards,
  InboundJob,
  JobContext,
  Outcome,
} from '../queue/index.ts';
import { type DecodeOptions, isSignatureLayer, usedIn, type Verdict } from '../smime/index.ts';
import type { Spool } from '../spool/index.ts';
import { type Decoded, decodeLarge, decodeSmall, decodeToDraft } from './decoding.ts';
import { identityOf } from './deliver.ts';
import type { Explained } from './explanation.ts';
import { asksForParts, type Judged, type Judgement, judgeMessage, withShortfalls } from './inbound-policy.ts';
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
  /** Finds out whether a partner has sent a message before. */
  guards: Pick<InboundGuards, 'first'>;
  /** Tells a partner why its message is refused. See `explain` in `explanation.ts`. */
  explain: (
    job: InboundJob,
    mailbox: MailboxConfig,
    headers: readonly HeaderBlock[],
    tell: Tellable,
  ) => Promise<Explained>;
  /** Keys, trust, limits and time for a message to a mailbox. */
  optionsFor: (mailbox: MailboxConfig) => DecodeOptions;
  /** Limits how many large messages are processed at a time. */
  large: Turns;
  /** Recognizes mail that has been here before. */
  trace: Tracer;
  /** Takes the certificates that a message showed. Nobody waits for it. */
  harvest?: Pick<Harvest, 'take'>;
  /** Called for each message that the policy accepts. */
  onAccepted?: (mail: SignedMail) => void;
  /**
   * A digest of the keys and certificates that a message was judged with. The replay of messages that wait for others
   * compares it.
   */
  judgedWith?: (reason: string, mailbox: string, partner: string | null, at: Date) => string;
  /** Keeps the verdict of a suspended message for display. It may fail: the message is suspended all the same. */
  keepVerdict?: (id: string, verdict: Verdict) => Promise<void>;
  /** The destination of a mailbox, if it is the only one and this process can hand off to it. */
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
  context: Pick<JobContext, 'signal' | 'end'>,
): Promise<Outcome> {
  const { flow, spool } = parts;
  const { state, octets } = await flow.fetch(job.id, [job.octets], context.end);
  // a repeated job whose work is already done, or whose message a person has ended
  if (state !== 'received') return { done: true };

  const options = parts.optionsFor(mailbox);
  const listParts = asksForParts(mailbox, parts.partners);
  const judge = (decoded: Decoded, draft?: LocalDraft) =>
    judged(decoded, draft, { job, mailbox, options, parts, context });
  const [small] = octets;
  if (small) return await needed(judge(await decodeSmall(small, spool, options, listParts)));

  const source = () => spool.open(job.octets);
  const turn = (decode: () => Promise<Decoded>) => parts.large.run(job.mailbox, decode);
  let draft: LocalDraft | undefined;
  try {
    const decoded = await turn(async () => {
      draft = await parts.local(job.mailbox)?.begin?.(job);
      if (draft) return await decodeToDraft(source, draft, options, listParts);
      return await decodeLarge(source, spool, options, listParts);
    });
    const outcome = draft?.failed ? undefined : await judge(decoded, draft);
    if (outcome) return outcome;
  } catch (error) {
    if (!draft?.failed) throw error;
  } finally {
    await draft?.remove();
  }
  return await needed(judge(await turn(() => decodeLarge(source, spool, options, listParts))));
}

/** The outcome of a message that was not decoded into a folder. */
async function needed(outcome: Promise<Outcome | undefined>): Promise<Outcome> {
  const settled = await outcome;
  if (settled) return settled;
  throw new SealpostError('internal', 'a message without a draft must be decoded again');
}

/**
 * Judges what was decoded, and acts on it. Undefined if its draft could not be published: then nothing has happened.
 */
async function judged(
  decoded: Decoded,
  draft: LocalDraft | undefined,
  {
    job,
    mailbox,
    options,
    parts,
    context: { signal, end },
  }: {
    job: InboundJob;
    mailbox: MailboxConfig;
    options: DecodeOptions;
    parts: DecodeParts;
    context: Pick<JobContext, 'signal' | 'end'>;
  },
): Promise<Outcome | undefined> {
  const { flow, partners } = parts;
  const discard = () => discarded(decoded, draft);
  const { pieces, header } = decoded;
  const outer = outerBlock(header, messageLimitsOf(options));
  const read = readSender(decoded, messageLimitsOf(options), partners);
  const { headers, sender } = read;
  const from: Attribution = {
    partner: sender.partner ? partnerKey(sender.partner) : null,
    partnerBy: sender.by ?? null,
    ...keptSubject(mailbox, sender, headers),
  };
  const loop = loopOf(outer, parts.trace, job.mailbox);
  if (loop !== undefined) {
    await discard();
    return { suspend: 'mail-loop', facts: { message: loop }, from };
  }
  parts.harvest?.take(job.id, decoded.signers, matchedKeys(read.verdict));
  const used = usedIn(read.verdict);
  const code = used && codeOf('inbound', used, sender.by === 'address');
  const whole = isWhole(read.verdict);
  const listed = decoded.parts(whole);
  const found = { ...read, job, mailbox, outer, used, code, at: options.at, parts: listed };
  const judgement = await judgeMessage(found, parts).catch(async (error: unknown) => {
    await discard();
    throw error;
  });
  const { fate } = judgement;
  if (fate.fate !== 'accept') {
    await discard();
    // Accepted once is accepted: keys, policy or time may have changed since its folder was published.
    const local = decoded.small === null ? parts.local(job.mailbox) : undefined;
    const published = await local?.published?.(job);
    if (local && published) {
      const facts = { ...factsOf(read.verdict, code), message: fate.message };
      await flow.handedOffAtOnce(
        job,
        { destination: local.name, facts: published, decoded: facts, ...from },
        end,
      );
      return { done: true };
    }
    return await keepOut(found, judgement, from, decoded.detail, parts, end);
  }
  const verdict = withShortfalls(read.verdict, fate.lacks);
  const facts = {
    ...factsOf(verdict, code),
    ...(fate.lacks.length > 0 && { shortfalls: codesOf(fate.lacks) }),
  };
  const signers = verdict.layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  parts.onAccepted?.({ sender, signers, receivedAt: job.receivedAt });
  const local = decoded.small !== null && pieces.isEmpty ? parts.local(job.mailbox) : undefined;
  if (local && decoded.small) {
    const result = { verdict, header, whole, headers };
    const taken = await local.take(deliveryAtOnce(job, local.name, result, decoded.small), signal);
    if (taken) {
      const all = { ...taken, destination: local.name, decoded: facts, ...from };
      await flow.handedOffAtOnce(job, all, end);
      return { done: true };
    }
  }
  if (draft) {
    const name = parts.local(job.mailbox)?.name;
    const result = { verdict, header, whole, headers };
    const of = { contentOctets: draft.octets, contentSha256: draft.sha256 };
    const published = name && (await draft.publish(draftDelivery(job, name, result, of), signal));
    if (!published) return undefined;
    await flow.handedOffAtOnce(job, { destination: name, facts: published, decoded: facts, ...from }, end);
    return { done: true };
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

/** Suspends, drops or refuses a message, and has the partner told why, if that is allowed. */
async function keepOut(
  found: Judged & { job: InboundJob; outer: HeaderBlock; fields: HeaderBlock; code: string | undefined },
  { fate, tell }: Judgement,
  from: Attribution,
  detail: string | null,
  { flow, explain, judgedWith, keepVerdict }: DecodeParts,
  end: JobContext['end'],
): Promise<Outcome> {
  if (fate.fate === 'accept') throw new SealpostError('internal', 'an accepted message is not kept out');
  const { job, mailbox, verdict, outer, fields } = found;
  const { code, message } = fate;
  const unasked = fate.fate !== 'drop' && aboutTrust.has(code) ? unaskedSigner(found) : undefined;
  if (unasked !== undefined)
    return {
      // what protected it is counted when it is judged
      ...{ retry: 'signer-revocation', facts: { ...factsOf(verdict, undefined), message: unasked } },
      // not earlier, because nobody would be asked again
      after: askedAgainAfter,
      from,
    };
  const explained = tell && (await explain(job, mailbox, [outer, fields], tell));
  const id = explained && 'id' in explained ? explained.id : undefined;
  const facts = { ...factsOf(verdict, found.code), message, ...(id !== undefined && { explanation: id }) };
  if (fate.fate === 'drop' || (fate.fate === 'refuse' && id !== undefined)) {
    const event = fate.fate === 'drop' ? 'dropped' : 'refused';
    await flow.dropped(job, { ...from, event, facts: { reason: code, ...facts } }, end);
    return { done: true };
  }
  await keepVerdict?.(job.id, verdict);
  const not =
    explained && 'not' in explained
      ? explained.not
      : 'no signature of the partner over the content proves who sent it';
  const unexplained = fate.fate === 'refuse' ? { unexplained: not } : {};
  const keys =
    waitsFor(code) === undefined ? undefined : judgedWith?.(code, mailbox.name, from.partner, found.at);
  const waits = keys === undefined ? {} : { keys };
  return { suspend: code, facts: { ...facts, ...unexplained, detail, ...waits }, from };
}

/** Codes of rules that a signer of whom nothing is known falls short of. */
const aboutTrust: ReadonlySet<string> = new Set(['policy-refused', 'policy-trusted', 'policy-bound']);

/**
 * Why nobody could say whether the signer's certificate was revoked. Given only if nothing else is wrong with the
 * signature and the message may be a partner's: then it is judged as soon as somebody can say. For a stranger, nobody
 * is asked twice.
 */
function unaskedSigner({ verdict, sender }: Pick<Judged, 'verdict' | 'sender'>): string | undefined {
  if (verdict.signature !== 'untrusted' || sender.claimed.length === 0) return undefined;
  const untrusted = verdict.layers
    .filter(isSignatureLayer)
    .flatMap(({ signers }) => signers)
    .filter(({ trusted }) => !trusted);
  const isUnasked = ({ valid, reason }: (typeof untrusted)[number]) =>
    valid && reason === 'revocation-unknown';
  if (!untrusted.every(isUnasked)) return undefined;
  return untrusted.map(({ message, revocation }) => revocation.message ?? message ?? '').join('; ');
}

/** The subject, if it is kept. The partner's own setting takes precedence over that of the mailbox. */
function keptSubject(
  mailbox: Pick<MailboxConfig, 'keepSubjects'>,
  { partner }: Pick<Judged['sender'], 'partner'>,
  { subject }: Pick<HeadersJson, 'subject'>,
): Pick<Attribution, 'subject'> {
  return subject !== null && (partner?.keepSubjects ?? mailbox.keepSubjects) ? { subject } : {};
}

const codesOf = (lacks: readonly { code: string }[]) => [...new Set(lacks.map(({ code }) => code))];

/** Removes what was written of a message that is not handed off. */
async function discarded({ small, content, pieces }: Decoded, draft: LocalDraft | undefined): Promise<void> {
  const written = draft ? draft.remove() : small === null && content().abort();
  await Promise.all([written, pieces.abort()]);
}

/** A message whose content is already in its folder. */
function draftDelivery(
  job: InboundJob,
  destination: string,
  result: Pick<DecodeResultRecord, 'verdict' | 'header' | 'whole'> & { headers: HeadersJson },
  of: Pick<Delivery, 'contentOctets' | 'contentSha256'>,
): Delivery {
  const gone = () => {
    throw new SealpostError('internal', 'the content is in its folder');
  };
  return {
    ...{ ...identityOf(job, destination), ...result, ...of },
    content: gone,
    read: gone,
    pieces: [],
  };
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

/** Thumbprints of our own certificates that the message was encrypted for, the outermost first. */
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
