/** What messages must show: the part of the schema that the policy is about. */
import { z } from 'zod';

export const mailboxRequire = z
  .array(z.enum(['encrypted', 'signed', 'partner', 'aead', 'strong']))
  .default([])
  .describe(
    'What the verdict must show; else the message is suspended. encrypted: it came encrypted. signed: a valid signature by a trusted signer, who is the partner where the partner has certificates. partner: from a partner of this file, known by signer or by address. aead: encrypted, and with an authenticating cipher (AES-GCM, AES-CCM, ChaCha20-Poly1305) in each layer, so that nobody can turn it into CBC. strong: no MD5 or SHA-1, no DES, 3DES, RC2 or CAST5, no keys below the sizes of strong.',
  );

export const partnerRequire = z
  .array(z.enum(['encrypted', 'signed', 'aead', 'strong']))
  .default([])
  .describe(
    'What messages that name this partner as their sender must show beside what the mailbox requires; see mailboxes[].require.',
  );

/** What `strong` in `require` asks of keys. */
export const strong = z
  .strictObject({
    minimumRsaBits: z
      .number()
      .int()
      .min(1024)
      .max(16384)
      .default(2048)
      .describe(
        'Smallest RSA, DSA or Diffie-Hellman key of a signer, or of yours that a message is encrypted for.',
      ),
    minimumCurveBits: z
      .number()
      .int()
      .min(160)
      .max(521)
      .default(224)
      .describe('Smallest curve of such a key: 256 for P-256 and X25519.'),
  })
  .prefault({})
  .describe(
    'Sizes of keys that require: [strong] asks for. Signature algorithms and keys of the issuers above a signer are judged too: below 2,048 bits, or 224 on a curve, they are not strong.',
  );
