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

const known = new WeakMap<Certificate, Map<string, string>>();

/** In hex. Many signers of a message may have the same certificates beside them, so each is hashed once. */
function digestOf(certificate: Certificate, name: string): string {
  if (name === 'sha256') return certificate.thumbprint;
  const own = known.get(certificate) ?? new Map<string, string>();
  known.set(certificate, own);
  const digest = own.get(name) ?? createHash(name).update(certificate.der).digest('hex');
  own.set(name, digest);
  return digest;
}

/** Finds certificates that the signed attributes name by a digest (signingCertificateV2, RFC 5035 section 3). */
function namedBy({ signingCertificates }: SeenSigner['signer']): (certificate: Certificate) => boolean {
  const named = new Set(
    signingCertificates.flatMap(({ digestAlgorithm, digest }) => {
      const name = digests.get(digestAlgorithm.toLowerCase().replace('-', ''));
      return name === undefined ? [] : [`${name} ${digest}`];
    }),
  );
  const names = new Set([...named].map((each) => each.split(' ')[0] ?? ''));
  return (certificate) => [...names].some((name) => named.has(`${name} ${digestOf(certificate, name)}`));
}

/**
 * Whether the signature covers which certificate it was made with. If not, anybody who has the mail may have put
 * another one in its place, made for the same key.
 */
export function namesItself({ certificate, signer }: SeenSigner): boolean {
  return namedBy(signer)(certificate);
}

/**
 * Those of the certificates beside the signer that its signed attributes name: by a digest (signingCertificateV2, RFC
 * 5035 section 3), or by issuer and serial number as the preferred one to encrypt for (RFC 8551 section 2.5.3). An
 * issuer is only a name, so such a certificate must lead to an anchor in any case.
 */
export function announcedBeside({ certificate, beside, signer }: SeenSigner): Announced[] {
  const { signingCertificates, encryptionKeyPreference } = signer;
  if (signingCertificates.length < 2 && encryptionKeyPreference === null) return [];
  const isNamed = namedBy(signer);
  const preference =
    encryptionKeyPreference !== null && 'issuer' in encryptionKeyPreference
      ? encryptionKeyPreference
      : undefined;
  return beside.flatMap((each): Announced[] => {
    if (each.thumbprint === certificate.thumbprint) return [];
    if (isNamed(each)) return [{ certificate: each, byDigest: true }];
    const preferred = preference?.serialNumber === each.serialHex && preference.issuer === each.issuer;
    return preferred ? [{ certificate: each, byDigest: false }] : [];
  });
}
