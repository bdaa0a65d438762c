import { SealpostError } from '../errors.ts';
import { type Certificate, describeValidity, type Identity, nameOf, unusableFor } from '../pki/index.ts';

/** Which of several certificates serve on a day, and why the others do not. */
export interface InForce<T> {
  /** The one that became valid last comes first. */
  usable: T[];
  /** `reason` continues "the certificate ...": "expired on 2026-01-31". */
  skipped: { entry: T; certificate: Certificate; reason: string }[];
}

/** Sorts out what serves for a use on a day: made for it, begun and not expired. */
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
 * The certificates to encrypt for, the newest first: all that are in force. While a partner changes to a new
 * certificate both are, and it reads the mail with whichever key it has; nobody needs to switch at the same moment.
 *
 * @throws {SealpostError} `encode-recipient` when none is in force
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
    { hint: `ask the partner for its certificate and add it to certificates of partner ${partner}` },
  );
}

/**
 * The own key that signs for a partner: of those with the name, the newest that is in force.
 *
 * @throws {SealpostError} `encode-signer` when none is in force
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
