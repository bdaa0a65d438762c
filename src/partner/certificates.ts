/**
 * The certificates of partners and our own keys over time: which of them are in force for a use. What the configuration
 * names and what was approved later are the same type here, and all uses go through these functions.
 */
import { SealpostError } from '../errors.ts';
import {
  type Certificate,
  type Employed,
  keyDigest,
  nameOf,
  spanOf,
  type Use,
  whyNotInForce,
} from '../pki/index.ts';

/** Who let a certificate in that the configuration does not name. */
export interface Approval {
  readonly at: Date;
  /** The operator, or the rule. */
  readonly by: string;
}

/** A certificate of a partner with what it is for and when, wherever we have it from. */
export interface PartnerCertificate extends Employed<'encrypt' | 'verify'> {
  readonly source: 'configuration' | 'approved';
  /** SHA-256 of the certificate, in hexadecimal. */
  readonly thumbprint: string;
  /** What it is found by (`wordsOf`), where that is known without parsing it. */
  readonly words?: readonly string[] | undefined;
  /** Of its public key, where that is known without parsing it. */
  readonly keyDigest?: string | undefined;
  /** The operator says that the partner can read what is encrypted for it. */
  readonly confirmed: boolean;
  /** Only with the source `approved`. */
  readonly approval?: Approval | undefined;
}

/** The same entry with something else in it; its certificate is still parsed only when it is asked for. */
function changedEntry(
  entry: PartnerCertificate,
  changes: Partial<Pick<PartnerCertificate, 'use' | 'revoked'>>,
): PartnerCertificate {
  const { source, thumbprint, words, keyDigest: digest, confirmed, approval } = entry;
  const { use, from, until, validity, fits, revoked } = entry;
  return {
    ...{ source, thumbprint, words, keyDigest: digest, confirmed, approval },
    ...{ use, from, until, validity, fits, ...(revoked !== undefined && { revoked }) },
    ...changes,
    get certificate() {
      return entry.certificate;
    },
  };
}

/**
 * The entries with what authorities said of them, which all that encrypts goes by; the same array if they said nothing.
 *
 * @param said of those that were revoked, by SHA-256
 */
export function withRevoked(
  entries: readonly PartnerCertificate[],
  said: ReadonlyMap<string, { readonly why: string }>,
): readonly PartnerCertificate[] {
  if (!entries.some(({ thumbprint }) => said.has(thumbprint))) return entries;
  return entries.map((entry) => {
    const state = said.get(entry.thumbprint);
    return state === undefined ? entry : changedEntry(entry, { revoked: `was revoked (${state.why})` });
  });
}

/** The entries without the use `verify`, of a partner whose signatures anchors vouch for alone. */
export function forEncryption(entries: readonly PartnerCertificate[]): readonly PartnerCertificate[] {
  return entries.map((entry) => changedEntry(entry, { use: entry.use.filter((use) => use === 'encrypt') }));
}

/** Which of several entries serve for a use at a time, and why the others do not. */
export interface InForce<T> {
  /** The one that began last is first. */
  usable: T[];
  /** `reason` completes "the certificate ...", as in "expired on 2026-01-31". */
  skipped: { entry: T; reason: string }[];
}

/** Selects the entries for a use at a time: meant for that use, valid, and within their term. */
export function inForce<T extends Employed>(entries: readonly T[], use: Use, at: Date): InForce<T> {
  const result: InForce<T> = { usable: [], skipped: [] };
  for (const entry of entries) {
    const reason = whyNotInForce(entry, use, at);
    if (reason === undefined) result.usable.push(entry);
    else result.skipped.push({ entry, reason });
  }
  const began = (entry: T) => spanOf(entry.certificate, entry).from.getTime();
  const ownBeginning = (entry: T) => entry.certificate.notBefore.getTime();
  result.usable.sort((a, b) => began(b) - began(a) || ownBeginning(b) - ownBeginning(a));
  return result;
}

const reasons = (skipped: readonly { entry: { certificate: Certificate }; reason: string }[]) =>
  skipped.map(({ entry, reason }) => `${nameOf(entry.certificate)}, ${reason}`).join('; ');

/** When a partner first and last used a key, in milliseconds since the epoch, by the digest of the key (`shown.ts`). */
export type ShownKeys = ReadonlyMap<string, { readonly first: number; readonly last: number }>;

/** How an overlap of certificates is dealt with (`partners[].encryptTo`). */
export type EncryptTo = 'all' | 'shown-or-all' | 'shown';

/**
 * The certificates to encrypt for, newest first. During a roll-over both the old and the new one are in force. Mail is
 * encrypted for all of them, so that nobody has to switch at the same moment, or for the newest that the partner has
 * shown it can read. The operator's word (`confirmed`) ends older ones in any case.
 *
 * @throws {SealpostError} `encode-recipient` if none is in force
 */
export function encryptionCertificates(
  partner: string,
  certificates: readonly PartnerCertificate[],
  at: Date,
  encryptTo: EncryptTo = 'all',
  shown: ShownKeys = new Map(),
): PartnerCertificate[] {
  const { usable, skipped } = inForce(certificates, 'encrypt', at);
  if (usable.length > 0) return chosenOf(usable, encryptTo, shown);
  throw new SealpostError(
    'encode-recipient',
    skipped.length === 0
      ? `partner ${partner} has no certificate to encrypt for`
      : `partner ${partner} has no certificate in force to encrypt for: ${reasons(skipped)}`,
    { hint: `ask the partner for its certificate and add it to the certificates of partner ${partner}` },
  );
}

/** @param usable newest first, at least one */
function chosenOf(
  usable: readonly PartnerCertificate[],
  encryptTo: EncryptTo,
  shown: ShownKeys,
): PartnerCertificate[] {
  const lastShown = (each: PartnerCertificate | undefined) =>
    (each && shown.get(keyDigest(each.certificate))?.last) ?? Number.NEGATIVE_INFINITY;
  // A partner that has shown an older one since then has gone back to it, or sends from two systems.
  const isSettled = (each: PartnerCertificate, index: number) =>
    each.confirmed ||
    (encryptTo !== 'all' &&
      shown.has(keyDigest(each.certificate)) &&
      usable.slice(index + 1).every((older) => lastShown(older) <= lastShown(each)));
  const settled = usable.findIndex(isSettled);
  if (encryptTo === 'shown') return usable.slice(settled, settled === -1 ? undefined : settled + 1);
  return settled === -1 ? [...usable] : usable.slice(0, settled + 1);
}

/** The certificates that signatures are verified with at a time. */
export function verificationCertificates<T extends PartnerCertificate>(
  certificates: readonly T[],
  at: Date,
): T[] {
  return inForce(certificates, 'verify', at).usable;
}

/**
 * Our own key for a use at a time: the newest one in force with that name.
 *
 * @throws {SealpostError} `encode-signer` if none is in force
 */
export function ownIdentity<T extends Employed & { readonly name: string }>(
  partner: string,
  name: string | undefined,
  identities: readonly T[],
  use: 'decrypt' | 'sign',
  at: Date,
): T {
  const named = identities.filter((identity) => identity.name === name);
  const { usable, skipped } = inForce(named, use, at);
  const [newest] = usable;
  if (newest !== undefined) return newest;
  throw new SealpostError(
    'encode-signer',
    skipped.length === 0
      ? `partner ${partner}: there is no identity ${name ?? ''} to ${use} with`
      : `partner ${partner}: identity ${name ?? ''} cannot ${use}: ${reasons(skipped)}`,
    { hint: `name an identity in force as identity of partner ${partner}, or renew its certificate` },
  );
}
