import {
  type Certificate,
  isInForce,
  type PinnedCertificates,
  spanOf,
  validityOf,
  wordsOf,
} from '../pki/index.ts';
import type { PartnerCertificate } from './certificates.ts';

/**
 * The certificates of all partners that signatures are verified with, by time. They are looked up, and a certificate is
 * parsed only when it is looked for. The result stays the same object until the next moment at which one begins or
 * ends, because what is remembered of path validation hangs on it.
 */
export function pinsOf(partners: Iterable<readonly PartnerCertificate[]>): (at: Date) => PinnedCertificates {
  const all = [...partners].flat();
  const known = new Lookup(all);
  const moments = all.flatMap((each) => {
    const { from, until } = spanOf(validityOf(each), each);
    return [from.getTime(), until.getTime()];
  });
  const changes = [...new Set(moments)].sort((a, b) => a - b);
  let current: { pins: PinnedCertificates; from: number; until: number } | undefined;
  return (at) => {
    const time = at.getTime();
    if (current === undefined || time < current.from || time >= current.until)
      current = {
        pins: pinsAt(known, at),
        from: changes.findLast((each) => each <= time) ?? Number.NEGATIVE_INFINITY,
        until: changes.find((each) => each > time) ?? Number.POSITIVE_INFINITY,
      };
    return current.pins;
  };
}

function pinsAt(known: Lookup, at: Date): PinnedCertificates {
  const inForce = (entry: PartnerCertificate) => isInForce(entry, 'verify', at);
  return {
    has: (certificate) =>
      known
        .byThumbprint(certificate.thumbprint)
        .some((each) => inForce(each) && each.certificate.equals(certificate)),
    find: (word) =>
      distinct(
        known
          .byWord(word)
          .filter(inForce)
          .map(({ certificate }) => certificate),
      ),
  };
}

const distinct = (all: readonly Certificate[]) =>
  all.filter((each, index) => all.findIndex((other) => other.equals(each)) === index);

/** Entries by what names their certificates. Nearly every name leads to one. */
class Lookup {
  readonly #thumbprints = new Map<string, PartnerCertificate | PartnerCertificate[]>();
  readonly #words = new Map<string, PartnerCertificate | PartnerCertificate[]>();

  constructor(all: readonly PartnerCertificate[]) {
    for (const each of all) {
      add(this.#thumbprints, each.thumbprint, each);
      for (const word of each.words ?? wordsOf(each.certificate)) add(this.#words, word, each);
    }
  }

  byThumbprint(thumbprint: string): PartnerCertificate[] {
    return [this.#thumbprints.get(thumbprint) ?? []].flat();
  }

  byWord(word: string): PartnerCertificate[] {
    return [this.#words.get(word) ?? []].flat();
  }
}

function add<T>(map: Map<string, T | T[]>, key: string, value: T): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, value);
  else if (Array.isArray(known)) known.push(value);
  else map.set(key, [known, value]);
}
