/** The certificates that the configuration names for a partner. */
import { type Certificate, type Employed, hasSigned, isSelfSigned, unusableFor } from '../pki/index.ts';

/** A certificate that the configuration names for a partner. */
export interface ConfiguredCertificate extends Employed<'encrypt' | 'verify'> {
  readonly source: 'configuration';
  /** SHA-256 of the certificate, in hexadecimal. */
  readonly thumbprint: string;
  /** The words by which it is found (`wordsOf`), if known without parsing it. */
  readonly words?: readonly string[];
  /** The digest of its public key, if known without parsing it. */
  readonly keyDigest?: string;
  /** SHA-1 and serial number in hexadecimal, alike. */
  readonly numbers?: { readonly sha1: string; readonly serial: string } | undefined;
  /** The file that contains it, and the entry of the partner that names the file. */
  readonly file: string;
  readonly entry: number;
  /** The operator says that the partner can read what is encrypted for it. */
  readonly confirmed: boolean;
}

/**
 * Separates a partner's own certificates from those of authorities in the same file. This goes by who signed what and
 * by key usage, not by names, because the certificates of a roll-over share a name. A self-signed certificate is the
 * partner's own, whatever its basicConstraints say, unless it signed another certificate or its key may only sign
 * certificates.
 */
export function splitAuthorities(certificates: readonly Certificate[]): {
  own: Set<Certificate>;
  authorities: Certificate[];
} {
  const selfSigned = new Set(certificates.filter(isSelfSigned));
  const isAuthority = (each: Certificate) =>
    each.basicConstraints?.ca === true &&
    (!selfSigned.has(each) ||
      (unusableFor(each, 'encrypt') !== undefined && unusableFor(each, 'sign') !== undefined) ||
      certificates.some((other) => !selfSigned.has(other) && hasSigned(each, other)));
  return {
    own: new Set(certificates.filter((each) => !isAuthority(each))),
    authorities: certificates.filter(isAuthority),
  };
}
