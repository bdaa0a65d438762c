import { digests } from '../pki/algorithms.ts';

/** Digests to compute for a multipart/signed if nothing says which one to use. */
export const plausibleDigests: readonly string[] = ['sha1', 'sha256', 'sha384', 'sha512', 'md5', 'sha224'];

/** Keyed by letters and digits alone. */
const names = new Map(digests.map(({ name }) => [name.replaceAll('-', ''), name]));

/** Digests that a second run can compute. */
export const knownDigests: ReadonlySet<string> = new Set(names.values());

/**
 * The digests that a micalg parameter names (RFC 8551, section 3.5.3.2: a list with commas), by their names in
 * node:crypto. Old and odd spellings (`rsa-sha1`, `SHA256`, `sha-1`) are recognized; `unknown` gives none.
 */
export function micalgDigests(micalg: string | undefined): string[] {
  const found = (micalg ?? '').split(/[,\s]+/).map((word) => {
    const plain = word
      .toLowerCase()
      .replace(/^(?:rsa|dsa|ecdsa)-/, '')
      .replace(/[-_]/g, '');
    return names.get(plain);
  });
  return [...new Set(found.filter((name) => name !== undefined))];
}

/** The micalg name of a digest of node:crypto (RFC 8551, section 3.5.3.2). */
export function micalgOf(digest: string): string {
  return digest.replace(/^sha(?=\d)(?!3-)/, 'sha-');
}
