import { SealpostError } from '../errors.ts';
import { type Certificate, describeValidity, type Identity, nameOf, unusableFor } from '../pki/index.ts';

/** Which of several certificates can be used on a day, and why the others cannot. */
export interface InForce<T> {
  /** The one that became valid last is first. */
  usable: T[];
  /** `reason` completes "the certificate ...", as in "expired on 2026-01-31". */
  skipped: { entry: T; certificate: Certificate; reason: string }[];
}

/** Selects the certificates for a use on a day: meant for that use, already valid and not expired. */
export function inForce<T>(
  entries: readonly T[],
  certificateOf: (entry: T) => Certificate,
  use: 'encrypt' | 'sign',
  at: Date,
): InForce<T> {
  const result: InForce<T> = { usable: [], skipped: [] };
  for (const entry of entries) {
    const certificate = certificateOf(entry);
    const reason = unusableFor(certificate, use) ?? describeValidity(certificate, at);
    if (reason === undefined) result.usable.push(entry);
    else result.skipped.push({ entry, certificate, reason });
  }
  const began = (entry: T) => certificateOf(entry).notBefore.getTime();
  result.usable.sort((a, b) => began(b) - began(a));
  return result;
}

const reasons = (skipped: InForce<unknown>['skipped']) =>
  skipped.map(({ certificate, reason }) => `${nameOf(certificate)}, ${reason}`).join('; ');

/**
 * All certificates in force to encrypt for, newest first. During a roll-over both the old and the new one are in force.
 * The partner reads the mail with either key, so nobody has to switch at the same moment.
 *
 * @throws {SealpostError} `encode-recipient` if none is in force
 */
export function encryptionCertificates(
  partner: string,
  certificates: readonly Certificate[],
  at: Date,
): Certificate[] {
  const { usable, skipped } = inForce(certificates, (each) => each, 'encrypt', at);
  if (usable.length > 0) return usable;
  throw new SealpostError(
    'encode-recipient',
    skipped.length === 0
      ? `partner ${partner} has no certificate to encrypt for`
      : `partner ${partner} has no certificate in force to encrypt for: ${reasons(skipped)}`,
    { hint: `ask the partner for its certificate and add it to the certificates of partner ${partner}` },
  );
}

/**
 * Our own key that signs for a partner: the newest one in force with that name.
 *
 * @throws {SealpostError} `encode-signer` if none is in force
 */
export function signingIdentity(
  partner: string,
  name: string | undefined,
  identities: readonly Identity[],
  at: Date,
): Identity {
  const named = identities.filter((identity) => identity.name === name);
  const { usable, skipped } = inForce(named, ({ certificate }) => certificate, 'sign', at);
  const [newest] = usable;
  if (newest !== undefined) return newest;
  throw new SealpostError(
    'encode-signer',
    skipped.length === 0
      ? `partner ${partner}: there is no identity ${name ?? ''} to sign with`
      : `partner ${partner}: identity ${name ?? ''} cannot sign: ${reasons(skipped)}`,
    { hint: `name an identity in force as identity of partner ${partner}, or renew its certificate` },
  );
}
