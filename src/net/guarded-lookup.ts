import { type LookupAddress, type LookupAllOptions, lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from './ip-address.ts';

/** Resolves a name to all its addresses; `dns.lookup` in the daemon. */
export type Resolve = (
  name: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** Code of the error that a guarded lookup gives for a name that leads to a forbidden address. */
export const privateAddressCode = 'SEALPOST_PRIVATE_ADDRESS';

/**
 * A lookup for `net.connect` that refuses names outside of the public Internet. It is the lookup of the connection
 * itself, so the address that is checked is the one that is used (no DNS rebinding). If one of several addresses is not
 * public, the name is refused.
 */
export function guardedLookup(resolve: Resolve = lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const [first] = addresses;
      if (first === undefined || !addresses.every(({ address }) => isPublicAddress(address))) {
        const refused: NodeJS.ErrnoException = new Error('the name leads to an address that is not public');
        refused.code = privateAddressCode;
        return callback(refused, '', 0);
      }
      if (options.all === true) return callback(null, addresses);
      return callback(null, first.address, first.family);
    });
  };
}

/**
 * Refuses a URL whose host is an address that is not public, because no lookup is made for it. URL has already made the
 * address canonical.
 *
 * @throws an error of code `privateAddressCode`
 */
export function refusePrivateLiteral(url: URL): void {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 0 || isPublicAddress(host)) return;
  throw Object.assign(new Error('the address is not public'), { code: privateAddressCode });
}
