import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { inheritsParameters, keyTraits } from './public-key.ts';
import { signatureScheme, verifySignature } from './signature.ts';

/**
 * Whether the key of one certificate signed another one that names it as its issuer. This says nothing about validity
 * or the right to issue. False too for anything that cannot be read or computed.
 */
export function hasSigned(issuer: Certificate, certificate: Certificate): boolean {
  try {
    const scheme = signatureScheme(certificate.signatureAlgorithm);
    const info = issuer.publicKeyInfo;
    return (
      scheme !== undefined &&
      certificate.issuerName.canonical === issuer.subjectName.canonical &&
      !inheritsParameters(info) &&
      scheme.family === keyTraits(info).family &&
      verifySignature(scheme, certificate.tbs, certificate.signature, issuer.publicKey)
    );
  } catch (error) {
    if (error instanceof SealpostError) return false;
    throw error;
  }
}

const selfSigned = new WeakMap<Certificate, boolean>();

/**
 * Signed with its own key, not merely issued under its own name. Checked once per certificate, because our own ones are
 * asked with every message.
 */
export function isSelfSigned(certificate: Certificate): boolean {
  let known = selfSigned.get(certificate);
  if (known === undefined) {
    known = hasSigned(certificate, certificate);
    selfSigned.set(certificate, known);
  }
  return known;
}
