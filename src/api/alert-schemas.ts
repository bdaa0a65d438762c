/** Schemas of requests and answers about alerts. */
import { z } from 'zod';
import { alertChange, alertFields } from '../documents/index.ts';

const line = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, 'has a control character');
const isoTime = z.iso.datetime();

const match = {
  alert: line(64).describe('Id of one alert.').optional(),
  rule: line(63).describe('Name of a rule.').optional(),
  mailbox: line(63).describe('Name of a mailbox.').optional(),
  partner: line(63).describe('Name of a partner.').optional(),
  reason: line(63).describe('A reason code.').optional(),
};

export const silence = z.object({
  id: z.string(),
  match: z.object(match),
  from: isoTime,
  until: isoTime,
  by: z.string().describe('Who silenced it.'),
  why: z.string(),
});

export const alertList = z.object({
  alerts: z
    .array(
      z.object({
        ...alertFields,
        silencedBy: z.string().nullable().describe('Id of the silence that holds for it.'),
      }),
    )
    .describe('The most serious first. Only those that the client may see.'),
  silences: z.array(silence),
  channels: z
    .array(
      z.object({
        name: z.string(),
        at: isoTime.describe('When it was used last.'),
        outcome: z.string().describe('What became of that.'),
        trouble: z.object({ since: isoTime, why: z.string() }).nullable(),
      }),
    )
    .describe('How people are told; empty for a client of some mailboxes and partners alone.'),
  lookedAt: isoTime.nullable().describe('When the rules were looked at last.'),
});

export const alertChanges = z.object({
  changes: z.array(alertChange).describe('Oldest first.'),
  cursor: z.string().describe('Place to go on from, in after.'),
  more: z.boolean().describe('There are further ones already.'),
  missed: z.boolean().describe('Changes after that place may be gone: the last 2,000 are kept.'),
});

export const changesQuery = z.strictObject({
  after: z
    .string()
    .regex(/^\d{1,16}-\d{1,16}$/, 'is not the place of a change')
    .describe('Changes after that one. Default: all that are kept.')
    .optional(),
});

export const silenceBody = z.strictObject({
  ...match,
  for: line(20).describe('How long, such as 4h or 2d; at most 90d.').optional(),
  until: line(40).describe('Until when, in place of for: a time with its zone (RFC 3339).').optional(),
  why: line(500).min(1).describe('The reason, for the audit trail.'),
});

export const silenceParams = z.object({
  id: z.string().regex(/^[\w-]{1,64}$/, 'is not the id of a silence'),
});
export const tested = z.object({ id: z.string().describe('Place of the test among the changes.') });
