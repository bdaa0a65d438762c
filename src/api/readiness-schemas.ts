/** Schemas of requests and answers about readiness and replays. */
import { z } from 'zod';
import { waitingCodes } from '../errors.ts';

const line = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, 'has a control character');
const name = line(63).min(1);

export const replayQuery = z.strictObject({
  partner: name.describe('Only messages of that partner.').optional(),
  mailbox: name.describe('Only messages of that mailbox.').optional(),
  reason: z.enum(waitingCodes).describe('Only messages that are suspended for that reason.').optional(),
});
export const replayBody = z.strictObject({
  ...replayQuery.shape,
  why: line(500).describe('The reason, for ledger and audit trail.').optional(),
});
export type ReplayWanted = z.output<typeof replayBody>;

export const replayList = z.object({
  replayed: z.number().int().describe('Messages that were put back to work; in a preview, that would be.'),
  waiting: z.number().int().describe('Messages that go on waiting.'),
  messages: z
    .array(
      z.object({
        id: z.string(),
        direction: z.enum(['inbound', 'outbound']),
        reason: z.string().describe('The code that it is suspended with.'),
        mailbox: z.string().nullable(),
        partner: z.string().nullable(),
        replayed: z.boolean(),
        why: z.string().describe('Why it goes on, or what it waits for.'),
      }),
    )
    .describe('The first 1,000; the numbers are of all.'),
});
export type ReplayList = z.output<typeof replayList>;

export const matrixQuery = z.strictObject({
  partner: name.describe('Only that partner.').optional(),
  at: line(40)
    .describe('The day on which profiles are to be met, such as 2027-07-01. Default: now.')
    .optional(),
  days: z
    .string()
    .regex(/^(?:[1-9]|[1-8]\d|9[0-2])$/, 'is not a number from 1 to 92')
    .describe('Days of traffic. Default: 30.')
    .optional(),
  after: name.describe('The partner that the list before ended with.').optional(),
});
export type MatrixWanted = z.output<typeof matrixQuery>;

const counts = z.record(z.string(), z.number().int());
const seen = z.object({
  messages: z.number().int(),
  last: z.string().nullable().describe('The last day with one.'),
  ciphers: counts,
  keyManagement: counts,
  signatures: counts,
  keys: counts,
  protection: counts,
});
export const matrixRow = z.object({
  partner: z.string(),
  received: seen.describe('Mail of the partner: what was in it, each with its number of messages.'),
  sent: seen.describe('Mail to the partner.'),
  unreadMessages: z.number().int().describe('Messages of which another version kept something else.'),
  announced: z
    .object({ ciphers: z.array(z.string()), at: z.iso.datetime() })
    .nullable()
    .describe('Ciphers that the partner says it can read, the preferred one first (smimeCapabilities).'),
  profiles: z.array(
    z.object({
      name: z.string(),
      meets: z.boolean(),
      needs: z.array(z.string()).describe('Rules that are missed.'),
      blocked: z.string().nullable().describe('Why nothing could be sent on that day.'),
    }),
  ),
});
export const matrixList = z.object({
  at: z.string().describe('The day.'),
  partners: z.array(matrixRow),
  next: z.string().nullable().describe('after of the next request; null at the end.'),
});
export type MatrixList = z.output<typeof matrixList>;
