/**
 * Fields that several documents have. Times are ISO 8601 in UTC. Code that makes the documents imports only the types,
 * so it loads nothing of this.
 */
import { z } from 'zod';

export const isoTime = z.iso.datetime();

export const messageId = z
  .string()
  .regex(/^[A-Za-z0-9]{1,64}$/, 'is not an id')
  .describe('Id of a message.');

export const direction = z.enum(['inbound', 'outbound']);

export const partnerBy = z
  .enum(['signature', 'address', 'conflict'])
  .nullable()
  .describe(
    'Inbound: how the partner was resolved. signature: a certificate of the partner signed. address: the From field says so, as anyone can write. conflict: signer and fields do not agree. null: no partner is concerned.',
  );

/** Facts of an event: no content and no secrets. */
export const facts = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())]),
);

export const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe('SHA-256 in hex');

export const octets = z.number().int().min(0);

export const envelope = z
  .strictObject({
    from: z.string().describe('"" for the null sender'),
    to: z.array(z.string()),
    dsn: z
      .strictObject({
        ret: z.enum(['FULL', 'HDRS']).optional(),
        envid: z.string().optional(),
        recipients: z
          .record(
            z.string(),
            z.strictObject({ notify: z.array(z.string()).optional(), orcpt: z.string().optional() }),
          )
          .optional(),
      })
      .optional()
      .describe('delivery status notifications as the sender asked for them (RFC 3461)'),
  })
  .describe('envelope of the mail as it came');

export const origin = z
  .strictObject({
    kind: z.enum(['smtp', 'imap', 'command', 'api', 'submission', 'folder', 'queue', 'daemon']),
    detail: z.record(z.string(), z.union([z.string(), z.number()])),
  })
  .describe('where the message came from');

export const base64 = z.base64().describe('octets in base64');
