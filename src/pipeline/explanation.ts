/**
 * The mail that tells a partner why its message was refused. `tellable` has decided who is told what. Here the mail is
 * written and submitted as one of our own, once for each message, and never as an answer to a machine (RFC 3834).
 */
import { randomUUID } from 'node:crypto';
import { daemonClient } from '../client/index.ts';
import { type MailboxConfig, type PartnerConfig, partnerKey } from '../config/index.ts';
import { isOfClass, SealpostError, toErrorInfo } from '../errors.ts';
import type { HeaderBlock } from '../message/index.ts';
import type { ShortfallCode, Tellable } from '../partner/index.ts';
import type { InboundGuards, InboundJob } from '../queue/index.ts';
import { Outgoing, type SubmitParts, submit } from './submit.ts';

export interface ExplainerParts extends SubmitParts {
  guards: Pick<InboundGuards, 'mayExplain'>;
}

/** For the operator: the id of the explanation, or why there is none. */
export type Explained = { id: string } | { not: string };

/** Milliseconds after the arrival of a message before which nobody is told anything about it. */
export const earliestExplanation = 60_000;

/**
 * Explains a refused message. The mail leaves at the end of a whole minute that does not depend on how long the message
 * took to decode, so its time reveals nothing.
 *
 * Errors: those of the store, and then nothing was sent.
 */
export async function explain(
  parts: ExplainerParts,
  job: Pick<InboundJob, 'id' | 'envelope' | 'messageId' | 'receivedAt'>,
  mailbox: Pick<MailboxConfig, 'addresses'>,
  headers: readonly HeaderBlock[],
  { partner, shortfalls }: Tellable,
): Promise<Explained> {
  const { explain: settings } = partner;
  if (settings === undefined) return { not: `partner ${partner.name} has no explain.to` };
  const from =
    partner.from ?? mailbox.addresses.find((address) => !address.startsWith('@') && address.includes('@'));
  if (from === undefined) return { not: 'neither the partner has a from nor the mailbox an address' };
  if (job.envelope.from === '' || headers.some(isAutomatic))
    return { not: 'the message was sent by a machine or a list, which is not answered' };
  if (!(await parts.guards.mayExplain(partnerKey(partner), job.id, settings.perDay)))
    return { not: `partner ${partner.name} was sent ${settings.perDay} explanations in 24 hours` };
  const leavesAt = Math.ceil((job.receivedAt + earliestExplanation) / 60_000) * 60_000;
  const mail = explanationMail({ from, to: settings.to, job, shortfalls, at: new Date(leavesAt) });
  try {
    const [submitted] = await submit(parts, {
      client: daemonClient,
      to: { partner: partner.name, recipients: [settings.to] },
      outgoing: Outgoing.mail(() => [mail], 'the explanation'),
      origin: { kind: 'daemon', detail: { message: job.id } },
      nullSender: true,
      // a different text, because the policy was changed in the meantime, is no reason to tell it twice
      idempotencyKey: `explanation-${job.id}`,
      delivery: { notBefore: leavesAt },
    });
    return { id: submitted?.id ?? '' };
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'idempotency-conflict')
      return { not: 'the message was explained before' };
    if (!isOfClass(error, 'operator', 'message')) throw error;
    return { not: `it could not be submitted (${toErrorInfo(error).code})` };
  }
}

/** Fields of mail that no person wrote, or that went to many (RFC 3834, section 2; RFC 2369; RFC 2919). */
export function isAutomatic({ fields }: HeaderBlock): boolean {
  return fields.some(({ key, value }) => {
    switch (key) {
      case 'auto-submitted':
        return !/^\s*no\s*(?:[;(]|$)/i.test(value);
      case 'precedence':
        return /^\s*(?:bulk|junk|list)\b/i.test(value);
      case 'content-type':
        return /^\s*multipart\/report\b/i.test(value);
      case 'return-path':
        return /^\s*<\s*>/.test(value);
      default:
        return key.startsWith('list-') || key === 'x-auto-response-suppress' || key === 'x-loop';
    }
  });
}

/** What was wrong, for the partner: it says no more than the code. */
const wrongs: Readonly<Record<ShortfallCode, string>> = {
  'policy-encrypted': 'It was not encrypted.',
  'policy-signed': 'It had no valid signature.',
  'policy-trusted': 'Its signature was not one that we trust.',
  'policy-bound': 'It was not signed with a certificate of its sender.',
  'policy-aead': 'It was not encrypted with an authenticated cipher.',
  'policy-weak': 'An algorithm or a key was too weak.',
  'policy-header-protection': 'Its header was not protected.',
  'policy-algorithm': 'An algorithm was none that we accept.',
  'policy-key-size': 'A key was too small.',
  'policy-signing-time': 'Its signing time was missing, too old, or in the future.',
  'policy-duplicate': 'It was sent before.',
  'policy-attachments': 'Its attachments were not as agreed.',
};

interface ExplanationFacts {
  from: string;
  to: PartnerConfig['addresses'][number];
  job: Pick<InboundJob, 'messageId' | 'receivedAt'>;
  shortfalls: Tellable['shortfalls'];
  /** When the mail leaves. */
  at: Date;
}

/** Of the message, it contains only the Message-ID, if that is harmless, and the time of arrival. */
export function explanationMail({ from, to, job, shortfalls, at }: ExplanationFacts): Buffer {
  const messageId = harmlessId(job.messageId);
  // several policies may ask for the same
  const mended = new Map(shortfalls.map(({ code, demand }) => [demand, wrongs[code]]));
  const lines = [
    `From: <${from}>`,
    `To: <${to}>`,
    'Subject: Your message was refused',
    `Date: ${at.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${randomUUID()}@${from.slice(from.lastIndexOf('@') + 1)}>`,
    ...(messageId === null ? [] : [`In-Reply-To: ${messageId}`, `References: ${messageId}`]),
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    'This mail was written by a program. Nobody reads answers to it.',
    '',
    'A message of yours was refused, and has not been processed:',
    '',
    ...(messageId === null ? [] : [`  Message-ID: ${messageId}`]),
    `  received:   ${new Date(job.receivedAt).toISOString()}`,
    '',
    'What was wrong, and how to mend it before you send it again:',
    '',
    ...[...mended].flatMap(([demand, wrong]) => [`- ${wrong}`, `  ${demand}`]),
  ];
  return Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
}

/** The partner's own text: short, and without anything that has a meaning in a header, in HTML or to a terminal. */
function harmlessId(messageId: string | null): string | null {
  return messageId !== null && /^<[A-Za-z0-9.!#$%'*+/=?^_`{|}~@:-]{1,240}>$/.test(messageId)
    ? messageId
    : null;
}
