/**
 * When a certificate is used. Its validity is set by its issuer; a term is set by us, within the validity. This is the
 * only place that combines the two: settings, partners, listeners and warnings use it.
 */
import type { Certificate } from './certificate.ts';
import { describeValidity, unusableFor } from './certificate-use.ts';
import { type Coverage, coverageOfSpans, dayText, endedOfSpans, spanOf, type Term } from './span.ts';

/**
 * Why a certificate is not used at a given time; undefined if it is. It completes "the certificate ...": `expired on
 * 2026-01-31`, `is used from 2027-01-01 on`, `was used until 2026-12-31T12:00:00Z`.
 */
export function describeTerm(certificate: Certificate, term: Term, at: Date): string | undefined {
  const validity = describeValidity(certificate, at);
  if (validity !== undefined) return validity;
  if (term.from !== undefined && at < term.from) return `is used from ${dayText(term.from)} on`;
  if (term.until !== undefined && at >= term.until) return `was used until ${dayText(term.until)}`;
  return undefined;
}

/** What a use requires of a certificate's key: to decrypt, it must be one to encrypt for; to verify, one that signs. */
type KeyUse = 'encrypt' | 'sign';

const keyUse = { encrypt: 'encrypt', decrypt: 'encrypt', verify: 'sign', sign: 'sign' } as const;

export type Use = keyof typeof keyUse;

/** A certificate with its term and the uses it is meant for. */
export interface Employed<U extends Use = Use> extends Term {
  /** It may be parsed only when this is read. */
  readonly certificate: Certificate;
  /** Its validity, if known without parsing. */
  readonly validity?: Pick<Certificate, 'notBefore' | 'notAfter'> | undefined;
  readonly use: readonly U[];
  /** What its key and keyUsage allow, if known without parsing. */
  readonly fits?: readonly KeyUse[] | undefined;
  /** Why nothing is encrypted for it: its authority has revoked it. Completes "the certificate ...". */
  readonly revoked?: string | undefined;
}

/** When the certificate of an entry is valid. It is parsed only if that is not known otherwise. */
export const validityOf = (entry: Employed): Pick<Certificate, 'notBefore' | 'notAfter'> =>
  entry.validity ?? entry.certificate;

/** Why an entry never serves a use, whatever the day: because we say so, or because its key or keyUsage does. */
export function unfitFor(entry: Employed, use: Use): string | undefined {
  if (!entry.use.includes(use)) return `is not meant to ${use}`;
  return (use === 'encrypt' ? entry.revoked : undefined) ?? unusableFor(entry.certificate, keyUse[use]);
}

/** Like `unfitFor`, without the reason. */
function isFit(entry: Employed, use: Use): boolean {
  if (use === 'encrypt' && entry.revoked !== undefined) return false;
  if (entry.fits === undefined) return unfitFor(entry, use) === undefined;
  return entry.use.includes(use) && entry.fits.includes(keyUse[use]);
}

/** Why an entry does not serve a use at a given time; undefined if it does. */
export function whyNotInForce(entry: Employed, use: Use, at: Date): string | undefined {
  return unfitFor(entry, use) ?? describeTerm(entry.certificate, entry, at);
}

/** Like `whyNotInForce`, without the reason. The certificate is parsed only if necessary. */
export function isInForce(entry: Employed, use: Use, at: Date): boolean {
  const { notBefore, notAfter } = validityOf(entry);
  const isValid = notBefore <= at && at <= notAfter;
  const inTerm = !(entry.from && at < entry.from) && !(entry.until && at >= entry.until);
  return isValid && inTerm && isFit(entry, use);
}

/** The same for the entries that fit a use. */
export function coverageOf(entries: readonly Employed[], use: Use, at: Date): Coverage<Employed> {
  const fit = entries.filter((each) => isFit(each, use));
  const spans = fit.map((entry) => ({ entry, ...spanOf(validityOf(entry), entry) }));
  const { last, ...rest } = coverageOfSpans(spans, at);
  return { ...rest, last: last?.entry };
}

/** What ended last for a use, if nothing is in force at a given time and nothing will be; undefined otherwise. */
export function endedOf(
  entries: readonly Employed[],
  use: Use,
  at: Date,
): { until: Date; entry: Employed } | undefined {
  const fit = entries.filter((each) => isFit(each, use));
  const spans = fit.map((entry) => ({ entry, ...spanOf(validityOf(entry), entry) }));
  return endedOfSpans(spans, at);
}
