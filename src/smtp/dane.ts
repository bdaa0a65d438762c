import { createHash, X509Certificate } from 'node:crypto';
import { type Dns, plainName, type RecordOf } from '../net/index.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { validatePath } from '../pki/path.ts';

/** A TLSA record that SMTP uses (RFC 7672 section 3.1). */
export interface Tlsa {
  /** 2, DANE-TA: a certification authority; 3, DANE-EE: the server's own certificate. */
  usage: 2 | 3;
  /** 0: the whole certificate; 1: its public key. */
  selector: 0 | 1;
  /** 0: the octets themselves; 1: their SHA-256; 2: their SHA-512. */
  matching: 0 | 1 | 2;
  /** In hex. */
  data: string;
}

export interface Published {
  /** The usable records. If there are none, TLS is required but nothing is verified (RFC 7672 section 2.2). */
  records: Tlsa[];
  /** The certificate must have one of these names, if an authority issued it. The first one goes into SNI. */
  names: string[];
}

/** What DNS says about a host. */
export interface HostAddresses {
  addresses: string[];
  /** The name that aliases lead to. */
  name: string;
  /** Whether all of it was validated. */
  secure: boolean;
}

/** Addresses tried for one host at most. */
const MAX_ADDRESSES = 4;

/** Errors: `DnsFailure`. */
export async function addressesOf(host: string, dns: Dns): Promise<HostAddresses> {
  const [v4, v6] = await Promise.all([dns.lookup(host, 'A'), dns.lookup(host, 'AAAA')]);
  const addresses = [...v4.records, ...v6.records].map(({ data }) => data).slice(0, MAX_ADDRESSES);
  return { addresses, name: v4.records.length > 0 ? v4.name : v6.name, secure: v4.secure && v6.secure };
}

/**
 * The validated TLSA records of a host (RFC 7672, section 2.2); undefined if there are none. Errors: `DnsFailure`,
 * after which the host must not be used.
 */
export async function publishedFor(
  host: string,
  port: number,
  { name, secure }: HostAddresses,
  dns: Dns,
): Promise<Published | undefined> {
  // Without DNSSEC there are no records to trust, and some servers of such zones fail when they are asked for one.
  if (!secure) return undefined;
  const own = plainName(host);
  for (const base of new Set([name, own])) {
    const found = await dns.lookup(`_${port}._tcp.${base}`, 'TLSA');
    if (found.secure && found.records.length > 0)
      return { records: found.records.flatMap(usable), names: [...new Set([base, own])] };
  }
  return undefined;
}

function usable({ data }: RecordOf<'TLSA'>): Tlsa[] {
  const { usage, selector, matchingType: matching, certificate } = data;
  if (usage !== 2 && usage !== 3) return [];
  if (selector !== 0 && selector !== 1) return [];
  if (matching !== 0 && matching !== 1 && matching !== 2) return [];
  const length = { 0: certificate.length, 1: 32, 2: 64 }[matching];
  if (certificate.length === 0 || certificate.length !== length) return [];
  return [{ usage, selector, matching, data: certificate.toString('hex') }];
}

/**
 * Why the records do not accept a certificate chain; undefined if they do. For the server's own certificate (DANE-EE),
 * names and validity do not matter (RFC 7672 section 3.1.1).
 *
 * @param chain DER, the server's own certificate first
 */
export function daneFault(
  chain: readonly Buffer[],
  { records, names }: Published,
  at: Date,
): string | undefined {
  const [own] = chain;
  if (own === undefined) return 'the server has no certificate';
  try {
    if (records.some((record) => record.usage === 3 && matches(record, own))) return undefined;
    const authorities = records.filter(({ usage }) => usage === 2);
    if (authorities.length === 0) return 'no TLSA record matches the certificate';
    const anchors = [...chain.slice(1), ...wholeCertificates(authorities)].filter((each) =>
      authorities.some((record) => matches(record, each)),
    );
    if (anchors.length === 0) return 'no TLSA record matches a certificate of the chain';
    return authorityFault(chain, anchors.map(parseCertificate), names, at);
  } catch {
    return 'a certificate cannot be read';
  }
}

function authorityFault(
  chain: readonly Buffer[],
  anchors: readonly Certificate[],
  names: readonly string[],
  at: Date,
): string | undefined {
  const [own, ...others] = chain.map(parseCertificate);
  if (own === undefined) return 'the server has no certificate';
  const { trusted, message } = validatePath(own, { anchors, intermediates: others, at, purpose: 'any' });
  if (!trusted) return message;
  const certificate = new X509Certificate(own.der);
  const named = names.some((name) => certificate.checkHost(name, { partialWildcards: false }) !== undefined);
  return named ? undefined : `the certificate is not for ${names.join(' or ')}`;
}

/** Certificates that the records contain whole. A server need not send these. */
function wholeCertificates(records: readonly Tlsa[]): Buffer[] {
  return records
    .filter(({ selector, matching }) => selector === 0 && matching === 0)
    .map(({ data }) => Buffer.from(data, 'hex'));
}

function matches({ selector, matching, data }: Tlsa, certificate: Buffer): boolean {
  const octets = selector === 0 ? certificate : publicKeyOf(certificate);
  const digest = { 0: undefined, 1: 'sha256', 2: 'sha512' }[matching];
  const found = digest === undefined ? octets : createHash(digest).update(octets).digest();
  return found.toString('hex') === data;
}

/** The SubjectPublicKeyInfo, as it stands in the certificate. */
function publicKeyOf(certificate: Buffer): Buffer {
  return parseCertificate(certificate).publicKeyInfo.der;
}

/** SHA-256 of the public key of a certificate in DER, in hex; undefined if it cannot be read. */
export function pinOf(certificate: Buffer): string | undefined {
  try {
    return createHash('sha256').update(publicKeyOf(certificate)).digest('hex');
  } catch {
    return undefined;
  }
}
