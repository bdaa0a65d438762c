import { type Certificate, issuerAddresses, type PathResult } from '../../pki/index.ts';

/** Characters of an address that are shown; the sender wrote it. */
const mostShown = 200;
/** Ends of broken paths that are told of. */
const mostEnds = 2;

/**
 * What a person can do about issuers that are not there: where their certificates may be had (AIA), and why
 * they were not. Empty where none is missing.
 *
 * @param why by address, why it brought nothing; of others it is told that nobody asked
 */
export function missingIssuerHint(
  { missing = [] }: Pick<PathResult, 'missing'>,
  why: ReadonlyMap<string, string> = new Map(),
): string {
  return missing
    .slice(0, mostEnds)
    .map((certificate) => `; ${hintFor(certificate, why)}`)
    .join('');
}

function hintFor(certificate: Certificate, why: ReadonlyMap<string, string>): string {
  const urls = issuerAddresses(certificate);
  if (urls.length === 0) return 'no http address (AIA) says where that issuer is to be had';
  return urls
    .map((url) => {
      const reason = why.get(url) ?? 'fetching of issuers is not switched on';
      return `AIA address ${(URL.parse(url)?.href ?? '').slice(0, mostShown)} not used: ${reason}`;
    })
    .join('; ');
}
