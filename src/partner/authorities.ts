import type { Config } from '../config/index.ts';
import { RevocationCache, type RevocationFetcher, shortestAge } from '../pki/index.ts';
import { createRevocationFetcher } from './revocation-fetcher.ts';

/** Milliseconds after which an authority that did not answer is asked again. */
export const askedAgainAfter = shortestAge;

/** The functions that the decoder queries others with, as the codec's `Trust` takes them. */
export interface Authorities {
  revocationCheck?: { mode: 'soft' | 'hard'; fetch: RevocationFetcher; cache: RevocationCache; now: Date };
  issuerFetch?: { fetch: RevocationFetcher; cache: RevocationCache; now: Date };
}

/**
 * How authorities are asked about signers and for missing issuers, as configured. Call it once per process, because the
 * result shares one cache. Undefined if the settings turn both off.
 */
export function authoritiesOf({
  revocation,
  aia,
}: Config['trust']): ((now: Date) => Authorities) | undefined {
  const { mode } = revocation;
  if (mode === 'off' && !aia.fetch) return undefined;
  const cache = new RevocationCache();
  const fetchRevocation = createRevocationFetcher(revocation);
  const fetchIssuer = createRevocationFetcher(aia, 'trust.aia');
  return (now) => ({
    ...(mode === 'off' ? {} : { revocationCheck: { mode, fetch: fetchRevocation, cache, now } }),
    ...(aia.fetch ? { issuerFetch: { fetch: fetchIssuer, cache, now } } : {}),
  });
}
