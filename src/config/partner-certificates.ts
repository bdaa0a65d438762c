/** The certificates that the configuration names for a partner. */
import { type Certificate, type Employed, hasSigned, isSelfSigned, unusableFor } from '../pki/index.ts';

/** A certificate of a partner that the configuration names. */
export interface ConfiguredCertificate extends Employed<'encrypt' | 'verify'> {
  readonly source: 'configuration';
  /** SHA-256 of the certificate, in hexadecimal. */
  readonly thumbprint: string;
  /** What it is found by (`wordsOf`), where that is known without parsing it. */
  readonly words?: readonly string[];
  /** Of its public key, where that is known without parsing it. */
  readonly keyDigest?: string;
  /** SHA-1 and serial number in hexadecimal, alike. */
  readonly numbers?: { readonly sha1: string; readonly serial: string } | undefined;
  /** The file that it is in, and which entry of the partner names it. */
  readonly file: string;
  readonly entry: number;
  /** The operator says that the partner can read what is encrypted for it. */
  readonly confirmed: boolean;
}

/**
 * Tells a partner's own certificates from those of authorities in the same file. It goes by who signed what and by key
 * usage, not by names, because the certificates of a roll-over share a name. A self-signed certificate is the partner's
 * own, whatever its basicConstraints say, unless it signed another certificate or its key may only sign certificates.
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
