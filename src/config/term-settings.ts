/** When a certificate or key is used, and what for. */
import { z } from 'zod';
import { duration } from './units.ts';

/** How a moment is written. */
export const momentPattern = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d))?$/;

/** A calendar day in UTC, or a time with its offset (RFC 3339). The value is in milliseconds since the epoch. */
const moment = () =>
  z
    .string()
    .transform((text, context) => {
      const value = momentOf(text.trim());
      if (value !== undefined) return value;
      context.addIssue({
        code: 'custom',
        message: 'is not a time: write a day such as 2027-01-01, or 2027-01-01T06:00:00+01:00',
      });
      return z.NEVER;
    })
    .meta({ format: 'moment' });

function momentOf(text: string): number | undefined {
  if (!momentPattern.test(text)) return undefined;
  const day = text.slice(0, 10);
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // Date.parse takes 2027-02-30 for 2027-03-02
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(day)) return undefined;
  const value = Date.parse(text);
  return Number.isNaN(value) ? undefined : value;
}

/** From when until when, within the validity of the certificate. */
export const termSettings = (what: string, more = '') => ({
  from: moment()
    .optional()
    .describe(
      `${what} from this moment on: a day (midnight in UTC) or a time with its offset. Default: the beginning of the certificate's validity.`,
    ),
  until: moment()
    .optional()
    .describe(
      `${what} until this moment, which is not included. Default: the end of the certificate's validity.${more}`,
    ),
});

export const partnerUses = ['encrypt', 'verify'] as const;
export const ownUses = ['decrypt', 'sign'] as const;

/** A certificate of a partner: a path, or a group with the path as `file`. The value is always the group. */
export const certificateEntry = (path: () => z.ZodString) =>
  z
    .union([
      z.strictObject({
        file: path().describe('Certificate in PEM or DER. Certificates of its issuers may follow.'),
        use: z
          .array(z.enum(partnerUses))
          .min(1)
          .default([...partnerUses])
          .describe(
            'What the certificate is for: encrypt mail for the partner, verify its signatures. Its key usage must allow it, too.',
          ),
        ...termSettings('The certificate is used'),
        confirmed: z
          .boolean()
          .default(false)
          .describe(
            'The partner has told you that it can read mail encrypted for this certificate. Mail is then no longer encrypted for older ones.',
          ),
      }),
      path(),
    ])
    .meta({ format: 'path' })
    .transform((entry) =>
      typeof entry === 'string' ? { file: entry, use: [...partnerUses], confirmed: false } : entry,
    );

/** Which of several certificates in force mail is encrypted for. */
export const encryptToSetting = () =>
  z
    .enum(['all', 'shown-or-all', 'shown'])
    .default('all')
    .describe(
      'Which of several certificates in force mail is encrypted for. all: for all of them, so that the partner reads it with either key. shown-or-all: for the newest that the partner has shown it can read, by mail signed with the same key or naming the certificate as its preference, and until then for all. shown: the same, but until then for the old one alone; for partners that cannot read mail for two certificates. Write all for a partner that reads mail with several keys side by side. A confirmed certificate replaces older ones in any case.',
    );

/** Whether mail waits until the authorities of a partner's certificates answer. */
export const partnerRevocation = () =>
  z
    .enum(['off', 'soft', 'hard'])
    .optional()
    .describe(
      'Whether to ask the authorities, at trust.revocation.hosts, if a certificate that mail is encrypted for was revoked. soft: mail is not encrypted for a revoked certificate; one of unknown status is used. hard: mail waits until they say that it is not revoked. Only a certificate with an issuer in trust.anchors, trust.intermediates or approval.anchors, or one that trust.aia fetches below them, can be asked about; a self-signed one passes. Default: trust.revocation.mode.',
    );

export const expirySettings = (path: () => z.ZodString) =>
  z
    .strictObject({
      days: z
        .array(z.number().int().min(1).max(3650))
        .min(1)
        .max(20)
        .default([60, 30, 14, 7, 1])
        .describe(
          'Days before the end of a certificate at which the log warns, once for each certificate and number. There is no warning if another certificate follows without a gap.',
        ),
      notice: z
        .strictObject({
          days: z
            .number()
            .int()
            .min(1)
            .max(365)
            .default(30)
            .describe('Days before the next certificate begins to sign at which partners are told.'),
          template: path()
            .optional()
            .describe(
              'File with the text of the mail, its first line beginning with "Subject: ". {partner}, {identity}, {subject}, {serial}, {sha1}, {sha256}, {from} and {until} are filled in. Default: a text in English.',
            ),
        })
        .optional()
        .describe(
          'A signed mail to partners that name addresses for it (partners[].noticesTo), before a certificate of yours changes. It has the next certificate attached, and is sent once to each partner for each change. Without it, no mail is sent.',
        ),
    })
    .prefault({})
    .describe('Warnings of certificates that end: of partners, your own, of authorities and of TLS.');

/** Whom to tell about our own next certificate. */
export const noticesToSetting = () =>
  z
    .array(z.string())
    .max(10)
    .default([])
    .describe(
      'Addresses of the partner that are told before your certificate changes (expiry.notice). They must be among its addresses.',
    );

/** The rules that may approve a certificate. Each is a different kind of continuity. */
export const approvalRules = ['same-key', 'signed-by-old', 'private-anchor'] as const;

const approvalSettings = ({ path }: { path: () => z.ZodString }) =>
  z
    .strictObject({
      rules: z
        .array(z.enum(approvalRules))
        .default([])
        .describe(
          'Rules that approve a new certificate of the partner. same-key: it has the key of a certificate in force, and no other address or usage. signed-by-old: mail signed with a certificate in force named it, under the signature. private-anchor: it leads to one of anchors. All of them require that the certificate has an address of the partner and of nobody else, and that according to the authorities nothing on its path is revoked (trust.revocation.mode: hard).',
        ),
      delay: duration('1h')
        .prefault('3d')
        .describe(
          'How long a certificate waits before a rule approves it. In that time you can reject it: the log and an event of the message say that it waits.',
        ),
      anchors: z
        .array(path())
        .default([])
        .describe(
          "Root certificates of the partner's own authority, for the rule private-anchor. Do not list a public authority: it issues a certificate to anyone who can read mail for the address.",
        ),
    })
    .prefault({})
    .describe(
      'Approval of new certificates that arrive in mail from the partner. Without rules, each waits for sealpost certs approve.',
    );

/** Which certificates prove that mail is from a partner. */
const partnerTrust = ({ path }: { path: () => z.ZodString }) =>
  z
    .strictObject({
      by: z
        .enum(['pins', 'anchors', 'both'])
        .default('both')
        .describe(
          'pins: its certificates with the use verify, and those that were approved. anchors: certificates that lead to an anchor and name an address of the partner; those in certificates are then for encryption alone. both: either.',
        ),
      anchors: z
        .array(path())
        .default([])
        .describe(
          'Root certificates that count for the partner. They must be among trust.anchors or mailboxes[].trust.anchors. Default: all of these.',
        ),
    })
    .optional()
    .describe(
      'Which signatures prove that mail is from the partner. Others count as none of it, so with require: [signed] or policy bound their mail is refused. Default: those of its certificates, and those of any certificate that leads to an anchor and names an address of the partner.',
    );

/** Whose signatures count as the partner's, and how new certificates of it come to count. */
export const signerSettings = (kinds: { path: () => z.ZodString }) => ({
  trust: partnerTrust(kinds),
  approval: approvalSettings(kinds),
});
