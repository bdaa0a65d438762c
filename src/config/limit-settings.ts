/** Limits on messages and queues: what one message may cost, and how many may wait. */
import { z } from 'zod';
import { size } from './units.ts';

const queueLimit = (what: string) =>
  z
    .strictObject({
      depth: z
        .number()
        .int()
        .min(1)
        .default(500_000)
        .describe('Maximum number of messages that are waiting or in progress.'),
      octets: size('1KiB').prefault('50GiB').describe('Maximum total octets of these messages.'),
    })
    .prefault({})
    .describe(what);

export const limits = z.strictObject({
  layers: z.number().int().min(1).default(10).describe('Maximum number of nested S/MIME layers.'),
  parts: z.number().int().min(1).default(1000).describe('Maximum number of MIME parts in one message.'),
  depth: z.number().int().min(1).default(50).describe('Maximum nesting depth of MIME parts.'),
  headerSize: size('1KiB').prefault('100KiB').describe('Maximum size of one header block.'),
  work: z
    .number()
    .int()
    .min(10_000)
    .default(1_000_000)
    .describe(
      'Work budget of one message: the total cost of its layers, signers, certificates, recipients, parts and names. One unit is about a microsecond on a core of 2 to 3 GHz; operations are counted, not time. The budget grows with the message: at 5 MiB it is twice this value, and so on. A message that exceeds it is suspended (work-limit).',
    ),
  output: size('1KiB')
    .prefault('16MiB')
    .describe(
      'Output budget of one message: the total octets that decompression may produce in all its layers. It grows by 32 octets for each octet of the message. A message that exceeds it is suspended (output-limit).',
    ),
  queue: z
    .strictObject({
      inbound: queueLimit('Messages that are received but not decoded yet.'),
      handoff: queueLimit(
        'Messages that are decoded but not delivered to every destination yet. This limit stops receiving too.',
      ),
      outbound: queueLimit('Messages to be sent.'),
    })
    .prefault({})
    .describe(
      'Limits of the queues. While one is exceeded, nothing new is accepted (SMTP: 452; IMAP: polling pauses).',
    ),
  redisMemory: z
    .number()
    .int()
    .min(10)
    .max(100)
    .default(85)
    .describe(
      "Percentage of Redis's maxmemory (or of the machine's memory, if maxmemory is not set) at which nothing new is accepted, until usage drops by 5 points. Accepted messages need the remainder to be processed.",
    ),
  diskFree: size()
    .prefault('512MiB')
    .describe(
      'Nothing new is accepted while the disk of the spool folder (and of the private Redis server) has less free space than this, until a quarter more is free. Capped at a twentieth of the disk.',
    ),
});
