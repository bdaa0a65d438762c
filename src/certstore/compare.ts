/**
 * A certificate that is new, beside those that are known of its partner: what a person has to compare, and what rules
 * ask.
 */
import { smallLetters } from '../domain.ts';
import {
  type Certificate,
  type Employed,
  keyDigest,
  keyTraits,
  signatureText,
  unreadableAddress,
  unusableFor,
} from '../pki/index.ts';
import { idOf, type StoredCertificate } from './entry.ts';

/** A certificate of a partner that counts, in its term and for its uses. */
export interface Counting extends Employed {
  readonly thumbprint: string;
  /** Of its key, where that is known without parsing it. */
  readonly keyDigest?: string | undefined;
}

/** The same with its partner. */
interface OfPartner {
  entry: Counting;
  partner: string;
}

/**
 * Those of all partners, found by what they have in common with another one. Of 30,000, only those that are found are
 * parsed.
 */
export class CountingIndex {
  readonly #byPartner: ReadonlyMap<string, readonly Counting[]>;
  readonly #byKey: ReadonlyMap<string, OfPartner[]>;
  readonly #byThumbprint: ReadonlyMap<string, OfPartner[]>;

  /** @param byPartner certificates that count, by name of the partner */
  constructor(byPartner: ReadonlyMap<string, readonly Counting[]>) {
    const all = [...byPartner].flatMap(([partner, entries]) => entries.map((entry) => ({ entry, partner })));
    this.#byPartner = byPartner;
    this.#byKey = groupedBy(all, ({ entry }) => entry.keyDigest ?? keyDigest(entry.certificate));
    this.#byThumbprint = groupedBy(all, ({ entry }) => entry.thumbprint);
  }

  of(partner: string): Certificate[] {
    return (this.#byPartner.get(partner) ?? []).map(({ certificate }) => certificate);
  }

  withKey(certificate: Certificate): Found[] {
    return (this.#byKey.get(keyDigest(certificate)) ?? []).map(found);
  }

  /** Several partners may have the same certificate. */
  named(thumbprint: string | null): Found[] {
    return thumbprint === null ? [] : (this.#byThumbprint.get(thumbprint) ?? []).map(found);
  }
}

/** A certificate that was asked for. */
export interface Found extends OfPartner {
  certificate: Certificate;
}

const found = ({ entry, partner }: OfPartner): Found => ({ entry, certificate: entry.certificate, partner });

function groupedBy<T>(all: readonly T[], nameOf: (each: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const each of all) {
    const name = nameOf(each);
    const group = groups.get(name);
    if (group) group.push(each);
    else groups.set(name, [each]);
  }
  return groups;
}

/**
 * What carries the key of a new certificate and counts for nothing, or is our own: a line for each, for a person.
 *
 * @param stored all that the store has
 */
export function alsoWithKey(
  certificate: Certificate,
  stored: readonly StoredCertificate[],
  own: readonly { readonly name: string; readonly certificate: Certificate }[],
): string[] {
  const key = keyDigest(certificate);
  const others = stored.filter(
    (each) => each.key === key && each.state !== 'approved' && each.thumbprint !== certificate.thumbprint,
  );
  const ours = own.filter((each) => keyDigest(each.certificate) === key);
  return [
    ...ours.map(({ name }) => `the same key as our own identity ${name}`),
    ...others.map(
      (each) =>
        `the same key as ${idOf(each)}, which ${each.state === 'waiting' ? 'waits, too' : `was ${each.state}`}`,
    ),
  ];
}

export interface Comparison {
  /** Those of the partner that have the same key. */
  sameKey: Counting[];
  /** Addresses that none of these has; of all of the partner's if none has the key. */
  newAddresses: string[];
  /** Bits of keyUsage and object identifiers of extKeyUsage that none of these has, alike. */
  newUsages: string[];
  /** Addresses that are none of the partner. */
  foreignAddresses: string[];
  /** Partners whose addresses it names. */
  named: string[];
  findings: string[];
}

/** @param ownerOf the partner that an address belongs to */
export function compare(
  certificate: Certificate,
  partner: string,
  counting: CountingIndex,
  ownerOf: (address: string) => string | undefined,
): Comparison {
  const own = counting.of(partner);
  const withKey = counting.withKey(certificate);
  const sameKey = withKey.filter((each) => each.partner === partner).map(({ entry }) => entry);
  const before = sameKey.length > 0 ? sameKey.map((each) => each.certificate) : own;
  const { emails } = certificate;
  const owners = emails.map(ownerOf);
  const known = new Set(before.flatMap((each) => emailsOf(each)).map(smallLetters));
  const allowed = new Set(before.flatMap(usagesOf));
  const comparison = {
    sameKey,
    newAddresses: emails.filter((each) => !known.has(smallLetters(each))),
    newUsages: usagesOf(certificate).filter((usage) => !isAmong(usage, allowed)),
    foreignAddresses: emails.filter((each, at) => owners[at] !== partner || each === unreadableAddress),
    named: [...new Set(owners.filter((each) => each !== undefined))],
  };
  return { ...comparison, findings: findingsOf(certificate, partner, own, withKey, comparison) };
}

const anyKeyUsage = 'any keyUsage';
const anyExtended = 'any extKeyUsage';

/** What the certificate allows its key: without an extension, anything. */
function usagesOf({ keyUsage, extendedKeyUsage, basicConstraints }: Certificate): string[] {
  return [
    ...(keyUsage === undefined ? [anyKeyUsage] : keyUsage),
    ...(extendedKeyUsage === undefined ? [anyExtended] : extendedKeyUsage),
    ...(basicConstraints?.ca === true ? ['an authority'] : []),
  ];
}

function isAmong(usage: string, allowed: ReadonlySet<string>): boolean {
  if (allowed.has(usage)) return true;
  if (usage === anyKeyUsage || usage === anyExtended || usage === 'an authority') return false;
  return allowed.has(/^\d/.test(usage) ? anyExtended : anyKeyUsage);
}

/** None if they cannot be read. */
export function emailsOf(certificate: Certificate): readonly string[] {
  try {
    return certificate.emails;
  } catch {
    return [];
  }
}

/** Kind and size of the key: `rsa 2048`. */
export function keyText({ publicKeyInfo }: Certificate): string {
  const { family, bits } = keyTraits(publicKeyInfo);
  return bits === undefined ? family : `${family} ${bits}`;
}

const algorithmsOf = (certificate: Certificate) =>
  `key ${keyText(certificate)}, signed with ${signatureText(certificate.signatureAlgorithm)}`;

const day = (date: Date) => date.toISOString().slice(0, 10);

function findingsOf(
  certificate: Certificate,
  partner: string,
  own: readonly Certificate[],
  withKey: readonly Found[],
  { sameKey, newAddresses, foreignAddresses, named }: Omit<Comparison, 'findings'>,
): string[] {
  const { emails } = certificate;
  const newest = own.toSorted((a, b) => b.notBefore.getTime() - a.notBefore.getTime())[0];
  const lines: string[] = [];
  if (newest === undefined) lines.push(`partner ${partner} has no other certificate that counts`);
  if (emails.length === 0) lines.push('it names no address');
  else if (newAddresses.length > 0) lines.push(`new addresses: ${newAddresses.join(', ')}`);
  else lines.push('addresses as before');
  if (named.length > 1) lines.push(`it names addresses of the partners ${named.join(' and ')}`);
  else if (foreignAddresses.length > 0)
    lines.push(`addresses that are not of partner ${partner}: ${foreignAddresses.join(', ')}`);
  if (newest !== undefined) {
    const same = newest.issuerDer.equals(certificate.issuerDer);
    lines.push(same ? 'issuer as before' : `another issuer; before: ${newest.issuer}`);
    if (newest.subjectDer.equals(certificate.subjectDer)) lines.push('subject as before');
    else lines.push(`another subject; before: ${newest.subject}`);
    const [algorithms, before] = [algorithmsOf(certificate), algorithmsOf(newest)];
    if (algorithms === before) lines.push(`algorithms as before: ${algorithms}`);
    else lines.push(`other algorithms: ${algorithms}; before: ${before}`);
    const overlaps = newest.notAfter > certificate.notBefore && newest.notBefore < certificate.notAfter;
    const [from, until] = [day(newest.notBefore), day(newest.notAfter)];
    lines.push(
      `${overlaps ? 'overlaps with' : 'does not overlap with'} ${idOf(newest)} (${from} to ${until})`,
    );
  }
  const [renewed] = sameKey;
  lines.push(renewed ? `the key of ${idOf(renewed)}` : 'another key than those before');
  const elsewhere = withKey.filter((each) => each.partner !== partner);
  for (const other of elsewhere)
    lines.push(`the same key as ${idOf(other.certificate)} of partner ${other.partner}`);
  if (unusableFor(certificate, 'encrypt') !== undefined) lines.push('it is not for encryption');
  if (unusableFor(certificate, 'sign') !== undefined) lines.push('it is not for signatures');
  return lines;
}
