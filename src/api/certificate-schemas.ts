/** Schemas of requests and answers about certificates. */
import { z } from 'zod';
import { certificateStates, certificateUses, storedUses } from '../certstore/words.ts';
import { certificateCursor } from './certificate-pages.ts';

const line = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, 'has a control character');
const isoTime = z.iso.datetime();
const why = line(500).describe('The reason, for the certificate and the audit trail.');

export const certificateParams = z.object({
  id: z
    .string()
    .regex(/^[0-9a-f]{16,64}$/, 'is not an id of a certificate')
    .describe('The id, or the SHA-256 in hex.'),
});

export const certificateQuery = z.strictObject({
  partner: line(63).describe('Only certificates of that partner.').optional(),
  use: z.enum(certificateUses).describe('Only certificates for that use.').optional(),
  state: z.enum(certificateStates).describe('Only certificates in that state.').optional(),
  expiring: z
    .string()
    .regex(/^\d{1,5}$/, 'is not a number of days')
    .describe('Only certificates that end within so many days.')
    .optional(),
  attention: z
    .string()
    .regex(/^\d{1,5}$/, 'is not a number of days')
    .describe('Only certificates that wait for approval, which come first, or end within so many days.')
    .optional(),
  serial: line(200).describe('Only certificates with that serial number, in hex or decimal.').optional(),
  limit: z
    .string()
    .regex(/^(?:[1-9]\d?|1\d\d|200)$/, 'is not a number from 1 to 200')
    .describe('Maximum number of certificates in the answer; default 200.')
    .optional(),
  cursor: z
    .string()
    .regex(certificateCursor, 'is not a cursor of a page')
    .describe('Continues after the page that returned it.')
    .optional(),
});

export const certificateInfo = z.object({
  id: z.string().describe('The beginning of the SHA-256: a name for people.'),
  partner: z.string().nullable().describe('Whose it is; null for one of our own.'),
  identity: z.string().nullable().describe('The identity that it belongs to, if it is our own.'),
  uses: z.array(z.enum(certificateUses)),
  state: z.enum(certificateStates).describe('waiting: for approval; it is used for nothing.'),
  reason: z.string().nullable().describe('Why it is not in force.'),
  subject: z.string().nullable(),
  issuer: z.string().nullable(),
  emails: z.array(z.string()),
  serialNumber: z.string().describe('As OpenSSL prints it.'),
  serialNumberWindows: z.string().describe('As Windows prints it.'),
  sha1: z.string(),
  sha256: z.string(),
  key: z.string(),
  notBefore: isoTime,
  notAfter: isoTime,
  from: isoTime.nullable().describe('It is not used before that time.'),
  until: isoTime.nullable().describe('It is not used from that time on.'),
  source: z.string().describe('configuration, traffic, operator, ldap, dns or folder.'),
  firstSeen: isoTime.nullable().describe('In traffic.'),
  lastSeen: isoTime.nullable(),
  revocation: z
    .object({ status: z.enum(['good', 'revoked', 'unknown']), why: z.string(), at: isoTime })
    .nullable()
    .describe('What its authority said last, and when it was asked.'),
  version: z.number().int().nullable().describe('To be named when something is decided about it.'),
  findings: z.array(z.string()).describe('What a comparison with those before found.'),
  rule: z
    .object({ name: z.string(), due: isoTime })
    .nullable()
    .describe('The rule that approves it, and when.'),
  decided: z.object({ by: z.string(), at: isoTime, why: z.string() }).nullable(),
});
export const certificateDetail = z.object({ ...certificateInfo.shape, pem: z.string() });
export const certificateList = z.object({
  certificates: z.array(certificateInfo),
  cursor: z.string().nullable().describe('Leads to the next page; null at the end.'),
});

const changes = {
  uses: z.array(z.enum(storedUses)).min(1).describe('Default: what the certificate allows.').optional(),
  from: line(40).describe('Not before that time (RFC 3339).').optional(),
  until: line(40).describe('Not from that time on (RFC 3339).').optional(),
};
export const approveBody = z.strictObject({
  sha256: line(100).describe('SHA-256 of the certificate that was compared.'),
  version: z.number().int().describe('Its version then.'),
  ...changes,
  why: why.optional(),
});
export const rejectBody = z.strictObject({ why: why.optional() });
export const revokeBody = z.strictObject({ why: why.min(1) });
export const pinBody = z.strictObject({
  partner: line(63).min(1).describe('Whose it is.'),
  pem: z.string().max(100_000).describe('The certificate in PEM.'),
  ...changes,
  why: why.optional(),
});
export type CertificateChanges = { [Name in keyof typeof changes]?: z.output<(typeof changes)[Name]> };
