/** How outbound mail for a partner is signed and encrypted: the part of the schema that presets cover. */
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
} from '../smime/encode/presets.ts';

/**
 * Settings of a partner. The preset applies to settings that are absent: see `protectionOf`.
 *
 * @param name the type for names of identities
 */
export const protectionSettings = (name: () => z.ZodString) => ({
  preset: z
    .enum(presetNames)
    .default('default')
    .describe(
      'A complete set of signing and encryption settings for outbound mail. The settings from contentEncryption to minimumRsaBits override it one by one. The presets are listed below, under "Presets".',
    ),
  encrypt: z.boolean().default(true).describe('Encrypt outbound mail.'),
  contentEncryption: z
    .enum(contentEncryptions)
    .optional()
    .describe(
      'Content encryption of outbound mail. GCM, CCM and ChaCha20-Poly1305 produce AuthEnvelopedData (RFC 5083), which older mail programs cannot read. CCM is limited to messages of 16 MiB. DES and RC2 need allowWeak. Default: set by the preset.',
    ),
  deriveKey: z
    .boolean()
    .optional()
    .describe(
      'Derive the content key from the algorithm identifier too (RFC 9709), so that the key cannot be used with another algorithm. Few mail programs support it: ask the partner. Default: false.',
    ),
  negotiate: z
    .boolean()
    .default(false)
    .describe(
      'Use a better cipher than contentEncryption if the partner has said in signed mail that it can read it. Of several, the one that the partner prefers is used. It is never weaker than contentEncryption: it has no fewer bits, and it authenticates if contentEncryption does.',
    ),
  keyTransport: z
    .enum(keyTransports)
    .optional()
    .describe(
      'How the content key is encrypted for RSA keys: PKCS#1 v1.5, OAEP with the given digest, or by-key-size (OAEP with SHA-256 for keys of 4096 bits or more, otherwise PKCS#1 v1.5). For other keys (Diffie-Hellman, EC, X25519, X448, ML-KEM), the certificate determines the method. Default: set by the preset.',
    ),
  keyAgreementDigest: z
    .enum(keyAgreementDigests)
    .optional()
    .describe(
      'Digest of the key derivation for EC, X25519 and X448 keys. Diffie-Hellman always uses SHA-1 (RFC 2631). Default: sha256; for X448, sha512.',
    ),
  encryptToSelf: z
    .boolean()
    .optional()
    .describe('Encrypt outbound mail for your own identity too. Default: set by the preset.'),
  allowWeak: z.boolean().default(false).describe('Allow DES, RC2 and SHA-1 signatures for outbound mail.'),
  sign: z
    .enum(signatureForms)
    .optional()
    .describe(
      'Signature of outbound mail: inside the CMS object (opaque), as multipart/signed (detached), or none. Default: set by the preset.',
    ),
  identity: name()
    .optional()
    .describe(
      'Identity that signs. Required unless sign is none. The type of its key determines the algorithm.',
    ),
  coSigners: z
    .array(name())
    .default([])
    .describe(
      'Further identities that sign the same content, such as one with a new algorithm in addition to one that every recipient supports.',
    ),
  encryptionIdentity: name()
    .optional()
    .describe(
      'Identity for which the partner should encrypt replies. Its certificate is sent along and named in the signature. Default: the signer, if its certificate may be used to encrypt.',
    ),
  digest: z
    .enum(signatureDigests)
    .optional()
    .describe(
      'Digest of signatures with RSA and ECDSA keys. Ed25519, Ed448 and ML-DSA have their own. sha1 needs allowWeak. Default: set by the preset.',
    ),
  signatureScheme: z
    .enum(signatureSchemes)
    .optional()
    .describe(
      'RSA signature scheme: PKCS#1 v1.5, PSS, or as-certificate (PSS if your certificate itself is signed with PSS). PSS-only keys always use PSS. Default: set by the preset.',
    ),
  addSigningCertificate: z
    .boolean()
    .optional()
    .describe(
      "Include the signer's certificate and its intermediate issuers. Without them, only recipients that already have the certificate can verify the signature. Default: true.",
    ),
  algorithmProtection: z
    .boolean()
    .optional()
    .describe(
      'Sign the identifiers of the digest and signature algorithms too (RFC 6211). Mail programs that do not know the attribute ignore it. Default: false.',
    ),
  compress: z
    .enum(compressions)
    .optional()
    .describe(
      'Compress outbound mail (RFC 3274), below or above the signature. Outlook, Thunderbird, Apple Mail and OpenSSL before 3.5 cannot read it. Default: none.',
    ),
  tripleWrap: z
    .boolean()
    .optional()
    .describe(
      'Sign, encrypt, and sign again (RFC 2634), so that a relay can verify the origin of the mail. Only for mail that is both signed and encrypted. Default: false.',
    ),
  headerProtection: z
    .boolean()
    .optional()
    .describe(
      'Sign the header fields of the mail too (RFC 9788). In encrypted mail, the outer Subject becomes "[...]", and Keywords and Comments are hidden. Default: false.',
    ),
  legacyDisplay: z
    .boolean()
    .optional()
    .describe(
      'Repeat a Subject that headerProtection hides at the start of the text (RFC 9788), for mail programs that do not show the protected one. This changes the text, so do not use it for EDI. Default: false.',
    ),
  innerTransferEncoding: z
    .enum(transferEncodings)
    .optional()
    .describe(
      'Transfer encoding of CMS objects inside others, such as an opaque signature inside encryption. binary saves a quarter of the size, but OpenSSL and others read only base64. The outermost object is always base64, because few servers support BINARYMIME. Default: set by the preset.',
    ),
  bodyAsAttachment: z
    .boolean()
    .optional()
    .describe(
      'Mark a single-part body as an attachment. Its file name is the name parameter of Content-Type, or a Subject that is a file name. Default: set by the preset.',
    ),
  minimumRsaBits: z
    .number()
    .int()
    .min(512)
    .max(16384)
    .optional()
    .describe(
      'Suspend outbound mail if an RSA key of the partner or of a signer is shorter than this. Default: set by the preset.',
    ),
});
