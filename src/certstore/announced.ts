/** Certificates that a signer names under its signature. */
import { createHash } from 'node:crypto';
import type { Certificate } from '../pki/index.ts';

/** A valid signature of a message, as the decoder saw it. */
export interface SeenSigner {
  certificate: Certificate;
  /** The other certificates of the SignedData. No signature covers them: anybody on the way may add one. */
  beside: readonly Certificate[];
  signer: {
    readonly trusted: boolean;
    readonly signingTime: string | null;
    readonly smimeCapabilities: readonly string[];
    readonly signingCertificates: readonly { version: number; digestAlgorithm: string; digest: string }[];
    readonly encryptionKeyPreference:
      | { issuer: string; serialNumber: string }
      | { subjectKeyIdentifier: string }
      | { keyIdentifier: string }
      | null;
  };
}

export interface Announced {
  certificate: Certificate;
  /** By a digest: it is this very certificate. */
  byDigest: boolean;
}

/** Digests that nobody can make a second certificate for. */
const digests = new Map([
  ['sha256', 'sha256'],
  ['sha384', 'sha384'],
  ['sha512', 'sha512'],
]);

/**
 * Those of the certificates beside the signer that its signed attributes name: by a digest (signingCertificateV2, RFC 5035
 * section 3), or by issuer and serial number as the preferred one to encrypt for (RFC 8551 section 2.5.3). An issuer is
 * only a name, so such a certificate must lead to an anchor in any case.
 */
export function announcedBeside({ certificate, beside, signer }: SeenSigner): Announced[] {
  const { signingCertificates, encryptionKeyPreference } = signer;
  if (signingCertificates.length < 2 && encryptionKeyPreference === null) return [];
  const named = new Set(
    signingCertificates.flatMap(({ digestAlgorithm, digest }) => {
      const name = digests.get(digestAlgorithm.toLowerCase().replace('-', ''));
      return name === undefined ? [] : [`${name} ${digest}`];
    }),
  );
  const names = new Set([...named].map((each) => each.split(' ')[0] ?? ''));
  const isNamed = ({ der }: Certificate) =>
    [...names].some((name) => named.has(`${name} ${createHash(name).update(der).digest('hex')}`));
  const preference =
    encryptionKeyPreference !== null && 'issuer' in encryptionKeyPreference
      ? encryptionKeyPreference
      : undefined;
  return beside.flatMap((each): Announced[] => {
    if (each.equals(certificate)) return [];
    if (isNamed(each)) return [{ certificate: each, byDigest: true }];
    const preferred = preference?.serialNumber === each.serialHex && preference.issuer === each.issuer;
    return preferred ? [{ certificate: each, byDigest: false }] : [];
  });
}
