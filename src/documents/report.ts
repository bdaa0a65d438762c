/** The report of a suspended message, as `onSuspend` destinations get it. */
import { z } from 'zod';
import {
  base64,
  direction,
  envelope,
  facts,
  isoTime,
  messageId,
  octets,
  origin,
  partnerBy,
  sha256,
} from './fields.ts';

export const reportDocument = z
  .strictObject({
    kind: z.literal('suspended'),
    id: messageId,
    idempotencyKey: z
      .string()
      .describe('the same for every attempt to report this suspension, and for no other'),
    direction,
    mailbox: z.string().nullable(),
    partner: z.string().nullable(),
    partnerBy,
    destination: z.string().describe('the one that gets the report'),
    failed: z
      .strictObject({ step: z.enum(['decode', 'handoff', 'send']), to: z.string().nullable() })
      .describe('what failed: for handoff with the destination'),
    reason: z.strictObject({ code: z.string(), explanation: z.string(), facts }),
    receivedAt: isoTime,
    suspendedAt: isoTime,
    starts: z.number().int().describe('how often work on it was started since it arrived or was resumed'),
    resumed: z.number().int().describe('how often it was resumed or decoded again before'),
    envelope,
    origin,
    messageId: z.string().nullable().describe('the Message-ID field'),
    octets,
    sha256,
    original: z
      .union([
        z.strictObject({ octets, sha256, encoding: z.literal('base64'), data: base64 }),
        z.strictObject({ octets }).describe('too large for the document'),
        z.strictObject({ octets, sha256, file: z.string() }).describe('a file or object beside it'),
        z.null().describe('no longer kept'),
      ])
      .optional()
      .describe('the octets as they came; absent unless include is original'),
  })
  .describe('The report of a suspended message');
export type ReportDocument = z.infer<typeof reportDocument>;
