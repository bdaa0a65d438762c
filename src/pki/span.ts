/**
 * Spans of time in which certificates are used. Plain dates, so that processes that read no certificates can use them
 * too.
 */

/** A time window that we set. Without an end, the certificate's own end counts. */
export interface Term {
  /** The first moment. */
  readonly from?: Date | undefined;
  /** The first moment after it. */
  readonly until?: Date | undefined;
}

/** `2027-01-01`, with the time if it is not midnight in UTC. */
export const dayText = (date: Date) => {
  const text = date.toISOString();
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : text.replace('.000Z', 'Z');
};

/**
 * The span in which a certificate is used: the term, cut to the validity. `until` is exclusive, whereas notAfter is
 * inclusive to the second (RFC 5280 section 4.1.2.5). For a term outside of the validity, `from` is not before `until`.
 */
export function spanOf(
  { notBefore, notAfter }: { readonly notBefore: Date; readonly notAfter: Date },
  { from, until }: Term,
): { from: Date; until: Date } {
  const end = new Date(notAfter.getTime() + 1000);
  return {
    from: from !== undefined && from > notBefore ? from : notBefore,
    until: until !== undefined && until < end ? until : end,
  };
}

/** How long something stays in force from a given time, without a gap. */
export interface Coverage<T> {
  /** The first moment at which nothing is in force; the given time if nothing is in force then. */
  readonly until: Date;
  /** When something is in force again after that; undefined if never. */
  readonly again: Date | undefined;
  /** What ends last before the gap; undefined if nothing is in force. */
  readonly last: T | undefined;
}

/** Follows spans from a given time on, as each ends and another takes over. */
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

/** The span that ended last, if none covers the time or begins after it. */
export function endedOfSpans<T extends { readonly from: Date; readonly until: Date }>(
  spans: readonly T[],
  at: Date,
): T | undefined {
  const real = spans.filter(({ from, until }) => from < until);
  if (real.some(({ until }) => until > at)) return undefined;
  return real.reduce<T | undefined>(
    (last, each) => (last && last.until >= each.until ? last : each),
    undefined,
  );
}
