/** Schemas of requests and answers. The OpenAPI document is made from them. */
import { z } from 'zod';
import { messageEvent } from '../documents/index.ts';
import { messageStates } from '../queue/index.ts';

export { type MessageEvent, messageEvent } from '../documents/index.ts';

const { facts: scalars, message: eventMessage } = messageEvent.shape;
const { id, direction, mailbox, partner: ofPartner, partnerBy, client, metadata: given } = eventMessage.shape;

/** Text of one line, as header fields take it. */
export const line = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, 'has a control character');
const address = line(320).min(3);
const partner = line(63).min(1);
const fileName = line(255)
  .min(1)
  .regex(/^[^/\\]+$/, 'is not a file name without folders');
const time = z.string().max(40).describe('A time with its zone (RFC 3339), such as 2026-12-01T08:00:00Z.');
export const metadata = z
  .record(z.string(), z.string())
  .describe('Up to 20 pairs of your own. They come back with everything that is said of the message.');

const delivery = {
  priority: z.number().int().min(1).max(10).describe('1 leaves first, 10 last; 5 without it.').optional(),
  notBefore: time.describe('The message does not leave before that time.').optional(),
  notAfter: time.describe('A message that has not left by then is suspended (expired).').optional(),
};

export const attachment = z.strictObject({
  filename: fileName.describe('Name of the file, without folders.'),
  contentType: line(255).describe('Media type. Default: by the extension of the name.').optional(),
  content: z.string().meta({ contentEncoding: 'base64', description: 'The octets, in base64.' }),
});

const text = {
  partner: partner.describe('Name of a partner. The mail goes to its first address.').optional(),
  recipients: z
    .array(address)
    .min(1)
    .max(100)
    .describe('Addresses of partners, or, with partner, addresses of that partner.')
    .optional(),
  from: address.describe('Sender. Default: the setting from of the partner.').optional(),
  subject: line(900).describe('Subject of the mail.').optional(),
  text: z.string().describe('Body as plain text.').optional(),
  html: z.string().describe('Body as HTML.').optional(),
  metadata: metadata.optional(),
  ...delivery,
};

/** The part `message` of multipart/form-data. */
export const formMessage = z
  .strictObject(text)
  .describe('A mail whose attachments are the other parts of the form.');
export const jsonMessage = z
  .strictObject({ ...text, attachments: z.array(attachment).max(100).optional() })
  .describe('A mail to one partner, or to recipients of several.');
export type FormMessage = z.output<typeof formMessage>;
export type JsonMessage = z.output<typeof jsonMessage>;

/** The query of a message whose body is the content or the whole mail. */
export const submitQuery = z.strictObject({
  partner: partner.describe('Name of a partner.').optional(),
  recipients: line(32_000).describe('Addresses of partners, separated by commas.').optional(),
  from: address.describe('Sender.').optional(),
  filename: fileName.describe('Name of the file. Content without a name must not be empty.').optional(),
  metadata: z.string().max(16_384).describe('Pairs of your own, as a JSON object.').optional(),
  priority: z
    .string()
    .regex(/^(?:[1-9]|10)$/, 'is not a whole number from 1 to 10')
    .describe('1 leaves first, 10 last; 5 without it.')
    .optional(),
  notBefore: delivery.notBefore,
  notAfter: delivery.notAfter,
});
export type SubmitQuery = z.output<typeof submitQuery>;

export const idempotencyHeader = z.object({
  'Idempotency-Key': z
    .string()
    .describe(
      'The same key with the same request gives the same ids and one mail, for 7 days; with another request it is refused. 1 to 200 printable characters of ASCII.',
    )
    .optional(),
});

export const submitted = z
  .object({
    messages: z
      .array(
        z.object({
          id,
          partner: z.string().describe('Whom it is for.'),
          recipients: z.array(z.string()),
          duplicate: z.boolean().describe('The key was known, with the same request: nothing new was made.'),
        }),
      )
      .describe('One message for each partner.'),
  })
  .describe('The messages are stored durably.');

const isoTime = z.iso.datetime();
const summary = {
  id,
  direction,
  state: z.enum(messageStates),
  reason: z.string().nullable().describe('Why it is suspended: a code of docs/reason-codes.md.'),
  mailbox,
  partner: ofPartner,
  partnerBy,
  client,
  envelope: z.object({ from: z.string(), to: z.array(z.string()) }),
  messageId: z.string().nullable().describe('The Message-ID field.'),
  subject: z
    .string()
    .nullable()
    .describe('Where it is kept (keepSubjects), at most 250 characters; null without the verb content.'),
  octets: z.number().int(),
  sha256: z.string().describe('Of the octets as received or submitted, in hex.'),
  receivedAt: isoTime,
  updatedAt: isoTime,
  metadata: given,
  priority: z.number().int().nullable(),
  notBefore: isoTime.nullable(),
  notAfter: isoTime.nullable(),
};

export const messageSummary = z.object(summary);
export type MessageSummary = z.output<typeof messageSummary>;

export const messageDetail = z.object({
  ...summary,
  origin: z
    .string()
    .describe(
      'How it came: smtp, imap, command, api, submission, folder, queue, or daemon for mail of Sealpost itself.',
    ),
  attempts: z.number().int().describe('Attempts of the current step that failed.'),
  lastError: z
    .object({ code: z.string(), at: isoTime, facts: scalars })
    .nullable()
    .describe('What failed last.'),
  explanations: z
    .array(
      z.object({
        code: z.string().describe('A code of docs/reason-codes.md.'),
        why: z.string().describe('What happened.'),
        next: z.string().describe('What a person should do.'),
      }),
    )
    .describe('Why it stands where it stands; empty if nothing is wrong.'),
  nextAttempt: isoTime
    .nullable()
    .describe('When it is tried next; null if it waits for its turn, or nothing of it is queued.'),
  events: z
    .array(z.object({ type: z.string(), at: isoTime, facts: scalars }))
    .describe('What happened to it, oldest first.'),
});
export type MessageDetail = z.output<typeof messageDetail>;

export const eventsQuery = z.strictObject({
  after: z
    .string()
    .max(200)
    .describe(
      'Events after that place: the cursor of a page, or the id of an event. Default: all that are kept; for a stream, those from now on.',
    )
    .optional(),
  beats: z
    .enum(['events'])
    .describe('Beats of a stream come as events of the name beat, which scripts of browsers see.')
    .optional(),
});
export const eventList = z.object({
  events: z.array(messageEvent).describe('Oldest first.'),
  cursor: z
    .string()
    .describe(
      'Place to go on from, in after. Another text each time, and for this client alone: it says nothing else.',
    ),
  more: z.boolean().describe('There are further ones already, of those that the client may see.'),
  missed: z.boolean().describe('Events after that place may be gone, because only the last 50,000 are kept.'),
});

export const idParams = z.object({ id });

const listed = z.strictObject({
  direction: z.enum(['inbound', 'outbound']).describe('Only messages of that direction.').optional(),
  state: z.enum(messageStates).describe('Only messages in that state.').optional(),
  reason: line(63).describe('Only messages suspended for that reason.').optional(),
  mailbox: line(63).describe('Only messages of that mailbox.').optional(),
  partner: line(63).describe('Only messages of that partner.').optional(),
  messageId: line(998).describe('Only messages with that Message-ID field.').optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, 'is not a SHA-256 in hex')
    .describe('Only messages whose octets have that SHA-256.')
    .optional(),
  address: line(320).describe('Only messages with that address in the envelope, as a whole.').optional(),
  id: z
    .string()
    .regex(/^\w{1,64}$/, 'is not the beginning of an id')
    .describe('Only messages whose id begins so; without any other filter.')
    .optional(),
  since: time.describe('Received at that time or later.').optional(),
  until: time.describe('Received before that time.').optional(),
  cursor: line(100).describe('Continues after the page that returned it.').optional(),
});
const limitText = 'Maximum number of messages in the answer; default 50.';
/** Subjects are content, and do not belong into an address: `searchBody` has them. */
export const listQuery = listed.extend({
  limit: z
    .string()
    .regex(/^(?:[1-9]\d?|1\d\d|200)$/, 'is not a number from 1 to 200')
    .describe(limitText)
    .optional(),
});
export const searchBody = listed.extend({
  subject: line(250)
    .min(1)
    .describe(
      'Only messages whose subject has that in it, where subjects are kept: opened one after the other, page by page. For clients with the verb content.',
    )
    .optional(),
  limit: z.number().int().min(1).max(200).describe(limitText).optional(),
});
/** What selects messages: of a query, whose limit is text, or of a body. */
export type MessageFilter = Omit<z.output<typeof searchBody>, 'limit'> & {
  limit?: string | number | undefined;
};

export const messageList = z.object({
  messages: z.array(messageSummary),
  cursor: z
    .string()
    .nullable()
    .describe('Leads to the next page; null at the end. A page may have fewer messages than asked for.'),
});

export const messageVerdict = z.object({
  verdict: z.record(z.string(), z.unknown()).describe('As docs/verdict.schema.json says.'),
  headersShown: z
    .boolean()
    .describe('False without the verb content: the fields of the header are left out.'),
});

export const actBody = z.strictObject({
  why: line(500).describe('The reason, for ledger and audit trail.').optional(),
});
export const terminateBody = z.strictObject({
  why: line(500).min(1).describe('The reason, for ledger and audit trail.'),
});
export const acted = z.object({ id, state: z.enum(messageStates) });

/** A setting in force. */
export const setting = z.object({
  path: z.string(),
  value: z.string(),
  default: z.string(),
  origin: z.string().nullable().describe('File and line; null for a default.'),
  description: z.string(),
});

export const partnerList = z.object({
  partners: z.array(z.object({ name: z.string(), addresses: z.array(z.string()) })),
});
export const queueList = z.object({
  queues: z
    .array(
      z.object({
        name: z.string().describe('Of the mailbox (inbound) or partner (outbound).'),
        direction: z.enum(['inbound', 'outbound']),
        waiting: z.number().int().describe('Messages that are in progress or wait.'),
        suspended: z.number().int().describe('Messages that wait for a person.'),
      }),
    )
    .describe('One for each mailbox and partner that the client may see.'),
});
