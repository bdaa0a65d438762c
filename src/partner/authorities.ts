/** How authorities are asked about certificates: what the codec is given, and how it fetches. */
import type { Config } from '../config/index.ts';
import { guardedGet } from '../net/index.ts';
import { RevocationCache, type RevocationFetcher, shortestAge } from '../pki/index.ts';

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

/**
 * Whom the operator allows to be asked, as in `trust.revocation` and `trust.aia`. Times in milliseconds, sizes in
 * octets.
 */
export type FetcherSettings = Omit<Config['trust']['revocation'], 'mode'>;

const answerTypes = {
  crl: 'application/pkix-crl',
  ocsp: 'application/ocsp-response',
  issuer: 'application/pkix-cert, application/pkcs7-mime',
};

/**
 * Fetches CRLs, OCSP answers and issuers over HTTP, only from hosts that the operator names. The URLs come from
 * certificates, which the sender of a mail controls (threats S9).
 *
 * @param setting the setting that lists the hosts, named in the error for any other host
 */
export function createRevocationFetcher(
  settings: FetcherSettings,
  setting: 'trust.revocation' | 'trust.aia' = 'trust.revocation',
): RevocationFetcher {
  const { hosts, timeout, maxSize, allowPrivate } = settings;
  return async ({ kind, url, body, maxLength }) => {
    const target = new URL(url);
    if (!hosts.some((host) => isHost(target, host))) throw new Error(`its host is not in ${setting}.hosts`);
    return guardedGet({
      url: target,
      ...(body === undefined ? {} : { body }),
      headers: {
        Accept: answerTypes[kind],
        ...(body === undefined ? {} : { 'Content-Type': 'application/ocsp-request' }),
      },
      allowPrivate,
      timeout,
      maxLength: Math.min(maxLength, maxSize),
    });
  };
}

/** `crl.example.com` at the port of its scheme, `*.example.com` for those below it, `crl.example.com:8080`. */
function isHost(url: URL, entry: string): boolean {
  // a user name before the host can make one host look like another
  if (url.username !== '' || url.password !== '') return false;
  const wanted = entry.toLowerCase();
  const host = url.host.toLowerCase();
  return wanted.startsWith('*.') ? host.endsWith(wanted.slice(1)) : host === wanted;
}
