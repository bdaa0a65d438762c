/** Events of messages, as the webhook of `events` and the HTTP API send them. */
import { z } from 'zod';
import { direction, facts, isoTime, messageId, partnerBy } from './fields.ts';

/** What an event says about its message. */
export const eventMessage = {
  id: messageId,
  direction,
  mailbox: z.string().nullable().describe('Which mailbox it came for; null for an outbound message.'),
  partner: z.string().nullable().describe('Whom it is for, or who sent it as far as known.'),
  partnerBy,
  client: z.string().nullable().describe('Who submitted it.'),
  metadata: z.record(z.string(), z.string()).describe('As it was submitted.'),
};

export const messageEvent = z
  .object({
    id: z.string().describe('Place in the stream, in a form that tells nothing else: the same each time.'),
    type: z
      .string()
      .describe('received, decoded, handed-off, delivered, queued, sent, retried, suspended ...'),
    at: isoTime,
    message: z.object(eventMessage),
    facts,
  })
  .describe('Something that happened to a message.');
export type MessageEvent = z.infer<typeof messageEvent>;

/** The body that the webhook of `events` posts. */
export const eventsDocument = z
  .strictObject({
    events: z.array(messageEvent).describe('oldest first'),
    missed: z.boolean().describe('events before these may be gone'),
  })
  .describe('Events, as the webhook of `events` posts them');
export type EventsDocument = z.infer<typeof eventsDocument>;
