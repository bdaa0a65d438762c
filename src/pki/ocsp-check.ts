import { createHash } from 'node:crypto';
import { oids } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { useFault, validityAt } from './certificate-use.ts';
import { isAbout, type OcspResponse, type OcspStatus } from './ocsp.ts';
import { certifiedKey } from './path-check.ts';
import { clockSkew, PathFailure, type PathOptions, type RevocationStatus } from './path-types.ts';
import { checkKeySize, type IssuerKey, type SignatureChecker } from './signature-check.ts';

/** How long an answer without nextUpdate is valid. */
const defaultAge = 24 * 3_600_000;

/**
 * What OCSP answers say about a certificate. Undefined if none of them is in force, about this certificate, and signed
 * by its issuer or by a responder that the issuer has certified (RFC 6960 section 4.2.2.2).
 */
export function ocspStatus(
  certificate: Certificate,
  issuer: { certificate: Certificate; key: IssuerKey },
  options: PathOptions,
  signatures: SignatureChecker,
): RevocationStatus | undefined {
  for (const response of options.ocsp ?? []) {
    const status = response.statuses.find(
      (one) => isAbout(one.id, certificate, issuer.certificate) && inForce(one, options),
    );
    if (status === undefined || status.status === 'unknown' || !isUnderstood(response, status)) continue;
    if (!isSigned(response, issuer, options, signatures)) continue;
    const { thisUpdate, revokedAt, reason } = status;
    return {
      certificate,
      status: status.status,
      thisUpdate,
      source: 'ocsp',
      ...(revokedAt === undefined ? {} : { revokedAt }),
      ...(reason === undefined ? {} : { crlReason: reason }),
    };
  }
  return undefined;
}

function inForce({ thisUpdate, nextUpdate }: OcspStatus, options: PathOptions): boolean {
  const at = (options.revocationAt ?? options.at).getTime();
  const until = nextUpdate?.getTime() ?? thisUpdate.getTime() + defaultAge;
  return thisUpdate.getTime() <= at + clockSkew && at <= until;
}

/** No extension of an answer needs to be acted upon here. An unknown critical one invalidates the answer. */
function isUnderstood(response: OcspResponse, status: OcspStatus): boolean {
  return [...response.extensions.values(), ...status.extensions.values()].every(({ critical }) => !critical);
}

function isSigned(
  response: OcspResponse,
  issuer: { certificate: Certificate; key: IssuerKey },
  options: PathOptions,
  signatures: SignatureChecker,
): boolean {
  if (isResponder(response, issuer.certificate) && holds(() => signatures.verify(response, issuer.key)))
    return true;
  return response.certificates.some(
    (candidate) =>
      isResponder(response, candidate) &&
      holds(() => isDelegate(candidate, issuer, options, signatures)) &&
      holds(() => signatures.verify(response, certifiedKey(candidate, issuer.key))),
  );
}

function isResponder({ responder }: OcspResponse, certificate: Certificate): boolean {
  if ('name' in responder) return responder.name.equals(certificate.subjectDer);
  return createHash('sha1').update(certificate.publicKeyInfo.key).digest().equals(responder.keyHash);
}

/**
 * Certified for OCSP by this very issuer, and valid. Its own revocation is not looked up: issuers give such
 * certificates a short life or id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1).
 */
function isDelegate(
  candidate: Certificate,
  issuer: { certificate: Certificate; key: IssuerKey },
  options: PathOptions,
  signatures: SignatureChecker,
): boolean {
  const at = options.revocationAt ?? options.at;
  checkKeySize(candidate, options, new Set());
  return (
    candidate.issuerName.canonical === issuer.certificate.subjectName.canonical &&
    candidate.extendedKeyUsage?.includes(oids.ocspSigning) === true &&
    useFault(candidate, 'sign-status') === undefined &&
    validityAt(candidate, at) === 'valid' &&
    signatures.verify(candidate, issuer.key)
  );
}

/**
 * An answer that cannot be read or uses a refused algorithm does not count. Reaching the limit on work ends everything.
 */
function holds(check: () => boolean): boolean {
  try {
    return check();
  } catch (error) {
    if (error instanceof PathFailure && error.reason === 'limit') throw error;
    if (error instanceof PathFailure || error instanceof SealpostError) return false;
    throw error;
  }
}
