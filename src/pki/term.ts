/**
 * When a certificate is used. Its own validity is what its issuer says; a term is what we say, within that. This is the
 * only reading of both together: settings, partners, listeners and warnings use it.
 */
import type { Certificate } from './certificate.ts';
import { describeValidity, unusableFor } from './certificate-use.ts';

/** A window of ours. Without an end, the certificate's own counts. */
export interface Term {
  /** The first moment. */
  readonly from?: Date | undefined;
  /** The first moment after it. */
  readonly until?: Date | undefined;
}

/** `2027-01-01`, with the time where it is not midnight in UTC. */
export const dayText = (date: Date) => {
  const text = date.toISOString();
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : text.replace('.000Z', 'Z');
};

/**
 * The span in which a certificate is used: the term, cut to the validity. `until` is exclusive, where notAfter is
 * inclusive to the second (RFC 5280 section 4.1.2.5). For a term outside of the validity, `from` is not before `until`.
 */
export function spanOf(
  { notBefore, notAfter }: Pick<Certificate, 'notBefore' | 'notAfter'>,
  { from, until }: Term,
): { from: Date; until: Date } {
  const end = new Date(notAfter.getTime() + 1000);
  return {
    from: from !== undefined && from > notBefore ? from : notBefore,
    until: until !== undefined && until < end ? until : end,
  };
}

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
const keyUse = { encrypt: 'encrypt', decrypt: 'encrypt', verify: 'sign', sign: 'sign' } as const;

export type Use = keyof typeof keyUse;

/** A certificate with its term and the uses it is meant for. */
export interface Employed<U extends Use = Use> extends Term {
  readonly certificate: Certificate;
  readonly use: readonly U[];
}

/** Why an entry never serves for a use, whatever the day: we say so, or its key or keyUsage does. */
export function unfitFor({ certificate, use: uses }: Employed, use: Use): string | undefined {
  return uses.includes(use) ? unusableFor(certificate, keyUse[use]) : `is not meant to ${use}`;
}

/** Why an entry does not serve for a use at a time; undefined if it does. */
export function whyNotInForce(entry: Employed, use: Use, at: Date): string | undefined {
  return unfitFor(entry, use) ?? describeTerm(entry.certificate, entry, at);
}

/** How long something in force at a time is followed without a gap. */
export interface Coverage<T> {
  /** The first moment at which nothing is in force; the time in question if nothing is then. */
  readonly until: Date;
  /** When something is in force again after that; undefined for never. */
  readonly again: Date | undefined;
  /** What ends last before the gap; undefined if nothing is in force. */
  readonly last: T | undefined;
}

/** Follows spans from a time on, as each ends and another takes over. */
export function coverageOfSpans<T extends { readonly from: Date; readonly until: Date }>(
  spans: readonly T[],
  at: Date,
): Coverage<T> {
  const coming = spans
    .filter(({ from, until }) => from < until && until > at)
    .sort((a, b) => a.from.getTime() - b.from.getTime());
  let until = at;
  let last: T | undefined;
  for (const each of coming) {
    if (each.from > until) return { until, again: each.from, last };
    if (each.until > until) {
      until = each.until;
      last = each;
    }
  }
  return { until, again: undefined, last };
}

/** The same for the entries that fit a use. */
export function coverageOf(entries: readonly Employed[], use: Use, at: Date): Coverage<Employed> {
  const fit = entries.filter((each) => unfitFor(each, use) === undefined);
  const spans = fit.map((entry) => ({ entry, ...spanOf(entry.certificate, entry) }));
  const { last, ...rest } = coverageOfSpans(spans, at);
  return { ...rest, last: last?.entry };
}
