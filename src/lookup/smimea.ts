/** SMIMEA records (RFC 8162). */
import { createHash } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import type { Mailbox } from '../message/index.ts';
import { type Dns, DnsFailure, type RawType } from '../net/index.ts';
import { readValues } from './reading.ts';
import type { Directory } from './types.ts';

/** Octets of the SHA-256 of the local part that are its name (RFC 8162 section 3). */
const nameOctets = 28;

/** The name that has the records of a mailbox. The local part counts as it is written, in NFC. */
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
