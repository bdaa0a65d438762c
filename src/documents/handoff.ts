/** What a webhook and a queue get of a message. */
import { z } from 'zod';
import { verdictSchema } from '../smime/verdict/verdict-schema.ts';
import { base64, envelope, isoTime, messageId, octets, origin, partnerBy, sha256 } from './fields.ts';

const address = z.strictObject({ name: z.string(), address: z.string() });

const part = z.strictObject({
  number: z.number().int().min(1).describe('counts the leaf parts in order'),
  contentType: z.string().describe('such as text/xml, in lower case'),
  charset: z.string(),
  fileName: z.string().describe('safe as a file name on every system'),
  originalFileName: z.string().describe('as the sender wrote it: for display, never to open'),
  contentId: z.string(),
  description: z.string(),
  transferEncoding: z.string(),
  disposition: z.string(),
  location: z.string(),
  octets: octets.describe('decoded'),
  sha256,
  text: z
    .string()
    .optional()
    .describe('of a text part, in Unicode; absent if the content is not in the document'),
  content: z
    .strictObject({ encoding: z.literal('base64'), data: base64 })
    .optional()
    .describe('of another part; absent if the content is not in the document'),
});

const byUrl = { url: z.url(), expires: isoTime };
const inline = { encoding: z.literal('base64'), data: base64 };
const piece = {
  path: z.string().describe("as in the verdict's pieces, such as 1.2"),
  contentType: z.string().nullable(),
  octets,
  sha256,
};

export const handoffDocument = z
  .strictObject({
    id: messageId,
    idempotencyKey: z
      .string()
      .describe('the same for every attempt to deliver this message to this destination, and for no other'),
    again: z
      .number()
      .int()
      .optional()
      .describe('how often a person had the message decoded again after a hand-off'),
    mailbox: z.string(),
    partner: z.string().nullable(),
    partnerBy,
    destination: z.string(),
    receivedAt: isoTime,
    envelope,
    origin,
    headers: z.strictObject({
      subject: z.string().nullable(),
      from: z.array(address),
      sender: address.nullable(),
      to: z.array(address),
      cc: z.array(address),
      replyTo: z.array(address),
      messageId: z.string().nullable(),
      inReplyTo: z.string().nullable(),
      date: isoTime.nullable(),
    }),
    verdict: verdictSchema,
    body: z.number().int().nullable().describe('number of the body part in parts; null if there is no part'),
    parts: z.array(part),
    content: z
      .strictObject({ octets, sha256 })
      .describe('size and digest of the decoded content, which the verdict is about'),
    message: z
      .union([z.strictObject({ octets, ...inline }), z.strictObject({ octets, ...byUrl })])
      .describe('the complete message (RFC 5322), or where to fetch it'),
    pieces: z
      .array(z.union([z.strictObject({ ...piece, ...inline }), z.strictObject({ ...piece, ...byUrl })]))
      .describe('the decoded content of S/MIME parts below the message'),
  })
  .describe('What a webhook or queue gets of a message');
export type HandoffDocument = z.infer<typeof handoffDocument>;

/** What a webhook gets from `sealpost check --online`, with the header `Sealpost-Test: true`. */
export const testDocument = z.looseObject({
  test: z.literal(true),
  idempotencyKey: z.string(),
  about: z.string(),
});
export type TestDocument = z.infer<typeof testDocument>;
