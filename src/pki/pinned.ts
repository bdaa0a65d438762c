import type { Certificate } from './certificate.ts';
import { wordsOf } from './lookup.ts';

/** Certificates that are trusted for themselves. They are looked up, because there may be tens of thousands. */
export interface PinnedCertificates {
  has(certificate: Certificate): boolean;
  /** Those with a word of `lookup.ts`. These are candidates, which the caller compares with what it looks for. */
  find(word: string): readonly Certificate[];
}

const lists = new WeakMap<readonly Certificate[], PinnedCertificates>();
const none: PinnedCertificates = { has: () => false, find: () => [] };

/** Turns both forms in which pinned certificates are given into one. */
export function pinnedCertificates(
  given: readonly Certificate[] | PinnedCertificates | undefined,
): PinnedCertificates {
  if (given === undefined) return none;
  if (!isList(given)) return given;
  let list = lists.get(given);
  if (list === undefined) {
    list = new CertificateList(given);
    lists.set(given, list);
  }
  return list;
}

const isList = (given: readonly Certificate[] | PinnedCertificates): given is readonly Certificate[] =>
  Array.isArray(given);

/** A few certificates, as a set. */
class CertificateList implements PinnedCertificates {
  readonly #list: readonly Certificate[];
  #byWord: Map<string, Certificate[]> | undefined;

  constructor(list: readonly Certificate[]) {
    this.#list = list;
  }

  has(certificate: Certificate): boolean {
    return this.#list.some((each) => each.equals(certificate));
  }

  find(word: string): readonly Certificate[] {
    this.#byWord ??= byWord(this.#list);
    return this.#byWord.get(word) ?? [];
  }
}

function byWord(list: readonly Certificate[]): Map<string, Certificate[]> {
  const found = new Map<string, Certificate[]>();
  for (const each of list)
    for (const word of wordsOf(each)) {
      const others = found.get(word);
      if (others === undefined) found.set(word, [each]);
      else others.push(each);
    }
  return found;
}
