import { resolveMx } from 'node:dns/promises';
import type { PartnerConfig } from '../config/index.ts';
import { hasCode } from '../errors.ts';
import { parseMailbox } from '../message/index.ts';

/** Maximum number of hosts tried for one message, as in Postfix (smtp_mx_address_limit). */
const MAX_HOSTS = 5;

export interface MxRecord {
  exchange: string;
  priority: number;
}

/** Looks up MX records like `resolveMx` of node:dns/promises, with its errors. */
export type MxResolver = (domain: string) => Promise<MxRecord[]>;

/** Recipients for the same hosts, in the order to try them; or why they cannot be sent. */
export type Hop =
  | { recipients: string[]; hosts: string[] }
  | { recipients: string[]; status: 'deferred' | 'refused'; reply: string };

/**
 * Where the recipients go (RFC 5321 section 5.1): the host of the route, or for each domain its MX hosts by preference
 * (equal ones in random order), or the domain itself if it has no MX record.
 */
export async function hopsFor(
  recipients: readonly string[],
  route: Pick<PartnerConfig['route'], 'host'>,
  resolver: MxResolver = resolveMx,
): Promise<Hop[]> {
  if (route.host !== undefined) return [{ recipients: [...recipients], hosts: [route.host] }];
  const byDomain = new Map<string, string[]>();
  for (const recipient of recipients) {
    const domain = parseMailbox(recipient, { utf8: true }).host;
    byDomain.set(domain, [...(byDomain.get(domain) ?? []), recipient]);
  }
  return Promise.all(Array.from(byDomain, ([domain, group]) => hopOf(domain, group, resolver)));
}

async function hopOf(domain: string, recipients: string[], resolver: MxResolver): Promise<Hop> {
  const literal = /^\[(?:ipv6:)?(.+)\]$/i.exec(domain)?.[1];
  if (literal !== undefined) return { recipients, hosts: [literal] };
  let records: MxRecord[];
  try {
    records = await resolver(domain);
  } catch (error) {
    // without an MX record, the domain is its own host; a domain that does not exist never accepts mail
    if (hasCode(error, 'ENODATA')) return { recipients, hosts: [domain] };
    if (hasCode(error, 'ENOTFOUND')) {
      return { recipients, status: 'refused', reply: `5.1.2 the domain ${domain} does not exist` };
    }
    return { recipients, status: 'deferred', reply: `4.4.3 no answer from DNS for ${domain}` };
  }
  if (records.length === 0) return { recipients, hosts: [domain] };
  // RFC 7505 section 3: "." as the only exchange means that the domain accepts no mail
  const hosts = records
    .map((record) => ({ ...record, exchange: record.exchange.replace(/\.$/, ''), order: Math.random() }))
    .filter((record) => record.exchange !== '')
    .sort((a, b) => a.priority - b.priority || a.order - b.order)
    .map((record) => record.exchange);
  if (hosts.length === 0) {
    return { recipients, status: 'refused', reply: `5.1.10 the domain ${domain} accepts no mail (null MX)` };
  }
  return { recipients, hosts: hosts.slice(0, MAX_HOSTS) };
}
