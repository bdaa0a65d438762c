/** What a certificate is good for, on a day: facts for settings and partner rules, not a judgement of trust. */
import { SealpostError } from '../errors.ts';
import { type Certificate, isSelfSigned, keyFacts } from '../pki/index.ts';

export type CertificateUse = 'encrypt' | 'sign';

/** Own kinds of keys sign, agree or transport (RFC 8551 sections 2.2 and 2.3). */
const signing = new Set(['rsa', 'rsa-pss', 'dsa', 'ec', 'ed25519', 'ed448']);
const encrypting = new Set(['rsa', 'rsaes-oaep', 'ec', 'dh', 'x25519', 'x448']);

function keyType(certificate: Certificate): string {
  // A DSA key may leave its parameters to the issuer; it can not be loaded alone. Keys with X9.42 parameters have no
  // name in node:crypto.
  const { family, onlyFor } = keyFacts(certificate.publicKeyInfo);
  if (family === 'dsa' || family === 'dh') return family;
  // The numbers are an ordinary key's, its certificate allows OAEP alone (RFC 4055 section 4.1).
  if (onlyFor === 'encrypt') return 'rsaes-oaep';
  return certificate.publicKey.asymmetricKeyType ?? 'unknown';
}

/**
 * Why a certificate can not be used to encrypt or to check signatures, by its key and keyUsage (RFC 8550
 * section 4.4.2); undefined when it can. An extended key usage does not count: the operator chose the certificate.
 */
export function unusableFor(certificate: Certificate, use: CertificateUse): string | undefined {
  try {
    const type = keyType(certificate);
    const usage = certificate.keyUsage;
    if (certificate.basicConstraints?.ca === true && !isSelfSigned(certificate))
      return 'is the certificate of a certification authority';
    const known = use === 'sign' ? signing : encrypting;
    if (!known.has(type) && !type.startsWith(use === 'sign' ? 'ml-dsa' : 'ml-kem'))
      return `has a key of type ${type}, which can not ${use}`;
    if (usage === undefined) return undefined;
    if (use === 'sign')
      return usage.has('digitalSignature') || usage.has('nonRepudiation')
        ? undefined
        : 'may not sign (keyUsage has no digitalSignature)';
    const needed = type.startsWith('rsa') || type.startsWith('ml-kem') ? 'keyEncipherment' : 'keyAgreement';
    return usage.has(needed) ? undefined : `may not be encrypted for (keyUsage has no ${needed})`;
  } catch (error) {
    if (error instanceof SealpostError) return error.message;
    throw error;
  }
}

/** Where a day lies to the validity of a certificate. */
export function validityAt(certificate: Certificate, at: Date): 'valid' | 'expired' | 'not-yet-valid' {
  if (at < certificate.notBefore) return 'not-yet-valid';
  return at > certificate.notAfter ? 'expired' : 'valid';
}

const day = (date: Date) => date.toISOString().slice(0, 10);

/** `expired on 2026-01-31`, `is valid from 2027-01-01 on`; undefined when it is valid. */
export function describeValidity(certificate: Certificate, at: Date): string | undefined {
  const state = validityAt(certificate, at);
  if (state === 'valid') return undefined;
  return state === 'expired'
    ? `expired on ${day(certificate.notAfter)}`
    : `is valid from ${day(certificate.notBefore)} on`;
}

/** `CN=Orders, serial 01ab`: enough to find it. */
export const nameOf = ({ subject, serialHex }: Certificate) => `${subject}, serial ${serialHex}`;
