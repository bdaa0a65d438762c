import type { Config } from '../config/schema.ts';
import { RevocationCache, type RevocationFetcher } from '../pki/index.ts';
import { createRevocationFetcher } from './revocation-fetcher.ts';

/** What the decoder asks others with, as `Trust` of the codec takes it. */
export interface Authorities {
  revocationCheck?: { mode: 'soft' | 'hard'; fetch: RevocationFetcher; cache: RevocationCache; now: Date };
  issuerFetch?: { fetch: RevocationFetcher; cache: RevocationCache; now: Date };
}

/**
 * How authorities are asked about signers, and for issuers that are missing, as the settings say. Call it once for a
 * process: what it returns shares one cache. Undefined where the settings turn both off.
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
