/**
 * X.509: certificates (RFC 5280), path validation, revocation by lists and OCSP, our own keys and PKCS#12. It asks
 * nobody and has no clock: times, anchors and everything fetched are arguments. It knows nothing about messages. Begin
 * with `certificate.ts`, then `path.ts`. What a certificate may be used for is decided in `certificate-use.ts` alone.
 */
export { Certificate, parseCertificate, unreadableAddress } from './certificate.ts';
export { readCertificates } from './certificate-file.ts';
export { describeValidity, keyKindOf, nameOf, unusableFor, useFault, validityAt } from './certificate-use.ts';
export { Crl, type CrlEntry, parseCrl } from './crl.ts';
export type { BasicConstraints, Extension, KeyUsage } from './extensions.ts';
export type { FetchFailure, FetchKind, RevocationFetcher } from './fetching.ts';
export { type GeneralName, normalizeEmail, readGeneralNames } from './general-name.ts';
export { createIdentity, type Identity } from './identity.ts';
export { hasSigned, isSelfSigned } from './issuance.ts';
export { type IssuerOptions, IssuerSearch, issuerAddresses } from './issuer-search.ts';
export { issuerWord, keyIdentifiersOf, keyIdentifierWord, withoutZeros, wordsOf } from './lookup.ts';
export { nameToString, readName } from './name.ts';
export { encodeOcspRequest, type OcspResponse, parseOcspResponse } from './ocsp.ts';
export { validatePath } from './path.ts';
export {
  type PathLimits,
  type PathOptions,
  type PathReason,
  type PathResult,
  type PathWeakness,
  pathReasons,
  pathWeaknesses,
  type RevocationStatus,
} from './path-types.ts';
export { cmsLabels } from './pem.ts';
export { type PinnedCertificates, pinnedCertificates } from './pinned.ts';
export { isPkcs12, type Pkcs12, readPkcs12 } from './pkcs12.ts';
export { hasPrivateKey, keyBelongsTo, readPrivateKey } from './private-key.ts';
export { type PssParameters, readMgf1, readPssParameters } from './pss-parameters.ts';
export {
  inheritsParameters,
  type KeyTraits,
  keyDigest,
  keyTraits,
  oversized,
  type PublicKeyInfo,
  sameKey,
} from './public-key.ts';
export { type RevocationOptions, validateWithRevocation } from './revocation.ts';
export { RevocationCache, shortestAge } from './revocation-cache.ts';
export { signatureText } from './signature.ts';
export { sizeWeakness } from './signature-check.ts';
export { type Coverage, coverageOfSpans, dayText, endedOfSpans, spanOf, type Term } from './span.ts';
export {
  coverageOf,
  describeTerm,
  type Employed,
  endedOf,
  isInForce,
  type Use,
  unfitFor,
  validityOf,
  whyNotInForce,
} from './term.ts';
