import { resolveMx } from 'node:dns/promises';
import type { PartnerConfig } from '../config/index.ts';
import { hasCode } from '../errors.ts';
import { parseMailbox } from '../message/index.ts';
import type { Dns } from '../net/index.ts';
import type { Destination } from './tls-demand.ts';

/** Hosts tried for one message at most, as in Postfix (smtp_mx_address_limit). */
const MAX_HOSTS = 5;

export interface MxRecord {
  exchange: string;
  priority: number;
}

/** Looks up MX records, with the results and errors of `resolveMx` in node:dns/promises. */
export type MxResolver = (domain: string) => Promise<MxRecord[]>;

/**
 * The MX records, and whether the answer (even an empty one) was validated by DNSSEC. Undefined if the domain does not
 * exist.
 */
type MxLookup = (domain: string) => Promise<{ records: MxRecord[]; secure: boolean } | undefined>;

/** Recipients that share hosts, with the hosts in the order to try them; or why these recipients cannot be sent to. */
export type Hop =
  | { recipients: string[]; hosts: string[]; destination: Destination }
  | { recipients: string[]; status: 'deferred' | 'refused'; reply: string };

/**
 * Where the recipients' mail goes (RFC 5321 section 5.1): to the host of the route; otherwise, for each domain, to its
 * MX hosts by preference (equal ones in random order), or to the domain itself if it has no MX record.
 */
export async function hopsFor(
  recipients: readonly string[],
  route: Pick<PartnerConfig['route'], 'host'>,
  { resolver = resolveMx, dns }: { resolver?: MxResolver | undefined; dns?: Dns | undefined } = {},
): Promise<Hop[]> {
  if (route.host !== undefined) {
    const destination = { domain: undefined, secure: true };
    return [{ recipients: [...recipients], hosts: [route.host], destination }];
  }
  const lookup = dns === undefined ? bySystem(resolver) : byResolver(dns);
  const byDomain = new Map<string, string[]>();
  for (const recipient of recipients) {
    const domain = parseMailbox(recipient, { utf8: true }).host;
    byDomain.set(domain, [...(byDomain.get(domain) ?? []), recipient]);
  }
  return Promise.all(Array.from(byDomain, ([domain, group]) => hopOf(domain, group, lookup)));
}

function bySystem(resolver: MxResolver): MxLookup {
  return async (domain) => {
    try {
      return { records: await resolver(domain), secure: false };
    } catch (error) {
      if (hasCode(error, 'ENODATA')) return { records: [], secure: false };
      if (hasCode(error, 'ENOTFOUND')) return undefined;
      throw error;
    }
  };
}

function byResolver(dns: Dns): MxLookup {
  return async (domain) => {
    const { records, secure, exists } = await dns.lookup(domain, 'MX');
    if (!exists) return undefined;
    const found = records.map(({ data }) => ({ exchange: data.exchange, priority: data.preference ?? 0 }));
    return { records: found, secure };
  };
}

async function hopOf(domain: string, recipients: string[], lookup: MxLookup): Promise<Hop> {
  const literal = /^\[(?:ipv6:)?(.+)\]$/i.exec(domain)?.[1];
  if (literal !== undefined)
    return { recipients, hosts: [literal], destination: { domain: undefined, secure: false } };
  let found: Awaited<ReturnType<MxLookup>>;
  try {
    found = await lookup(domain);
  } catch {
    return { recipients, status: 'deferred', reply: `4.4.3 no answer from DNS for ${domain}` };
  }
  // a domain that does not exist never accepts mail; without an MX record, the domain is its own host
  if (found === undefined)
    return { recipients, status: 'refused', reply: `5.1.2 the domain ${domain} does not exist` };
  const { records, secure } = found;
  const destination = { domain, secure };
  if (records.length === 0) return { recipients, hosts: [domain], destination };
  // RFC 7505 section 3: "." as the only exchange means that the domain accepts no mail
  const hosts = records
    .map((record) => ({ ...record, exchange: record.exchange.replace(/\.$/, ''), order: Math.random() }))
    .filter((record) => record.exchange !== '')
    .sort((a, b) => a.priority - b.priority || a.order - b.order)
    .map((record) => record.exchange);
  if (hosts.length === 0) {
    return { recipients, status: 'refused', reply: `5.1.10 the domain ${domain} accepts no mail (null MX)` };
  }
  return { recipients, hosts: hosts.slice(0, MAX_HOSTS), destination };
}
