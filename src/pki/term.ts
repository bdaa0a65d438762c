/**
 * When a certificate is used. Its own validity is what its issuer says; a term is what we say, within that. This is the
 * only reading of both together: settings, partners, listeners and warnings use it.
 */
import type { Certificate } from './certificate.ts';
import { describeValidity, unusableFor } from './certificate-use.ts';
import { type Coverage, coverageOfSpans, dayText, endedOfSpans, spanOf, type Term } from './span.ts';

/**
 * Why a certificate is not used at a time; undefined if it is. It completes "the certificate ...": `expired on
 * 2026-01-31`, `is used from 2027-01-01 on`, `was used until 2026-12-31T12:00:00Z`.
 */
export function describeTerm(certificate: Certificate, term: Term, at: Date): string | undefined {
  const validity = describeValidity(certificate, at);
  if (validity !== undefined) return validity;
  if (term.from !== undefined && at < term.from) return `is used from ${dayText(term.from)} on`;
  if (term.until !== undefined && at >= term.until) return `was used until ${dayText(term.until)}`;
  return undefined;
}

/** What a use asks of a key: whoever verifies or decrypts has the certificate of whoever signs or encrypts. */
type KeyUse = 'encrypt' | 'sign';

const keyUse = { encrypt: 'encrypt', decrypt: 'encrypt', verify: 'sign', sign: 'sign' } as const;

export type Use = keyof typeof keyUse;

/** A certificate with its term and the uses it is meant for. */
export interface Employed<U extends Use = Use> extends Term {
  /** It may be parsed when it is asked for. */
  readonly certificate: Certificate;
  /** Of the certificate, where that is known without it. */
  readonly validity?: Pick<Certificate, 'notBefore' | 'notAfter'> | undefined;
  readonly use: readonly U[];
  /** What its key and keyUsage allow, where that is known without parsing it. */
  readonly fits?: readonly KeyUse[] | undefined;
  /** Its authority has revoked it, so nothing is encrypted for it: completes "the certificate ...". */
  readonly revoked?: string | undefined;
}

/** When the certificate of an entry is valid, without parsing it where that is known. */
export const validityOf = (entry: Employed): Pick<Certificate, 'notBefore' | 'notAfter'> =>
  entry.validity ?? entry.certificate;

/** Why an entry never serves for a use, whatever the day: we say so, or its key or keyUsage does. */
export function unfitFor(entry: Employed, use: Use): string | undefined {
  if (!entry.use.includes(use)) return `is not meant to ${use}`;
  return (use === 'encrypt' ? entry.revoked : undefined) ?? unusableFor(entry.certificate, keyUse[use]);
}

/** As `unfitFor`, without the reason. */
function isFit(entry: Employed, use: Use): boolean {
  if (use === 'encrypt' && entry.revoked !== undefined) return false;
  if (entry.fits === undefined) return unfitFor(entry, use) === undefined;
  return entry.use.includes(use) && entry.fits.includes(keyUse[use]);
}

/** Why an entry does not serve for a use at a time; undefined if it does. */
export function whyNotInForce(entry: Employed, use: Use, at: Date): string | undefined {
  return unfitFor(entry, use) ?? describeTerm(entry.certificate, entry, at);
}

/** As `whyNotInForce`, without the reason, and without parsing the certificate where that is not needed. */
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

/** What ended last for a use, where nothing is in force at a time and nothing will be; undefined otherwise. */
export function endedOf(
  entries: readonly Employed[],
  use: Use,
  at: Date,
): { until: Date; entry: Employed } | undefined {
  const fit = entries.filter((each) => isFit(each, use));
  const spans = fit.map((entry) => ({ entry, ...spanOf(validityOf(entry), entry) }));
  return endedOfSpans(spans, at);
}
