/** CERT records (RFC 4398), as Direct uses them (of the address, else of its domain), and SMIMEA records (RFC 8162). */
import { createHash } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import type { Mailbox } from '../message/index.ts';
import { type Dns, DnsFailure, type RawType } from '../net/index.ts';
import { type Directory, type DirectoryAnswer, readValues } from './types.ts';

/** Certificate types (RFC 4398 section 2.1). */
const types = { pkix: 1, ipkix: 4 };
/** Type, key tag and algorithm come before the certificate. */
const headOctets = 5;

/** The local part is a label, so it must be one (RFC 4398 section 3.1, RFC 1035 section 8). */
function addressName({ localPart, host }: Mailbox): string | undefined {
  return /^[a-z0-9_+-]{1,63}$/i.test(localPart) ? `${localPart}.${host}` : undefined;
}

export function dnsCert(dns: Dns): Directory {
  const ask = async (name: string) => readRecords(await provenRecords(dns, name, 'CERT'));
  return {
    kind: 'cert',
    async find(mailbox) {
      const { host } = mailbox;
      if (host.startsWith('['))
        throw new SealpostError('lookup-failed', 'an address literal has no records in DNS');
      const name = addressName(mailbox);
      const own: DirectoryAnswer = name === undefined ? { certificates: [], beside: [] } : await ask(name);
      if (own.certificates.length > 0) return own;
      const domain = await ask(host);
      return { certificates: domain.certificates, beside: [...own.beside, ...domain.beside] };
    },
  };
}

function readRecords(records: readonly Buffer[]): DirectoryAnswer {
  const values: Buffer[] = [];
  const beside: string[] = [];
  for (const record of records) {
    const type = record.length > headOctets ? record.readUInt16BE(0) : 0;
    if (type === types.pkix) values.push(record.subarray(headOctets));
    // A URL is never fetched: whoever wrote the record would choose what we connect to.
    else if (type === types.ipkix) beside.push('a record that names a URL, which is not fetched');
    else beside.push(`a record of type ${type}, which is no X.509 certificate`);
  }
  const read = readValues(values);
  return { certificates: read.certificates, beside: [...beside, ...read.beside] };
}

/** The name is made of this many octets of the SHA-256 of the local part (RFC 8162 section 3). */
const nameOctets = 28;

/** The name whose records belong to a mailbox. The local part is used as written, in NFC. */
export function smimeaName({ localPart, host }: Pick<Mailbox, 'localPart' | 'host'>): string {
  const digest = createHash('sha256').update(localPart.normalize('NFC')).digest();
  return `${digest.subarray(0, nameOctets).toString('hex')}._smimecert.${host}`;
}

export function smimea(dns: Dns): Directory {
  return {
    kind: 'smimea',
    async find(mailbox) {
      const values = await provenRecords(dns, smimeaName(mailbox), 'SMIMEA');
      const whole: Buffer[] = [];
      const beside: string[] = [];
      for (const value of values) {
        const [usage, selector, matching] = value;
        // RFC 6698 section 2.1: 1 and 3 are of an end entity, 0 and 2 of an authority.
        if (usage !== 1 && usage !== 3) beside.push('a record about an authority, which is not looked up');
        else if (selector !== 0 || matching !== 0)
          beside.push('a record that has no certificate, but a key or a digest');
        else whole.push(value.subarray(3));
      }
      const read = readValues(whole);
      return { certificates: read.certificates, beside: [...beside, ...read.beside] };
    },
  };
}

/**
 * The records of a name, as octets.
 *
 * @throws {SealpostError} `lookup-failed`, also if the answer was not validated
 */
export async function provenRecords(dns: Dns, name: string, type: RawType): Promise<Buffer[]> {
  const failed = (message: string, cause?: unknown) =>
    new SealpostError('lookup-failed', message, cause === undefined ? {} : { cause });
  try {
    const { records, secure } = await dns.lookup(name, type);
    if (records.length > 0 && !secure)
      throw failed(`the ${type} records of ${name} are not signed (DNSSEC), so they prove nothing`);
    return records.map(({ data }) => data);
  } catch (error) {
    if (!(error instanceof DnsFailure)) throw error;
    throw failed(error.message, error);
  }
}
