import { Command } from 'commander';
import { type DkimConfig, loadConfig, type ProbeNote, readDkimKey } from '../config/index.ts';
import { type RecordFault, recordFault, recordLine, recordName, recordText } from '../dkim/index.ts';
import { toDomain } from '../domain.ts';
import { SealpostError } from '../errors.ts';
import type { Lookups } from '../smtp/index.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';

interface RecordOptions {
  config: string;
  json?: boolean;
}

export function dkimCommand(): Command {
  const command = new Command('dkim');
  command
    .command('record')
    .description('print the DNS records to publish, as lines of a zone file')
    .argument('[domain]', 'only those of this domain')
    .addOption(configOption())
    .option('--json', 'print name and text of each record as JSON')
    .action(record);
  return command;
}

async function record(wanted: string | undefined, { config: file, json }: RecordOptions): Promise<void> {
  const { dkim } = await loadConfig(file);
  const domain = wanted === undefined ? undefined : toDomain(wanted);
  const chosen = wanted === undefined ? dkim : dkim.filter((each) => toDomain(each.domain) === domain);
  if (chosen.length === 0)
    throw new SealpostError(
      'usage',
      `there is no key for DKIM${wanted === undefined ? '' : ` of ${wanted}`}`,
      {
        hint: 'write dkim with domain, selector and key',
      },
    );
  const keys = await Promise.all(chosen.map(readDkimKey));
  if (json)
    printJson(
      keys.map((key) => ({ name: recordName(key), type: 'TXT', text: recordText(key) })),
      2,
    );
  else for (const key of keys) printLine(recordLine(key));
}

const faults: Record<Exclude<RecordFault, 'testing'>, string> = {
  missing: 'has no record of a key for DKIM',
  several: 'has more than one record, and servers may take any of them',
  revoked: 'says that the key is revoked',
  'other-key': 'has another key than the one of this entry',
  'not-allowed': 'does not allow signatures by this key (its k, h or s)',
};

/**
 * Compares what DNS has for a key with the key.
 *
 * @param texts as `Lookups.texts`
 * @throws {SealpostError} `dns-failed`, `config-invalid`; those of the key
 */
export async function checkRecord(entry: DkimConfig, texts: Lookups['texts']): Promise<ProbeNote[]> {
  const key = await readDkimKey(entry);
  const name = recordName(key);
  let found: string[];
  try {
    found = await texts(name);
  } catch (cause) {
    const hint = 'look at your resolver (dns.resolver), and at the DNSSEC of the domain';
    throw new SealpostError('dns-failed', `DNS gave no answer for ${name}`, { hint, cause });
  }
  const fault = recordFault(key, found);
  if (fault === undefined) return [];
  if (fault !== 'testing')
    throw new SealpostError('config-invalid', `${name} ${faults[fault]}`, {
      hint: `publish what this prints: sealpost dkim record ${key.domain}`,
    });
  const message = `${name} says that signatures are a test (t=y), so servers ignore those that fail`;
  return [{ message, hint: 'publish the record without t=y' }];
}
