/** Who a decoded message is from, read once from the header of the message that will be handed off. */
import { composeMessage } from '../handoff/index.ts';
import {
  defaultMessageLimits,
  HeaderBlock,
  type HeadersJson,
  isKnown,
  type MailHeader,
  type MessageLimits,
  parseHeaders,
  readMailHeader,
} from '../message/index.ts';
import { type PartnerDirectory, type Sender, senderOf } from '../partner/index.ts';
import { type DecodeOptions, isSignatureLayer, type Verdict } from '../smime/index.ts';

/** The parts of a decoded message that say who it is from. */
export interface DecodedHead {
  readonly verdict: Verdict;
  /** Start of the content, as far as the header of the message to hand off depends on it (`headOctets`). */
  readonly head: Buffer;
  /** Header block of the message as received. */
  readonly header: Buffer;
}

/** Reads the header and resolves the sender. The returned verdict says who it is. */
export function readSender(
  decoded: DecodedHead,
  limits: MessageLimits,
  partners: PartnerDirectory,
): { verdict: Verdict; headers: HeadersJson; fields: HeaderBlock; sender: Sender } {
  const fields = headerOf(decoded, limits);
  const read = readMailHeader(fields);
  const signers = decoded.verdict.layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  const sender = senderOf(partners, read.authors, signers);
  return { verdict: withSender(decoded.verdict, sender, read), headers: read.json, fields, sender };
}

/** As the destinations get them. */
export function messageLimitsOf({ limits }: DecodeOptions): MessageLimits {
  return { ...defaultMessageLimits, headerOctets: limits?.headerSize ?? defaultMessageLimits.headerOctets };
}

/** True for a mail that was not S/MIME, so its content is the mail itself. */
export const isWhole = ({ layers }: Verdict) => layers.length === 0;

/**
 * The fields of the message to hand off. They are read once: the policy uses them, and the destinations get them. For a
 * message that could not be decoded, only the outer header is known.
 */
function headerOf({ verdict, header, head }: DecodedHead, limits: MessageLimits): HeaderBlock {
  if (verdict.status === 'failed') return outerBlock(header, limits);
  const delivery = { header, whole: isWhole(verdict), verdict, contentOctets: head.length };
  return composeMessage(delivery, head, limits).headers;
}

/** The fields of the outer header; empty if it cannot be read. */
export function outerBlock(header: Buffer, limits: MessageLimits): HeaderBlock {
  try {
    return parseHeaders(header, limits);
  } catch {
    return new HeaderBlock([], header);
  }
}

/** Adds to the verdict who the message is from. */
function withSender(verdict: Verdict, { partner, by, authors }: Sender, { json }: MailHeader): Verdict {
  // if From and Sender are the same, it says nothing
  const authored = authors.from.filter(isKnown).map(({ key }) => key);
  const foreign = authors.sender.addresses.some((each) => !isKnown(each) || !authored.includes(each.key));
  return {
    ...verdict,
    sender: {
      partner: partner?.name ?? null,
      by: by ?? null,
      from: json.from,
      sender: foreign ? json.sender : null,
    },
  };
}
