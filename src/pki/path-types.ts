import type { KeyObject } from 'node:crypto';
import type { Budget } from '../budget.ts';
import type { Certificate } from './certificate.ts';
import type { Crl } from './crl.ts';
import type { OcspResponse } from './ocsp.ts';
import type { PinnedCertificates } from './pinned.ts';

/** Why a certificate is not trusted. The codes are stable: docs and the verdict's schema are made from this table. */
export const pathReasons = {
  'no-path': 'no chain of certificates leads to a trusted root',
  'self-signed': 'the certificate is self-signed and neither a trusted root nor pinned',
  expired: 'a certificate was past its validity at the time in question',
  'not-yet-valid': 'a certificate was not valid yet at the time in question',
  'signature-invalid': 'the signature of an issuer does not match',
  'algorithm-refused': 'a certificate is signed with an algorithm that is not accepted',
  'algorithm-unsupported': 'a certificate is signed with an unknown algorithm',
  'key-too-small': 'a key is smaller than is accepted',
  'key-too-large': 'a key, or the exponent of an RSA key, is larger than is safe to compute with',
  'not-a-ca': 'a certificate issues others but is not a certification authority',
  'path-length': 'an issuer allows fewer certificates below it',
  'key-usage': 'keyUsage does not allow this use of the key',
  'extended-key-usage': 'extKeyUsage does not allow mail protection',
  'name-constraints': 'an issuer may not certify this name',
  'critical-extension': 'a critical extension is not understood',
  policy: 'the certificate policies do not meet what is required',
  revoked: 'a certificate was revoked',
  'revocation-unknown': 'it could not be determined whether a certificate was revoked',
  'certificate-malformed': 'a certificate cannot be read',
  limit: 'finding the chain would cost more than the limits allow',
} as const;

export type PathReason = keyof typeof pathReasons;

/** What makes a trusted path weaker than it should be. */
export const pathWeaknesses = {
  'md5-signature': 'a certificate is signed with MD5',
  'sha1-signature': 'a certificate is signed with SHA-1',
  'small-key': 'an RSA, DSA or DH key is below 2,048 bits',
  'small-curve': 'a curve is below 224 bits',
  'revocation-unknown': 'it could not be determined whether a certificate was revoked',
} as const;

export type PathWeakness = keyof typeof pathWeaknesses;

export interface PathLimits {
  /** Certificates in a path, including leaf and root. Default 10. */
  maxLength: number;
  /** Certificates considered from a bag. Default 1,000. */
  maxIntermediates: number;
  /** Work for signatures, where one unit is about one check with RSA of 2,048 bits. Default 2,000. */
  maxWork: number;
}

/** Whether certificates signed with a digest are trusted. `weak`: trusted, and marked. */
export type DigestRule = 'weak' | 'refuse';

export interface PathOptions {
  /** Trusted roots. */
  anchors: readonly Certificate[];
  /** Possible intermediate certificates: from the message, the settings, a cache. */
  intermediates?: readonly Certificate[];
  /** Certificates that are trusted for themselves within their validity, without a path. */
  pinned?: readonly Certificate[] | PinnedCertificates;
  /**
   * What the operator has revoked, whatever issuers say; returns the reason. No path leads through such a certificate,
   * and pinning it does not help.
   */
  refused?: { why(certificate: Certificate): string | undefined } | undefined;
  /** The time in question, such as that of signing. */
  at: Date;
  /** What the leaf's key is used for. `any` checks neither keyUsage nor extKeyUsage. */
  purpose: 'sign' | 'encrypt' | 'any';
  limits?: Partial<PathLimits>;
  /** The budget of the message that brought the certificate. Its `work-limit` ends the validation. Default: none. */
  budget?: Budget;
  /** Default `refuse`. */
  md5?: DigestRule;
  /** Default `weak`. */
  sha1?: DigestRule;
  /** Smaller RSA, DSA and DH keys are refused. Default 1,024 bits. Those below 2,048 are weak in any case. */
  minimumKeyBits?: number;
  /** user-initial-policy-set of RFC 5280 section 6.1.1; absent for any policy. */
  policies?: readonly string[];
  /** initial-explicit-policy */
  requireExplicitPolicy?: boolean;
  /** initial-policy-mapping-inhibit */
  inhibitPolicyMapping?: boolean;
  /** initial-any-policy-inhibit */
  inhibitAnyPolicy?: boolean;
  /**
   * `off` (default) ignores revocation. `soft` refuses revoked certificates and marks those of unknown status weak.
   * `hard` refuses these too.
   */
  revocation?: 'off' | 'soft' | 'hard';
  /** Lists in which revocation is looked up. */
  crls?: readonly Crl[];
  /** Answers in which revocation is looked up first. */
  ocsp?: readonly OcspResponse[];
  /**
   * When lists and answers must be in force. Default: `at`. If `at` is the time of signing, this is the present: a
   * certificate that is revoked by now is refused, because the time of signing is only the signer's claim.
   */
  revocationAt?: Date;
}

/** What is known about the revocation of one certificate of a path. */
export interface RevocationStatus {
  certificate: Certificate;
  status: 'good' | 'revoked' | 'unknown';
  /** The time of the list or answer behind it, whose age shows how much the status is worth. */
  thisUpdate?: Date;
  revokedAt?: Date;
  /** CRLReason by name. */
  crlReason?: string;
  source?: 'crl' | 'ocsp';
}

export interface PathResult {
  trusted: boolean;
  reason: PathReason | null;
  /** For the operator: which certificate, and why. */
  message: string;
  /** Leaf first and root last if it is trusted; otherwise the best path found. */
  chain: Certificate[];
  /** Trusted because it is pinned, not through a chain. */
  pinned: boolean;
  weak: PathWeakness[];
  /** Policies under which the path is valid, in the root's terms; anyPolicy for all. */
  policies: string[];
  /** The leaf's key, with inherited DSA parameters filled in; absent if unavailable. */
  publicKey?: KeyObject;
  revocation: RevocationStatus[];
  /** If no path leads to a root: the certificates whose issuer is missing. */
  missing?: readonly Certificate[];
}

/** Milliseconds by which clocks may differ: a list or answer may come from this far in the future. */
export const clockSkew = 5 * 60_000;

/** Ends the validation of one path. The caller then tries the next one. */
export class PathFailure extends Error {
  readonly reason: PathReason;

  constructor(reason: PathReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
