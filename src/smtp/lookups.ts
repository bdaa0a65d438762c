import { resolveTxt } from 'node:dns/promises';
import { type Config, readPublicFile } from '../config/index.ts';
import { hasCode } from '../errors.ts';
import { createDns, type Dns, type GuardedRequest, guardedGet } from '../net/index.ts';
import { StsPolicies, type StsStore } from './mta-sts.ts';

/** What routes look up about the servers that mail goes to. */
export interface Lookups {
  /** Undefined if the operator has configured no validating resolver. */
  dns: Dns | undefined;
  sts: StsPolicies;
  /** The TXT records of a name, with the strings of each joined. Errors: those of DNS. */
  texts(name: string): Promise<string[]>;
  close(): void;
}

/**
 * Limits for a policy, in milliseconds and octets. RFC 8461 section 3.3 suggests a minute, but a message is waiting.
 */
const STS_TIMEOUT = 10_000;
const STS_SIZE = 64 * 1024;

/**
 * @param connect how to reach the hosts of MTA-STS policies, if not at port 443 of a public address
 * @throws {SealpostError} `file-access` for `dns.ca`
 */
export function createLookups(
  { dns: settings }: Pick<Config, 'dns'>,
  store: StsStore,
  connect: Partial<Pick<GuardedRequest, 'ca' | 'lookup' | 'allowPrivate'> & { port: number }> = {},
): Lookups {
  const { port = 443, ...how } = connect;
  const dns = settings && createDns(resolverOf(settings));
  const texts = dns === undefined ? textsOfSystem : (name: string) => textsOf(dns, name);
  const sts = new StsPolicies({
    store,
    texts,
    fetch: async (host) => {
      const url = new URL(`https://${host}:${port}/.well-known/mta-sts.txt`);
      const limits = { timeout: STS_TIMEOUT, maxLength: STS_SIZE, mediaType: 'text/plain' };
      return (await guardedGet({ url, allowPrivate: false, ...limits, ...how })).toString('latin1');
    },
    now: Date.now,
  });
  return { dns, sts, texts, close: () => dns?.close() };
}

function resolverOf({ resolver: address, tls, port = tls ? 853 : 53, name, ca }: NonNullable<Config['dns']>) {
  return { address, port, tls, name, ca: ca === undefined ? undefined : readPublicFile(ca).toString() };
}

async function textsOf(dns: Dns, name: string): Promise<string[]> {
  const { records } = await dns.lookup(name, 'TXT');
  return records.map(({ data }) => [data].flat().map(String).join(''));
}

async function textsOfSystem(name: string): Promise<string[]> {
  try {
    return (await resolveTxt(name)).map((pieces) => pieces.join(''));
  } catch (error) {
    if (hasCode(error, 'ENODATA') || hasCode(error, 'ENOTFOUND')) return [];
    throw error;
  }
}
