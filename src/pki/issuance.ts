import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { inheritsParameters, keyTraits } from './public-key.ts';
import { signatureScheme, verifySignature } from './signature.ts';

/**
 * Whether the key of one certificate signed another one, which names it as its issuer. Says nothing of validity or of
 * the right to issue. False too for what cannot be read or computed with.
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
 * Signed with its own key, not merely issued under its own name. Checked once for a certificate: own ones are asked
 * with every message.
 */
export function isSelfSigned(certificate: Certificate): boolean {
  let known = selfSigned.get(certificate);
  if (known === undefined) {
    known = hasSigned(certificate, certificate);
    selfSigned.set(certificate, known);
  }
  return known;
}
