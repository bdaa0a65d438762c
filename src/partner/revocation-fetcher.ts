import type { Config } from '../config/schema.ts';
import { guardedGet } from '../net/guarded-get.ts';
import type { RevocationFetcher } from '../pki/index.ts';

/** What an operator allows to be asked, as in `trust.revocation` and `trust.aia`. Times in milliseconds, sizes in octets. */
export type FetcherSettings = Omit<Config['trust']['revocation'], 'mode'>;

const answerTypes = {
  crl: 'application/pkix-crl',
  ocsp: 'application/ocsp-response',
  issuer: 'application/pkix-cert, application/pkcs7-mime',
};

/**
 * Gets lists, answers and issuers over HTTP from the hosts that the operator names. Addresses stand in certificates,
 * which whoever sends a mail can write, so nobody else is asked (threats S9).
 *
 * @param setting where the operator names them, for what is said of others
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
  // a user name in front of the host is how one host is made to look like another
  if (url.username !== '' || url.password !== '') return false;
  const wanted = entry.toLowerCase();
  const host = url.host.toLowerCase();
  return wanted.startsWith('*.') ? host.endsWith(wanted.slice(1)) : host === wanted;
}
