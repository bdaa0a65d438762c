/**
 * The one way in for mail to a partner. It finds the partner, adds missing header fields, and returns an id once
 * octets, job and record are durable. It is a separate entrance that does not load the code that sends.
 */
import { randomUUID } from 'node:crypto';
import type { PartnerConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import {
  type HeaderBlock,
  HeaderSplitter,
  parseMailbox,
  readMailHeader,
  readMessageId,
} from '../message/index.ts';
import type { Envelope, Intake, IntakeResult, OutboundEntry } from '../queue/index.ts';
import type { SpoolWriter } from '../spool/index.ts';
import type { Octets, Outgoing } from './outgoing.ts';

export { type ContentFacts, Outgoing } from './outgoing.ts';

export interface Submission extends Pick<OutboundEntry, 'origin' | 'idempotencyKey'> {
  /** Name of the partner in the configuration. */
  partner: string;
  outgoing: Outgoing;
}

export interface SubmitParts {
  partners: readonly PartnerConfig[];
  /** Opens the intake if necessary, but only after the partner was found. */
  withIntake<T>(work: (intake: Pick<Intake, 'begin' | 'commitOutbound'>) => Promise<T>): Promise<T>;
  now: () => Date;
}

/**
 * Puts a mail on the outbound queue: durable when this resolves. Missing From, To, Date and Message-ID are added.
 *
 * Errors: `partner-unknown`, `address-invalid` (no recipient or no sender), those of `Outgoing.open` and of the intake.
 */
export async function submit(parts: SubmitParts, submission: Submission): Promise<IntakeResult> {
  const { outgoing, partner: name, ...entry } = submission;
  const partner = partnerOf(parts.partners, name);
  return await parts.withIntake(async (intake) => {
    const writer = intake.begin();
    try {
      const head = await spoolMail(writer, outgoing.open(), partner, parts.now());
      return await intake.commitOutbound(writer, { ...entry, partner: partner.name, ...head });
    } catch (error) {
      await writer.abort();
      throw error;
    }
  });
}

function partnerOf(partners: readonly PartnerConfig[], name: string): PartnerConfig {
  const partner = partners.find((each) => each.name === name);
  if (partner) return partner;
  const names = partners.map((each) => each.name);
  throw new SealpostError('partner-unknown', `there is no partner ${JSON.stringify(name)}`, {
    hint: names.length > 0 ? `partners are ${names.join(', ')}` : 'the configuration has no partners',
  });
}

/** Envelope from the partner's entry; a missing sender is taken from the message. */
function envelopeOf(partner: PartnerConfig, headers: HeaderBlock): Envelope {
  const to = partner.addresses.find((address) => !address.startsWith('@'));
  if (to === undefined)
    throw new SealpostError(
      'address-invalid',
      `partner ${partner.name} has only domains, and no address to send to`,
      {
        hint: 'put a full address first in its addresses',
      },
    );
  const from = partner.from ?? readMailHeader(headers).authors.from[0]?.address;
  if (from === undefined)
    throw new SealpostError(
      'address-invalid',
      'the message has no From field and the partner no from setting',
      {
        hint: `set from of partner ${partner.name}, or add a From field to the message`,
      },
    );
  return { from: parseMailbox(from, { utf8: true }).address, to: [parseMailbox(to, { utf8: true }).address] };
}

/** Fields that RFC 5322 section 3.6 requires and the message lacks, as octets to prepend. */
function missingFields(
  headers: HeaderBlock,
  envelope: Envelope,
  now: Date,
): { octets: Buffer; messageId: string | null } {
  const domain = envelope.from.split('@').at(-1) ?? 'localhost';
  const made = `<${randomUUID()}@${domain}>`;
  const given = headers.get('message-id') === undefined ? made : readMessageId(headers);
  const fields = [
    ['From', `<${envelope.from}>`],
    ['To', `<${envelope.to.join('>, <')}>`],
    ['Date', now.toUTCString().replace('GMT', '+0000')],
    ['Message-ID', made],
  ].filter(([name = '']) => headers.get(name) === undefined);
  return {
    octets: Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')),
    messageId: given,
  };
}

async function spoolMail(
  writer: SpoolWriter,
  mail: Octets,
  partner: PartnerConfig,
  now: Date,
): Promise<{ envelope: Envelope; messageId: string | null }> {
  let head: { envelope: Envelope; messageId: string | null } | undefined;
  const ready: Buffer[] = [];
  const splitter = new HeaderSplitter((headers) => {
    const envelope = envelopeOf(partner, headers);
    const { octets, messageId } = missingFields(headers, envelope, now);
    head = { envelope, messageId };
    ready.push(octets, headers.raw);
    return { write: (chunk) => void ready.push(Buffer.from(chunk)), end: () => undefined };
  });
  for await (const chunk of mail) {
    splitter.write(chunk);
    for (const piece of ready.splice(0)) await writer.write(piece);
  }
  splitter.end();
  for (const piece of ready.splice(0)) await writer.write(piece);
  if (!head) throw new SealpostError('mime-malformed', 'the message has no header');
  return head;
}
