import { randomUUID } from 'node:crypto';
import { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import type { Config, PartnerConfig } from '../config/schema.ts';
import { SealpostError } from '../errors.ts';
import {
  type HeaderBlock,
  HeaderSplitter,
  parseMailbox,
  readMailHeader,
  readMessageId,
} from '../message/index.ts';
import type { Envelope, SpoolWriter } from '../queue/index.ts';
import { configOption } from './options.ts';
import { addOutgoingOptions, type OutgoingOptions, outgoing } from './outgoing.ts';
import { printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

function partnerOf(config: Config, name: string): PartnerConfig {
  const partner = config.partners.find((each) => each.name === name);
  if (partner) return partner;
  const names = config.partners.map((each) => each.name);
  throw new SealpostError('partner-unknown', `there is no partner ${JSON.stringify(name)}`, {
    hint: names.length > 0 ? `partners are ${names.join(', ')}` : 'the configuration has no partners',
  });
}

/** Envelope from the partner's entry; a sender without one comes from the message. */
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

/** Fields that RFC 5322 section 3.6 asks for and the message lacks, as octets to put in front. */
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

/**
 * Puts a mail on the outbound queue: durable when this resolves. Missing From, To, Date and Message-ID are added.
 *
 * @param message an RFC 5322 message, as `outgoing` gives it
 * @returns its id
 */
export async function enqueueMessage(
  config: Config,
  partnerName: string,
  message: Iterable<Buffer> | AsyncIterable<Buffer>,
): Promise<string> {
  const partner = partnerOf(config, partnerName);
  return withQueue(config, async (queue) => {
    const writer = queue.intake.begin();
    try {
      const { envelope, messageId } = await spoolMessage(writer, partner, message);
      const origin = { kind: 'command' as const, detail: {} };
      const { id } = await queue.intake.commitOutbound(writer, {
        partner: partner.name,
        origin,
        envelope,
        messageId,
      });
      return id;
    } catch (error) {
      await writer.abort();
      throw error;
    }
  });
}

async function spoolMessage(
  writer: SpoolWriter,
  partner: PartnerConfig,
  message: Iterable<Buffer> | AsyncIterable<Buffer>,
): Promise<{ envelope: Envelope; messageId: string | null }> {
  let head: { envelope: Envelope; messageId: string | null } | undefined;
  const ready: Buffer[] = [];
  const splitter = new HeaderSplitter((headers) => {
    const envelope = envelopeOf(partner, headers);
    const { octets, messageId } = missingFields(headers, envelope, new Date());
    head = { envelope, messageId };
    ready.push(octets, headers.raw);
    return { write: (chunk) => void ready.push(Buffer.from(chunk)), end: () => undefined };
  });
  for await (const chunk of message) {
    splitter.write(chunk);
    for (const piece of ready.splice(0)) await writer.write(piece);
  }
  splitter.end();
  for (const piece of ready.splice(0)) await writer.write(piece);
  if (!head) throw new SealpostError('mime-malformed', 'the message has no header');
  return head;
}

interface SendOptions extends OutgoingOptions {
  partner: string;
  config: string;
  json?: boolean;
}

export function sendCommand(): Command {
  const command = new Command('send')
    .argument(
      '<file>',
      'content of any kind, which becomes the attachment of a new mail under its file name; or a mail, which gets From, To, Date and Message-ID where they are missing; - for standard input',
    )
    .requiredOption('--partner <name>', 'name of the partner in the configuration');
  return addOutgoingOptions(command)
    .addOption(configOption())
    .option('--json', 'print the id as JSON')
    .action(async (file: string, options: SendOptions) => {
      const { open } = outgoing(file, options);
      const id = await enqueueMessage(loadConfig(options.config), options.partner, open());
      if (options.json) printJson({ id });
      else printLine(id);
    });
}
