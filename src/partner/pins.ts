import { type Certificate, spanOf } from '../pki/index.ts';
import { type PartnerCertificate, verificationCertificates } from './certificates.ts';

/**
 * The certificates of all partners that signatures are verified with, by time. The list stays the same object until the
 * next moment at which one begins or ends, because what is remembered of path validation hangs on it.
 */
export function pinsOf(
  partners: Iterable<readonly PartnerCertificate[]>,
): (at: Date) => readonly Certificate[] {
  const all = [...partners].flat();
  const moments = all.flatMap((each) => {
    const { from, until } = spanOf(each.certificate, each);
    return [from.getTime(), until.getTime()];
  });
  const changes = [...new Set(moments)].sort((a, b) => a - b);
  let current: { list: readonly Certificate[]; from: number; until: number } | undefined;
  return (at) => {
    const time = at.getTime();
    if (current === undefined || time < current.from || time >= current.until)
      current = {
        list: verificationCertificates(all, at).map(({ certificate }) => certificate),
        from: changes.findLast((each) => each <= time) ?? Number.NEGATIVE_INFINITY,
        until: changes.find((each) => each > time) ?? Number.POSITIVE_INFINITY,
      };
    return current.list;
  };
}
