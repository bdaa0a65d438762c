/** Applies the rules of `policy` to a decoded message: what it falls short of, what becomes of it, and who is told. */
import { createHash } from 'node:crypto';
import { type Config, type MailboxConfig, type PolicyConfig, partnerKey } from '../config/index.ts';
import { isAttachment, type ListedPart } from '../handoff/index.ts';
import type { HeadersJson } from '../message/index.ts';
import {
  type AttachmentFacts,
  assess,
  type Evidence,
  type Fate,
  type PartnerDirectory,
  policiesOf,
  type Sender,
  type Shortfall,
  shortfallsOf,
  type Tellable,
  tellable,
} from '../partner/index.ts';
import type { ProfileBook } from '../profile/index.ts';
import type { InboundGuards, InboundJob } from '../queue/index.ts';
import type { Used, Verdict } from '../smime/index.ts';

export interface PolicyParts {
  strong: Config['strong'];
  profiles: ProfileBook;
  partners: PartnerDirectory;
  guards: Pick<InboundGuards, 'first'>;
}

/** What was read of a decoded message. */
export interface Judged {
  readonly job: Pick<InboundJob, 'id' | 'receivedAt'>;
  readonly mailbox: MailboxConfig;
  readonly verdict: Verdict;
  readonly sender: Sender;
  readonly headers: HeadersJson;
  /** What protected it, and when it is judged by profiles. */
  readonly used: Used | undefined;
  readonly at: Date;
  /** The parts of the content; undefined if they cannot be read or were not requested. */
  readonly parts: readonly ListedPart[] | undefined;
}

/** What becomes of it, and who is to be told why. */
export interface Judgement {
  readonly fate: Fate;
  readonly tell: Tellable | undefined;
}

/** Whether rules about attachments may concern mail for a mailbox. */
export function asksForParts({ policy }: Pick<MailboxConfig, 'policy'>, partners: PartnerDirectory): boolean {
  return policy?.attachments !== undefined || partners.anyAttachments;
}

/** Errors: those of the store, in which duplicates are looked up. */
export async function judgeMessage(judged: Judged, parts: PolicyParts): Promise<Judgement> {
  const { mailbox, verdict, sender, used, at } = judged;
  const { partners, profiles, strong } = parts;
  const rules = { ...mailbox, strong, minimum: { profiles, used, at } };
  if (mailbox.policy === undefined && !partners.anyPolicy)
    return { fate: assess(verdict, rules, sender, partners, []), tell: undefined };
  const evidence = evidenceOf(judged, strong);
  const policies = policiesOf(mailbox, sender);
  const shortfalls = shortfallsOf(policies, evidence);
  let fate = assess(verdict, rules, sender, partners, shortfalls);
  // last, so that what is not accepted is no message that could be repeated
  const repeated = fate.fate === 'accept' ? await repetition(judged, policies, parts) : undefined;
  if (repeated !== undefined) {
    shortfalls.push(repeated);
    fate = assess(verdict, rules, sender, partners, shortfalls);
  }
  return { fate, tell: tellable(partners, verdict, shortfalls, sender) };
}

function evidenceOf({ job, verdict, sender, headers, parts }: Judged, strong: Config['strong']): Evidence {
  const attachments = attachmentsIn(parts);
  return { verdict, sender, subject: headers.subject, attachments, receivedAt: job.receivedAt, strong };
}

/** Characters of a name that rules compare. No file needs more. */
const longestName = 255;

/** What rules about attachments go by. */
export function attachmentsIn(parts: Judged['parts']): AttachmentFacts[] | undefined {
  return parts?.filter(isAttachment).map(({ contentType, originalFileName: name }) => ({
    contentType,
    // the whole name or nothing, because a file is also recognized by its end
    name:
      name.length > longestName
        ? null
        : name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1),
  }));
}

/** What the partner has sent before. The first policy that says something about duplicates decides. */
async function repetition(
  { job, verdict, sender, headers }: Judged,
  policies: readonly PolicyConfig[],
  { guards }: PolicyParts,
): Promise<Shortfall | undefined> {
  const rule = policies.find(({ duplicates }) => duplicates !== undefined)?.duplicates;
  const { partner, by } = sender;
  if (rule === undefined || rule.action === 'accept' || partner === undefined || by === 'conflict')
    return undefined;
  const { messageId } = headers;
  const sha256 = verdict.content?.sha256 ?? null;
  const id = rule.by === 'content' ? null : messageId;
  const content = rule.by === 'message-id' && messageId !== null ? null : sha256;
  if (id === null && content === null) return undefined;
  // a forged From must not turn the genuine message into a repetition
  const what = JSON.stringify([partnerKey(partner), by, id, content]);
  const digest = createHash('sha256').update(what).digest('hex').slice(0, 32);
  const holder = await guards.first(digest, job.id, rule.within);
  if (holder === null) return undefined;
  return {
    code: 'policy-duplicate',
    message: `message ${holder} of partner ${partner.name} was the same`,
    demand: 'Do not send it again, or give it another content and Message-ID.',
    fate: rule.action === 'flag' ? 'pass' : rule.action,
  };
}

/** What the verdict says about rules that an accepted message falls short of. */
export function withShortfalls(verdict: Verdict, lacks: readonly Shortfall[]): Verdict {
  if (lacks.length === 0) return verdict;
  return { ...verdict, policy: { shortfalls: lacks.map(({ code, message }) => ({ code, message })) } };
}
