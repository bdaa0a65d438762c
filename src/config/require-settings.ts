/** Requirements for messages: the part of the schema for the policy. */
import { z } from 'zod';

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
    'What becomes of a message that could be decoded and that no partner is found for, neither by the certificate that signed it nor by its From field. pass: it is handed off like any other. suspend: it waits for a person (partner-unknown). drop: it ends, its octets are removed, and its record says so (event dropped). If signer, From and Sender do not agree (conflict), suspend and drop both suspend it.',
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
