/** How outbound mail for a partner is signed and encrypted: the part of the schema that presets are about. */
import { z } from 'zod';
import {
  compressions,
  contentEncryptions,
  keyAgreementDigests,
  keyTransports,
  presetNames,
  signatureDigests,
  signatureForms,
  signatureSchemes,
  transferEncodings,
} from '../smime/presets.ts';

/**
 * Settings of a partner. Where one of the preset is absent, the preset counts: `protectionOf`.
 *
 * @param name the type of names of identities
 */
export const protectionSettings = (name: () => z.ZodString) => ({
  preset: z
    .enum(presetNames)
    .default('default')
    .describe(
      'How outbound mail is signed and encrypted, as a whole; the settings from contentEncryption to minimumRsaBits override it one by one, and where they are absent the preset counts. What each preset is stands below, at "Presets".',
    ),
  encrypt: z.boolean().default(true).describe('Encrypt outbound mail.'),
  contentEncryption: z
    .enum(contentEncryptions)
    .optional()
    .describe(
      'Content encryption of outbound mail. GCM, CCM and ChaCha20-Poly1305 make authenticated enveloped data (RFC 5083), which older readers lack. CCM takes messages of up to 16 MiB. DES and RC2 need allowWeak. Default: as the preset has it.',
    ),
  deriveKey: z
    .boolean()
    .optional()
    .describe(
      'Derive the content key from the algorithm identifier too (RFC 9709), so that nobody can have it used with another algorithm. Few readers know it: ask the partner. Default: false.',
    ),
  keyTransport: z
    .enum(keyTransports)
    .optional()
    .describe(
      'How the content key is encrypted for RSA keys: PKCS#1 v1.5, OAEP with that digest, or by-key-size: OAEP with SHA-256 for keys of 4096 bits or more, else PKCS#1 v1.5. Other kinds of keys (Diffie-Hellman, EC, X25519, X448, ML-KEM) have their own way, chosen by the certificate. Default: as the preset has it.',
    ),
  keyAgreementDigest: z
    .enum(keyAgreementDigests)
    .optional()
    .describe(
      'Digest of the key derivation for EC, X25519 and X448 keys. Diffie-Hellman has SHA-1 always (RFC 2631). Default: sha256, for X448 sha512.',
    ),
  encryptToSelf: z
    .boolean()
    .optional()
    .describe('Encrypt outbound mail for the own identity too. Default: as the preset has it.'),
  allowWeak: z.boolean().default(false).describe('Allow DES, RC2 and SHA-1 signatures for outbound mail.'),
  sign: z
    .enum(signatureForms)
    .optional()
    .describe(
      'Signature of outbound mail: inside the CMS object (opaque), as multipart/signed (detached), or none. Default: as the preset has it.',
    ),
  identity: name()
    .optional()
    .describe('Identity that signs. Needed unless sign is none. The kind of its key decides the algorithm.'),
  coSigners: z
    .array(name())
    .default([])
    .describe(
      'Further identities that sign the same content, such as one with a new algorithm beside one that every receiver knows.',
    ),
  encryptionIdentity: name()
    .optional()
    .describe(
      "Identity that the partner is to encrypt answers for, sent along and named in the signature. Default: the signer's, when its certificate may encrypt.",
    ),
  digest: z
    .enum(signatureDigests)
    .optional()
    .describe(
      'Digest of the signature with RSA and ECDSA keys; Ed25519, Ed448 and ML-DSA have their own. sha1 needs allowWeak. Default: as the preset has it.',
    ),
  signatureScheme: z
    .enum(signatureSchemes)
    .optional()
    .describe(
      'RSA signature scheme: PKCS#1 v1.5, PSS, or as-certificate: PSS where the own certificate is itself signed with PSS. Keys that are for PSS only always sign with it. Default: as the preset has it.',
    ),
  addSigningCertificate: z
    .boolean()
    .optional()
    .describe(
      "Send the signer's certificate and its intermediate issuers along. Without them only those verify who have the certificate. Default: true.",
    ),
  algorithmProtection: z
    .boolean()
    .optional()
    .describe(
      'Sign the names of the digest and signature algorithms too (RFC 6211). Readers that do not know the attribute ignore it. Default: false.',
    ),
  compress: z
    .enum(compressions)
    .optional()
    .describe(
      'Compress outbound mail (RFC 3274), below or above the signature. Outlook, Thunderbird, Apple Mail and OpenSSL before 3.5 can not read it. Default: none.',
    ),
  tripleWrap: z
    .boolean()
    .optional()
    .describe(
      'Sign, encrypt, and sign once more (RFC 2634), so that who passes the mail on can check its origin. Only where mail is both signed and encrypted. Default: false.',
    ),
  headerProtection: z
    .boolean()
    .optional()
    .describe(
      'Sign the header fields of the mail too (RFC 9788). In encrypted mail the outer Subject becomes "[...]" and Keywords and Comments are not shown outside. Default: false.',
    ),
  legacyDisplay: z
    .boolean()
    .optional()
    .describe(
      'Repeat a Subject that headerProtection hides at the begin of the text (RFC 9788), for mail programs that do not show the protected one. Changes the text; not for EDI. Default: false.',
    ),
  innerTransferEncoding: z
    .enum(transferEncodings)
    .optional()
    .describe(
      'Transfer encoding of CMS objects that lie in others, such as an opaque signature under encryption. binary saves a quarter of the size, but OpenSSL and others read base64 only. What goes out is base64 always, since few servers have BINARYMIME. Default: as the preset has it.',
    ),
  bodyAsAttachment: z
    .boolean()
    .optional()
    .describe(
      'Mark a body that is one part as an attachment; its file name is the name parameter of Content-Type, or a Subject that is a file name. Default: as the preset has it.',
    ),
  minimumRsaBits: z
    .number()
    .int()
    .min(512)
    .max(16384)
    .optional()
    .describe(
      'Outbound mail is suspended when a key of the partner or of a signer is a shorter RSA key. Default: as the preset has it.',
    ),
});
