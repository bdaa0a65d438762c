/**
 * Schemas of answers about the installation as a whole: what happens, what is waiting, and the state of mailboxes and
 * routes.
 */
import { z } from 'zod';
import { line } from './schemas.ts';

const isoTime = z.iso.datetime();
const whyText = line(500).describe('The reason, for the audit trail.').optional();

export const overviewQuery = z.strictObject({
  hours: z
    .string()
    .regex(/^(?:[1-9]|[1-9]\d|1[0-8]\d|19[0-2])$/, 'is not a number from 1 to 192')
    .describe('How many hours back; default 24.')
    .optional(),
});

const waiting = z.object({
  messages: z.number().int(),
  oldest: isoTime.nullable().describe('When the oldest of them was accepted; null without one.'),
});
const latency = z
  .object({
    messages: z.number().int(),
    p50: z.number().describe('Milliseconds.'),
    p90: z.number(),
    p99: z.number(),
  })
  .nullable()
  .describe(
    'From acceptance to hand-off or sending, time in suspension included: so many of a hundred took at most so long. null without a message.',
  );

export const overview = z.object({
  at: isoTime,
  whole: z
    .boolean()
    .describe(
      'False for a client of some mailboxes or partners: what is counted for all alike is null then.',
    ),
  waiting: z
    .object({
      received: waiting.describe('Inbound, not decoded yet.'),
      decoded: waiting.describe('Inbound, not handed off everywhere yet.'),
      queued: waiting.describe('Outbound, not sent yet.'),
      suspended: waiting.describe('Waits for a person.'),
    })
    .nullable(),
  flow: z
    .array(
      z.object({
        from: isoTime.describe('Begin of ten minutes.'),
        received: z.number().int().describe('Inbound, accepted.'),
        delivered: z.number().int().describe('Inbound, handed off to every destination.'),
        queued: z.number().int().describe('Outbound, accepted from programs.'),
        sent: z.number().int(),
        suspendedInbound: z.number().int(),
        suspendedOutbound: z.number().int(),
      }),
    )
    .nullable(),
  latency: z.object({ inbound: latency, outbound: latency }).nullable(),
});

export const suspendedGroup = z.object({
  reason: z.string(),
  direction: z.enum(['inbound', 'outbound']),
  mailbox: z.string().nullable(),
  partner: z.string().nullable(),
  day: z.string().describe('When they were received, in UTC.'),
  messages: z.number().int(),
  oldest: isoTime,
  newest: isoTime,
});
export const suspendedList = z.object({
  groups: z.array(suspendedGroup),
  more: z.boolean().describe('Only the newest 20,000 suspended messages were looked at.'),
});

const paused = z
  .object({ by: z.string(), at: isoTime, why: z.string() })
  .nullable()
  .describe('Who paused it; null if it is not paused.');

const dialogue = z
  .array(z.string())
  .describe(
    'The last lines of the dialogue with the mail server, > for ours and < for those of the server: no secrets, no content. Empty where there was none.',
  );

export const mailboxInfo = z.object({
  name: z.string(),
  addresses: z.array(z.string()),
  state: z
    .enum(['smtp', 'connecting', 'reading', 'idle', 'full', 'failing', 'paused', 'unknown'])
    .describe(
      'smtp: mail comes over SMTP alone. full: not read because the queue is full. unknown: nobody has read its folder lately.',
    ),
  paused,
  imap: z
    .object({
      host: z.string(),
      user: z.string(),
      folder: z.string(),
      lastPoll: isoTime.nullable().describe('When the folder was last read without an error.'),
      failingSince: isoTime.nullable(),
      lastError: z.object({ code: z.string(), message: z.string() }).nullable(),
      dialogue,
    })
    .nullable()
    .describe('null if it is not fetched.'),
  destinations: z.array(z.string()),
});
export const mailboxList = z.object({ mailboxes: z.array(mailboxInfo) });

export const routesQuery = z.strictObject({
  state: z.enum(['paused', 'failing']).describe('Only routes in that state.').optional(),
  mailbox: line(63).describe('Only destinations of that mailbox.').optional(),
  partner: line(63).describe('Only the way to that partner.').optional(),
  limit: z
    .string()
    .regex(/^(?:[1-9]\d?|1\d\d|200)$/, 'is not a number from 1 to 200')
    .describe('Maximum number of routes in the answer; default 100.')
    .optional(),
  cursor: line(200).describe('Continues after the page that returned it.').optional(),
});

export const routeInfo = z.object({
  kind: z.enum(['partner', 'destination']),
  name: z.string().describe('Of the partner, or MAILBOX/DESTINATION.'),
  mailbox: z.string().nullable(),
  destination: z.string().nullable(),
  partner: z.string().nullable(),
  type: z.string().describe('smtp, lmtp, directory, webhook, queue or s3.'),
  target: z.string().describe("Host, folder or queue; mx for the mail servers of the recipient's domain."),
  state: z.enum(['works', 'failing', 'paused', 'unknown']).describe('unknown: nothing was tried yet.'),
  paused,
  lastSuccess: isoTime.nullable(),
  failingSince: isoTime.nullable().describe('First failure since it last worked; null if it works.'),
  lastFailure: z
    .object({
      at: isoTime,
      code: z.string(),
      down: z.boolean().describe('The other side as a whole did not work, not just for one message.'),
      facts: z.record(
        z.string(),
        z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())]),
      ),
      dialogue,
    })
    .nullable(),
  inLine: z.number().int().describe('Messages that stand in its line.'),
});
export const routeList = z.object({
  routes: z.array(routeInfo),
  cursor: z.string().nullable().describe('Leads to the next page; null at the end.'),
});
export type RouteInfo = z.output<typeof routeInfo>;
export type MailboxInfo = z.output<typeof mailboxInfo>;

export const routeActBody = z.strictObject({ why: whyText });
export const routeActed = z.object({ name: z.string(), paused: z.boolean() });

const name = (what: string) => line(63).min(1).describe(what);
export const mailboxParams = z.object({ mailbox: name('Name of the mailbox.') });
export const partnerParams = z.object({ partner: name('Name of the partner.') });
export const destinationParams = z.object({
  mailbox: name('Name of the mailbox.'),
  destination: name('Name of the destination.'),
});

export const bulkActs = ['resume', 'retry', 'terminate', 'decode-again'] as const;
export type BulkAct = (typeof bulkActs)[number];

/** Filters, the same as for a list. */
export const bulkFilter = {
  direction: z.enum(['inbound', 'outbound']).describe('Only messages of that direction.').optional(),
  reason: line(63).describe('Only messages suspended for that reason.').optional(),
  mailbox: line(63).describe('Only messages of that mailbox.').optional(),
  partner: line(63).describe('Only messages of that partner.').optional(),
  since: line(40).describe('Received at that time or later (RFC 3339).').optional(),
  until: line(40).describe('Received before that time.').optional(),
  cursor: line(80)
    .describe('Goes on behind what an earlier call with the same filter looked through.')
    .optional(),
};
const act = z.enum(bulkActs).describe('What is done.');
export const previewQuery = z.strictObject({ act, ...bulkFilter });
export const preview = z.object({
  messages: z.number().int().describe('How many it would be.'),
  more: z
    .boolean()
    .describe('There may be more: one call acts on 2,000, and looks through a limited number.'),
  cursor: z.string().nullable().describe('Leads on behind what was looked through; null at the end.'),
  ids: z.array(z.string()).describe('The newest twenty.'),
  oldest: isoTime.nullable(),
  until: isoTime.describe('Give it as until, and nothing is touched that came after this.'),
});
export const bulkBody = z.strictObject({
  act,
  ...bulkFilter,
  ids: z.array(line(64)).max(2000).describe('These messages, without a filter.').optional(),
  why: whyText.describe('The reason; terminate needs one.'),
});
export const bulkResult = z.object({
  done: z.array(z.string()).describe('Ids.'),
  failed: z.array(z.object({ id: z.string(), code: z.string(), detail: z.string() })),
  more: z.boolean().describe('There may be more that the filter selects.'),
  cursor: z.string().nullable().describe('Leads on behind what was looked through; null at the end.'),
});
