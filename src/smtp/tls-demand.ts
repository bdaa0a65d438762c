import { isIP } from 'node:net';
import { type Dns, DnsFailure } from '../net/index.ts';
import { addressesOf, type HostAddresses, type Published, publishedFor } from './dane.ts';
import { allowsHost, type StsPolicies, type StsPolicy } from './mta-sts.ts';
import { type TlsDemand, TlsFault } from './tls-check.ts';

/** The TLS settings of a route. */
export interface TlsSettings {
  host?: string | undefined;
  port: number;
  tls: TlsDemand['how'];
  /** CA certificates in PEM. */
  ca?: string | undefined;
  pins?: readonly string[] | undefined;
  dane?: 'published' | 'required' | 'off' | undefined;
  mtaSts?: boolean | undefined;
}

export interface DemandParts {
  route: TlsSettings;
  dns?: Dns | undefined;
  sts?: Pick<StsPolicies, 'policyOf'> | undefined;
}

/** The domain that the mail is for, and whether it is proven that its mail belongs at these hosts. */
export interface Destination {
  /** Undefined if the route names the host. */
  domain: string | undefined;
  secure: boolean;
}

/** What the route itself requires. */
export function ownDemand({ tls: how, ca, pins = [] }: TlsSettings): TlsDemand {
  if (how === 'none') return { policy: 'none', how, verify: { by: 'nothing' } };
  if (pins.length > 0) return { policy: 'pinned', how, verify: { by: 'pins', pins } };
  // RFC 7435: unverified TLS is better than clear text; with CA certificates the server is verified
  if (how === 'opportunistic')
    return { policy: how, how, verify: ca === undefined ? { by: 'nothing' } : { by: 'name', ca } };
  return { policy: ca === undefined ? 'required' : 'pinned', how, verify: { by: 'name', ca } };
}

/** Where to connect to, and what connections require. */
export interface Target {
  demand: TlsDemand;
  /** To be tried in this order; empty to let the system look them up. */
  addresses: string[];
}

/** The resolver says that a host of MX records has no address. */
export class NoAddress extends DnsFailure {}

/** Errors: those of `demandFor`; `NoAddress`. */
export async function targetFor(host: string, destination: Destination, parts: DemandParts): Promise<Target> {
  const { dns } = parts;
  const found = dns === undefined || isIP(host) !== 0 ? undefined : await addressesOf(host, dns);
  // A host that the operator has written down may be one that only this machine knows.
  if (found?.addresses.length === 0 && destination.domain !== undefined)
    throw new NoAddress(`${host} has no address`);
  return { demand: await demandFor(host, destination, parts, found), addresses: found?.addresses ?? [] };
}

/**
 * What connections to a host require: the settings of the route or what the recipient's domain has published, whichever
 * is stricter. Keys and CAs from the configuration are never replaced. DANE comes before MTA-STS (RFC 8461 section 2):
 * its records say which certificate is right, and MTA-STS only adds which hosts are.
 *
 * Errors: `TlsFault`, `DnsFailure` if the host must not be used; those of the store of policies.
 */
async function demandFor(
  host: string,
  { domain, secure }: Destination,
  { route, dns, sts }: DemandParts,
  found: HostAddresses | undefined,
): Promise<TlsDemand> {
  const own = ownDemand(route);
  const { verify } = own;
  if (own.how === 'none' || verify.by === 'pins' || (verify.by === 'name' && verify.ca !== undefined))
    return own;
  const policy = domain !== undefined && route.mtaSts ? await sts?.policyOf(domain) : undefined;
  if (policy?.mode === 'enforce' && !allowsHost(policy, host))
    throw new TlsFault(
      'validation-failure',
      `the MTA-STS policy of ${domain} does not name the host ${host}`,
    );
  const { dane = 'published' } = route;
  if (dane !== 'off' && dns !== undefined) {
    const published = secure && found ? await publishedFor(host, route.port, found, dns) : undefined;
    if (published !== undefined) return daneDemand(published, own, domain);
    if (dane === 'required')
      throw new TlsFault('dane-required', `DANE is required, and ${host} has no validated TLSA records`);
  }
  return stsDemand(policy, own, host);
}

function daneDemand({ records, names }: Published, own: TlsDemand, domain: string | undefined): TlsDemand {
  const [serverName] = names;
  const all = domain === undefined ? names : [...new Set([...names, domain])];
  return {
    policy: 'dane',
    how: own.how === 'implicit' ? 'implicit' : 'required',
    verify: records.length === 0 ? { by: 'nothing' } : { by: 'tlsa', records, names: all },
    ...(serverName === undefined ? {} : { serverName }),
  };
}

function stsDemand(policy: StsPolicy | undefined, own: TlsDemand, host: string): TlsDemand {
  switch (policy?.mode) {
    case 'enforce':
      return { policy: 'mta-sts', how: 'required', verify: { by: 'name', ca: undefined } };
    case 'testing':
      return { ...own, tested: allowsHost(policy, host) ? 'named' : 'not-named' };
    default:
      return own;
  }
}
