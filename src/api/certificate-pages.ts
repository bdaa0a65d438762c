/** Pages of certificates. Their list has no index: it is made anew for each page, and may have changed in between. */
import type { KnownCertificate } from '../certstore/index.ts';

/** A position in the list, and the certificate before it. */
export const certificateCursor = /^\d{1,7}\.[0-9a-f]{16}$/;
const shown = 16;

export interface Page<T> {
  page: T[];
  /** Leads to the next page; null at the end. */
  cursor: string | null;
}

type Listed = Pick<KnownCertificate, 'thumbprint'>;

/**
 * Up to `limit` certificates behind the page that returned the cursor. If others came or went in between, the page
 * continues behind the same certificate; if that one is gone, at the same position.
 *
 * @param cursor '' for the first page
 */
export function pageOf<T extends Listed>(list: readonly T[], limit: number, cursor: string): Page<T> {
  const from = startOf(list, cursor);
  const page = list.slice(from, from + limit);
  const last = from + page.length < list.length ? page.at(-1) : undefined;
  return {
    page,
    cursor: last === undefined ? null : `${from + page.length}.${last.thumbprint.slice(0, shown)}`,
  };
}

function startOf(list: readonly Listed[], cursor: string): number {
  if (cursor === '') return 0;
  const [position = '', name = ''] = cursor.split('.');
  const meant = Number(position);
  let start = meant;
  let off = Number.POSITIVE_INFINITY;
  // One certificate may have several owners, and is then listed several times: the nearest one is meant.
  for (const [index, { thumbprint }] of list.entries())
    if (thumbprint.startsWith(name) && Math.abs(index + 1 - meant) < off) {
      start = index + 1;
      off = Math.abs(start - meant);
    }
  return start;
}

/** Those that wait for a person first, then those that end soonest. */
export function mostUrgentFirst(list: readonly KnownCertificate[]): KnownCertificate[] {
  const isWaiting = ({ state }: KnownCertificate) => Number(state === 'waiting');
  return list.toSorted(
    (a, b) => isWaiting(b) - isWaiting(a) || a.span.until.getTime() - b.span.until.getTime(),
  );
}
