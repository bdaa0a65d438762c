/** What a certificate is, as these commands show it. */
import { SealpostError } from '../../errors.ts';
import {
  type Certificate,
  describeValidity,
  keyKindOf,
  keyTraits,
  unusableFor,
  withoutZeros,
} from '../../pki/index.ts';
import { comparable } from '../../printable.ts';

/** Facts about a certificate of a partner, for JSON. */
export interface CertificateFacts {
  subject: string | null;
  issuer: string | null;
  emails: readonly string[];
  /** In capitals without zeros before it, as OpenSSL prints it. */
  serialNumber: string;
  /** All octets in small letters, as Windows prints it. */
  serialNumberWindows: string;
  sha1: string;
  sha256: string;
  /** Such as `rsa 3072`. */
  key: string;
  notBefore: string;
  notAfter: string;
  /** What it can be used for, by its key and key usage. */
  uses: ('encrypt' | 'verify')[];
  /** Why it cannot be used now; null if it can. */
  state: string | null;
}

/** A part that cannot be read is shown as such; the others are. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealpostError) return null;
    throw error;
  }
}

export function factsOf(certificate: Certificate, at: Date): CertificateFacts {
  const { serialHex, notBefore, notAfter, publicKeyInfo } = certificate;
  const { bits } = keyTraits(publicKeyInfo);
  const kind = readable(() => keyKindOf(certificate)) ?? 'unknown';
  return {
    subject: readable(() => certificate.subject),
    issuer: readable(() => certificate.issuer),
    emails: readable(() => certificate.emails) ?? [],
    serialNumber: withoutZeros(serialHex).toUpperCase(),
    serialNumberWindows: serialHex,
    sha1: certificate.thumbprintSha1,
    sha256: certificate.thumbprint,
    key: bits === undefined ? kind : `${kind} ${bits}`,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    uses: [
      ...(unusableFor(certificate, 'encrypt') === undefined ? (['encrypt'] as const) : []),
      ...(unusableFor(certificate, 'sign') === undefined ? (['verify'] as const) : []),
    ],
    state: describeValidity(certificate, at) ?? null,
  };
}

/** Lines for a person, who compares them. */
export function factsText(facts: CertificateFacts): string[] {
  const { subject, issuer, emails, serialNumber, sha1, sha256, key, notBefore, notAfter, uses, state } =
    facts;
  const day = (time: string) => time.slice(0, 10);
  return [
    `subject   ${subject ?? '(cannot be read)'}`,
    `issuer    ${issuer === subject ? 'itself' : (issuer ?? '(cannot be read)')}`,
    `addresses ${emails.length === 0 ? 'none' : emails.join(', ')}`,
    `serial    ${serialNumber}`,
    `SHA-1     ${sha1}`,
    `SHA-256   ${sha256}`,
    `key       ${key}`,
    `valid     ${day(notBefore)} to ${day(notAfter)}${state === null ? '' : `; it ${state}`}`,
    `for       ${uses.length === 0 ? 'nothing: neither encryption nor signatures' : uses.join(', ')}`,
  ].map(comparable);
}
