import { z } from 'zod';
import { duration } from './units.ts';

/**
 * The header fields signed by default: those of RFC 6376 section 5.4.1 that our mail may have, and that no server on
 * the way may add.
 */
const signedFields = [
  ...['from', 'sender', 'reply-to', 'to', 'cc', 'subject', 'date', 'message-id', 'in-reply-to', 'references'],
  ...['mime-version', 'content-type', 'content-transfer-encoding'],
];

/** RFC 1035 section 2.3.4. */
const longestLabel = 63;

/** Keys that sign mail to partners. */
export function dkimSettings({ path }: { path: () => z.ZodString }) {
  return z
    .array(
      z.strictObject({
        domain: z
          .string()
          .describe(
            'Domain that signs. Mail is signed if its From is in this domain or below it; of several, the nearest one signs.',
          ),
        selector: z
          .string()
          .regex(
            /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i,
            'is not a selector: write letters, digits and hyphens, such as s2026',
          )
          .refine((selector) => selector.split('.').every((label) => label.length <= longestLabel), {
            error: `has a part of more than ${longestLabel} characters between its dots`,
          })
          .describe(
            'Name of the key in DNS: SELECTOR._domainkey.DOMAIN. With two entries for a domain, one with an RSA key and one with an Ed25519 key, mail gets two signatures.',
          ),
        key: path().describe('Private key in PEM or DER, not encrypted: RSA (2048 bits or more) or Ed25519.'),
        headers: z
          .array(z.string())
          .default(signedFields)
          .describe('Names of the header fields that are signed; From must be one of them.'),
        oversign: z
          .boolean()
          .default(true)
          .describe('Also sign that there are no further fields with these names.'),
        expires: duration('1d')
          .optional()
          .describe(
            'How long a signature is valid. Servers on the way may hold mail for days. Without this, a signature does not expire.',
          ),
      }),
    )
    .default([])
    .describe('DKIM: keys that sign mail to partners, for the domain of its From.');
}
