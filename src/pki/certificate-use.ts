/** What a certificate may be used for, and when, judged by the certificate alone. This is not about trust. */
import { oids } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import type { KeyUsage } from './extensions.ts';
import { isSelfSigned } from './issuance.ts';
import { keyTraits } from './public-key.ts';

/** `sign` also covers verifying: it is the same key and the same keyUsage. */
export type CertificateUse = 'encrypt' | 'sign' | 'issue' | 'sign-lists' | 'sign-status';

/** Why a certificate cannot be used; `message` completes "the certificate ...". */
export interface UseFault {
  readonly reason: 'key-type' | 'key-usage';
  readonly message: string;
}

/** What a kind of key can do, by its mathematics and its own algorithm identifier. */
interface KeyKind {
  readonly signs?: true;
  /** The keyUsage that allows encryption for it (RFC 5280 section 4.2.1.3, RFC 8550 section 4.4.2, RFC 9935). */
  readonly encryptsBy?: 'keyEncipherment' | 'keyAgreement';
}

const pureSigner: KeyKind = { signs: true };
const kem: KeyKind = { encryptsBy: 'keyEncipherment' };
const keyAgreement: KeyKind = { encryptsBy: 'keyAgreement' };

/** By node:crypto's names, except for `dh` and `rsaes-oaep` (see `keyKindOf`). */
const keyKinds = new Map<string, KeyKind>([
  ['rsa', { signs: true, encryptsBy: 'keyEncipherment' }],
  ['rsa-pss', pureSigner],
  ['rsaes-oaep', kem],
  ['dsa', pureSigner],
  ['ec', { signs: true, encryptsBy: 'keyAgreement' }],
  ['dh', keyAgreement],
  ['x25519', keyAgreement],
  ['x448', keyAgreement],
  ['ed25519', pureSigner],
  ['ed448', pureSigner],
  ['ml-dsa-44', pureSigner],
  ['ml-dsa-65', pureSigner],
  ['ml-dsa-87', pureSigner],
  ['ml-kem-512', kem],
  ['ml-kem-768', kem],
  ['ml-kem-1024', kem],
]);

/** One of these in keyUsage is enough (RFC 5280 section 4.2.1.3, RFC 8550 section 4.4.2, RFC 6960 section 4.2.2.2). */
const usagesThatAllow = {
  sign: ['digitalSignature', 'nonRepudiation'],
  issue: ['keyCertSign'],
  'sign-lists': ['cRLSign'],
  'sign-status': ['digitalSignature'],
} as const satisfies Partial<Record<CertificateUse, readonly KeyUsage[]>>;

/** The kind of a certificate's key: `rsa`, `rsa-pss`, `rsaes-oaep`, `dsa`, `dh`, `ec`, `x25519`, `ml-kem-768` ... */
export function keyKindOf(certificate: Certificate): string {
  // A DSA key may inherit its parameters from the issuer, and then cannot be loaded alone. Keys with X9.42 parameters
  // have no name in node:crypto.
  const { family, onlyFor, isPlain } = keyTraits(certificate.publicKeyInfo);
  if (family === 'dsa' || family === 'dh') return family;
  // an ordinary key, but its certificate allows only OAEP (RFC 4055 section 4.1)
  if (onlyFor === 'encrypt') return 'rsaes-oaep';
  // Nearly every key is of this kind, and loading it in OpenSSL takes longer than reading the rest of the certificate.
  if (isPlain) return 'rsa';
  return certificate.publicKey.asymmetricKeyType ?? 'unknown';
}

/**
 * Why key or keyUsage forbid a use; undefined if they allow it. Without keyUsage, a certificate may be used for
 * whatever its key can do. This is the only place that interprets keyUsage: settings, partners, path validation,
 * encoder and revocation use it.
 *
 * @throws {SealpostError} for a key that cannot be read
 */
export function useFault(certificate: Certificate, use: CertificateUse): UseFault | undefined {
  const usage = certificate.keyUsage;
  if (use === 'encrypt') {
    const kind = keyKindOf(certificate);
    const needed = keyKinds.get(kind)?.encryptsBy;
    if (needed === undefined) return keyType(kind, 'encrypt');
    return usage?.has(needed) === false ? keyUsage(usage, 'be encrypted for', [needed]) : undefined;
  }
  if (use === 'sign') {
    const kind = keyKindOf(certificate);
    if (keyKinds.get(kind)?.signs !== true) return keyType(kind, 'sign');
  }
  const needed = usagesThatAllow[use];
  if (usage === undefined || needed.some((each) => usage.has(each))) return undefined;
  return keyUsage(usage, words[use], needed);
}

const words = {
  sign: 'sign',
  issue: 'issue certificates',
  'sign-lists': 'sign revocation lists',
  'sign-status': 'sign OCSP answers',
};

const keyType = (kind: string, use: string): UseFault => ({
  reason: 'key-type',
  message: `has a key of type ${kind}, which cannot ${use}`,
});

function keyUsage(usage: ReadonlySet<KeyUsage>, use: string, needed: readonly KeyUsage[]): UseFault {
  const has = [...usage].join(', ') || 'empty';
  return {
    reason: 'key-usage',
    message: `may not ${use} (keyUsage is ${has}, without ${needed.join(' or ')})`,
  };
}

/** Whether extKeyUsage, if present, allows mail protection (RFC 8550 section 4.4.4). */
export function isForMail({ extendedKeyUsage }: Certificate): boolean {
  return (
    extendedKeyUsage === undefined ||
    extendedKeyUsage.includes(oids.emailProtection) ||
    extendedKeyUsage.includes(oids.anyExtendedKeyUsage)
  );
}

/**
 * Why a certificate that the operator chose cannot be used to encrypt or to verify signatures; undefined if it can.
 * Extended key usage is ignored, because the operator chose the certificate.
 */
export function unusableFor(certificate: Certificate, use: 'encrypt' | 'sign'): string | undefined {
  try {
    if (certificate.basicConstraints?.ca === true && !isSelfSigned(certificate))
      return 'is the certificate of a certification authority';
    return useFault(certificate, use)?.message;
  } catch (error) {
    if (error instanceof SealpostError) return error.message;
    throw error;
  }
}

/**
 * Whether a time is before, within or after the validity of a certificate, which includes both ends (RFC 5280 section
 * 4.1.2.5).
 */
export function validityAt(certificate: Certificate, at: Date): 'valid' | 'expired' | 'not-yet-valid' {
  if (at < certificate.notBefore) return 'not-yet-valid';
  return at > certificate.notAfter ? 'expired' : 'valid';
}

const day = (date: Date) => date.toISOString().slice(0, 10);

/** `expired on 2026-01-31`, `is valid from 2027-01-01 on`; undefined if it is valid. */
export function describeValidity(certificate: Certificate, at: Date): string | undefined {
  const state = validityAt(certificate, at);
  if (state === 'valid') return undefined;
  return state === 'expired'
    ? `expired on ${day(certificate.notAfter)}`
    : `is valid from ${day(certificate.notBefore)} on`;
}

/** `CN=Orders, serial 01ab`: enough to find it. */
export const nameOf = ({ subject, serialHex }: Certificate) => `${subject}, serial ${serialHex}`;
