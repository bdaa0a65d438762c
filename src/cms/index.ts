/**
 * CMS (RFC 5652) and its cryptography: one reader for all content types, which takes BER as it streams in, and one
 * writer for each. It knows certificates and keys, but nothing about mail. Whether a signer is to be trusted is up to
 * pki and the caller. Begin with `cms-reader.ts` and the file of a content type. Recipients are in `recipients/`, and
 * algorithms are rows of `algorithms.ts`.
 */
export type { Attribute } from './attributes.ts';
export { type CertificateIdentifier, describeIdentifier } from './certificate-identifier.ts';
export { CmsReader } from './cms-reader.ts';
export { CompressedDataWriter } from './compressed-data.ts';
export { ContentDigests } from './content-digests.ts';
export { decryptFailed } from './content-key.ts';
export type { CmsHandlers, CmsOptions, DetachedContent } from './content-reader.ts';
export {
  type EnvelopedDataOptions,
  EnvelopedDataWriter,
  encodeEnvelopedData,
  envelopedDataChunks,
} from './enveloped-data-writer.ts';
export type { DecryptionIdentity, DecryptionKeys, KeyEncryptionKey } from './identity.ts';
export { type CmsLimits, defaultLimits } from './limits.ts';
export type { RecipientOptions } from './recipients/index.ts';
export type { RecipientKind, RecipientReport } from './recipients/recipient.ts';
export type * from './report.ts';
export { boundOaep } from './rsa-restrictions.ts';
export {
  encodeDetachedSignature,
  encodeSignedData,
  type SignedDataOptions,
  SignedDataWriter,
  type SignerOptions,
  signedDataChunks,
  signingDigests,
} from './signed-data-writer.ts';
