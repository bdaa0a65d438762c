/** What inbound mail must satisfy: requirements, and the rules that mailboxes and partners share. */
import { z } from 'zod';
import { contentCiphers } from '../cms/algorithms.ts';
import { digests, type SignatureScheme } from '../pki/algorithms.ts';
import { duration } from './units.ts';

export const policyRequirements = [
  'encrypted',
  'signed',
  'trusted',
  'bound',
  'aead',
  'strong',
  'header-protection',
] as const;

const schemes = [
  'rsa',
  'rsa-pss',
  'dsa',
  'ecdsa',
  'eddsa',
  'ml-dsa',
] as const satisfies readonly SignatureScheme[];

/** How the content key may reach a recipient, as `ruleFacts` reads it from the verdict. */
const keyEncryptions = ['rsa-pkcs1', 'rsa-oaep', 'key-agreement', 'kem', 'kek', 'password'] as const;

const names = (list: readonly { name: string }[]) => list.map(({ name }) => name);

const bits = (least: number, most: number) => z.number().int().min(least).max(most).optional();

/** One of these is required. If absent, anything is allowed. */
const allowed = <const Names extends readonly string[]>(list: Names) =>
  z.array(z.enum(list)).min(1).optional();

const signing = z
  .strictObject({
    minimumRsaBits: bits(1024, 16384).describe('Minimum RSA or DSA key size of each signer.'),
    minimumCurveBits: bits(160, 521).describe('Minimum curve size of each signer.'),
    digests: allowed(names(digests)).describe('Digests that a signature may use. Default: any.'),
    schemes: allowed(schemes).describe(
      'Signature schemes. rsa is PKCS#1 v1.5, rsa-pss is RSASSA-PSS. Default: any.',
    ),
  })
  .optional()
  .describe('What each signature must use.');

const encryption = z
  .strictObject({
    minimumRsaBits: bits(1024, 16384).describe(
      'Minimum RSA or Diffie-Hellman size of your key that the message is encrypted for.',
    ),
    minimumCurveBits: bits(160, 521).describe('Minimum curve size of that key.'),
    ciphers: allowed(names(contentCiphers)).describe('Content ciphers. Default: any.'),
    keyEncryption: allowed(keyEncryptions).describe(
      'How the content key may be encrypted for you. rsa-pkcs1 is PKCS#1 v1.5, key-agreement is Diffie-Hellman and ECDH. Default: any.',
    ),
  })
  .optional()
  .describe('What each encryption layer must use.');

const signingTime = z
  .strictObject({
    maxAge: duration('1m').describe(
      'How old the signing time of each valid signature may be when the message arrives. A signature without a signing time falls short.',
    ),
    maxFuture: duration()
      .prefault('10m')
      .describe('How far it may be in the future, for clocks that differ from yours.'),
  })
  .optional()
  .describe('When the message was signed, as the signer claims.');

const duplicates = z
  .strictObject({
    by: z
      .enum(['message-id', 'content', 'both'])
      .default('both')
      .describe(
        'What makes two messages of one partner the same: the Message-ID field, the decoded content (SHA-256), or both together. A message without a Message-ID goes by its content.',
      ),
    within: duration('1m').prefault('30d').describe('How long a message is remembered.'),
    action: z
      .enum(['accept', 'flag', 'suspend', 'refuse'])
      .default('flag')
      .describe(
        'accept: nothing is compared. flag: the message is handed off, and its verdict says so (policy.shortfalls). suspend, refuse: as in shortfall.',
      ),
  })
  .optional()
  .describe(
    'Messages that a partner sends again, perhaps encrypted anew. Only messages of the same partner are compared, and one whose partner is proven by a signature only with others of that kind. Messages that were not accepted do not count.',
  );

const attachments = z
  .strictObject({
    minimum: z.number().int().min(0).optional().describe('Minimum number of attachments.'),
    maximum: z.number().int().min(0).optional().describe('Maximum number of attachments.'),
    types: z
      .array(z.string().regex(/^[a-z0-9!#$&^_.+-]+\/(?:\*|[a-z0-9!#$&^_.+-]+)$/i, 'is not a content type'))
      .min(1)
      .optional()
      .describe('Content types that an attachment may have, such as application/octet-stream or text/*.'),
    names: z
      .array(z.string().min(1).max(200))
      .min(1)
      .optional()
      .describe(
        'Each file name must match one of these patterns: * stands for any characters, ? for one character, # for a digit. Case matters.',
      ),
    subjectIsName: z
      .boolean()
      .default(false)
      .describe('The subject must be the file name of the only attachment, as EDI@Energy requires.'),
  })
  .optional()
  .describe(
    'Parts with a file name or with Content-Disposition: attachment, and all others that are not text. A message that was only forwarded counts as one.',
  );

export const policySettings = (whose: string) =>
  z
    .strictObject({
      require: z
        .array(z.enum(policyRequirements))
        .default([])
        .describe(
          'encrypted: it came encrypted. signed: all signatures are valid. trusted: the signers are trusted, too. bound: the certificate that signed is that of the partner in From. aead: each encryption layer uses an authenticated cipher. strong: no weak algorithms, and no keys below the sizes in strong. header-protection: the header is protected by RFC 9788, or by a message/rfc822 inside.',
        ),
      signing,
      encryption,
      signingTime,
      duplicates,
      attachments,
      shortfall: z
        .enum(['pass', 'suspend', 'refuse'])
        .default('suspend')
        .describe(
          'What to do with a message that falls short of these rules. pass: it is handed off, and its verdict lists what it lacks (policy.shortfalls). suspend: it waits for a person. refuse: it ends, and the partner is told what was wrong and how to fix it; if the partner cannot be told (see partners[].explain), the message is suspended.',
        ),
    })
    .optional()
    .describe(whose);

export const explainSettings = () =>
  z
    .strictObject({
      to: z
        .string()
        .describe('Address that explanations go to. It must be one of the addresses of the partner.'),
      perDay: z
        .number()
        .int()
        .min(1)
        .max(1000)
        .default(10)
        .describe('Maximum number of explanations in 24 hours. Messages refused beyond that are suspended.'),
    })
    .optional()
    .describe(
      "Tells the partner by mail why a message was refused (policy.shortfall: refuse). Only messages that the partner's certificate signed are explained. Without it, nobody is told.",
    );

export type PolicyConfig = NonNullable<z.output<ReturnType<typeof policySettings>>>;

export const mailboxRequire = z
  .array(z.enum(['encrypted', 'signed', 'partner', 'aead', 'strong']))
  .default([])
  .describe(
    'What a message must have; otherwise it is suspended. encrypted: it arrived encrypted. signed: it has a valid signature of a trusted signer; if the partner has certificates, the signer must be the partner. partner: it is from a configured partner, identified by signer or address. aead: each encryption layer uses an authenticated cipher (AES-GCM, AES-CCM, ChaCha20-Poly1305), so that nobody can turn it into CBC. strong: no MD5 or SHA-1, no DES, 3DES, RC2 or CAST5, no keys below the sizes in strong.',
  );

export const unresolved = z
  .enum(['pass', 'suspend', 'drop'])
  .default('pass')
  .describe(
    'What to do with a message that was decoded, but belongs to no partner, judging by the certificate that signed it and by its From field. pass: it is handed off like any other. suspend: it waits for a person (partner-unknown). drop: it ends, its octets are removed, and its record says so (event dropped). If signer, From and Sender do not agree (conflict), both suspend and drop suspend it.',
  );

export const partnerRequire = z
  .array(z.enum(['encrypted', 'signed', 'aead', 'strong']))
  .default([])
  .describe(
    'What messages from this partner must have, in addition to what the mailbox requires. See mailboxes[].require.',
  );

/** What `strong` in `require` demands of keys. */
export const strong = z
  .strictObject({
    minimumRsaBits: z
      .number()
      .int()
      .min(1024)
      .max(16384)
      .default(2048)
      .describe(
        'Minimum RSA, DSA or Diffie-Hellman key size, of the signer and of your key that the message is encrypted for.',
      ),
    minimumCurveBits: z
      .number()
      .int()
      .min(160)
      .max(521)
      .default(224)
      .describe('Minimum curve size of such a key: 256 for P-256 and X25519.'),
  })
  .prefault({})
  .describe(
    'Key sizes for require: [strong]. The signature algorithms and keys of the issuers above a signer are judged too; below 2,048 bits, or 224 bits on a curve, they are not strong.',
  );
