/** CERT records (RFC 4398), as Direct uses them: of the address, else of its whole domain. */
import { SealpostError } from '../errors.ts';
import type { Mailbox } from '../message/index.ts';
import type { Dns } from '../net/index.ts';
import { readValues } from './reading.ts';
import { provenRecords } from './smimea.ts';
import type { Directory, DirectoryAnswer } from './types.ts';

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
    // Whoever wrote the record would choose what we connect to.
    else if (type === types.ipkix) beside.push('a record that names a URL, which is not fetched');
    else beside.push(`a record of type ${type}, which is no X.509 certificate`);
  }
  const read = readValues(values);
  return { certificates: read.certificates, beside: [...beside, ...read.beside] };
}
