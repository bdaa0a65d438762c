/** Looks certificates of partners up in directories, now. */
import type { Command } from 'commander';
import { idOf, loadCounting, offerLookedUp } from '../certstore/index.ts';
import { loadKeys, type PartnerConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Asked, addressesOf, lookupsOf } from '../lookup/index.ts';
import { PartnerDirectory } from '../partner/index.ts';
import { comparable } from '../printable.ts';
import { type CertsOptions, type OpenedCerts, withCerts } from './certs-open.ts';
import { openNetwork } from './network.ts';
import { configOption } from './options.ts';
import { printError, printJson, printLine } from './output.ts';
import { partnerNamed } from './partners/find.ts';

interface LookupOptions extends CertsOptions {
  fresh?: boolean;
}

interface Row {
  address: string;
  directory: string;
  thumbprint: string;
  subject: string | null;
  notAfter: string;
  became: 'waiting' | 'known' | 'full';
}

const words = {
  waiting: 'waits for approval',
  known: 'is known already',
  full: 'was not kept: too many wait for approval',
};

async function lookup(name: string, options: LookupOptions): Promise<void> {
  await withCerts(options.config, async (opened) => {
    const partner = partnerOf(opened, name);
    const addresses = name.includes('@') ? [name] : addressesOf(partner);
    const rows: Row[] = [];
    const refused: string[] = [];
    const failed: string[] = [];
    const answered: number[] = [];
    await eachAddress(opened, partner, addresses, options, async (address, asked, offer) => {
      if (asked.at !== undefined) answered.push(asked.at);
      refused.push(...asked.refused.map((line) => `${address}: ${line}`));
      failed.push(
        ...asked.failed.map(({ directory, error }) => `${directory}: ${error.message} [${error.code}]`),
      );
      for (const found of asked.found) {
        const { subject, thumbprint, notAfter } = found.certificate;
        const became = await offer(found);
        rows.push({
          ...{ address, directory: found.directory, thumbprint, subject: subject ?? null },
          ...{ notAfter: notAfter.toISOString(), became },
        });
      }
    });
    const at = answered.length === 0 ? null : Math.min(...answered);
    if (options.json)
      printJson({ found: rows, refused, failed, at: at === null ? null : new Date(at).toISOString() }, 2);
    else print(rows, refused, failed, at);
    if (failed.length > 0) process.exitCode = 1;
  });
}

function partnerOf({ config }: OpenedCerts, name: string): PartnerConfig {
  const found = name.includes('@')
    ? new PartnerDirectory(config.partners).byAddress(name)
    : partnerNamed(config, name);
  if (found === undefined)
    throw new SealpostError('partner-unknown', `no partner has the address ${JSON.stringify(name)}`, {
      hint: 'only partners are looked up; add one with sealpost partners add',
    });
  if (found.lookup.length === 0)
    throw new SealpostError('usage', `partner ${found.name} names no directory`, {
      hint: 'write the names of directories under lookup of the partner',
    });
  return found;
}

async function eachAddress(
  { config, queue, store }: OpenedCerts,
  partner: PartnerConfig,
  addresses: readonly string[],
  { fresh }: LookupOptions,
  take: (
    address: string,
    asked: Asked,
    offer: (found: Asked['found'][number]) => Promise<Row['became']>,
  ) => Promise<void>,
): Promise<void> {
  if (addresses.length === 0)
    throw new SealpostError('usage', `partner ${partner.name} has no full address, only domains`, {
      hint: 'name the address: sealpost certs lookup ADDRESS',
    });
  const network = await openNetwork(config);
  const directory = new PartnerDirectory(config.partners);
  const ownerOf = (address: string) => directory.byAddress(address)?.name;
  const { CountingCertificates } = await loadCounting();
  const counting = new CountingCertificates(store, await loadKeys(config));
  const lookups = lookupsOf(config, { queue, dns: network.parts.dns });
  try {
    for (const address of addresses) {
      const asked = await lookups.ask(address, partner.lookup, { fresh: fresh ?? false });
      await take(address, asked, (found) =>
        offerLookedUp({ ...found, partner: partner.name }, { store, counting, ownerOf }),
      );
    }
  } finally {
    await network.close();
  }
}

/** Milliseconds: answers that are older were remembered. */
const isOld = 60_000;

/** @param at of the oldest answer, in milliseconds since the epoch; null if nobody answered */
function print(
  rows: readonly Row[],
  refused: readonly string[],
  failed: readonly string[],
  at: number | null,
): void {
  for (const { address, directory, thumbprint, subject, notAfter, became } of rows)
    printLine(
      comparable(
        `${idOf({ thumbprint })}  ${address}  ${directory}  until ${notAfter.slice(0, 10)}  ${subject ?? '-'}: ${words[became]}`,
      ),
    );
  if (rows.length === 0) printLine('no certificate was found');
  for (const line of refused) printLine(comparable(`not used: ${line}`));
  for (const line of failed) printError(`sealpost: ${comparable(line)}`);
  if (at !== null && Date.now() - at > isOld)
    printLine(`as remembered since ${new Date(at).toISOString()}; --fresh asks the directories again`);
  if (rows.some(({ became }) => became === 'waiting'))
    printLine(
      'compare each with what the partner told you: sealpost certs show ID, sealpost certs approve ID',
    );
}

export function addLookup(command: Command): void {
  command
    .command('lookup')
    .argument('<partner>', 'name of a partner, or one of its addresses')
    .description(
      'look certificates of a partner up in the directories that it names; what is found waits for approval',
    )
    .addOption(configOption())
    .option('--fresh', 'ask the directories, whatever is remembered of them')
    .option('--json', 'print JSON')
    .action(lookup);
}
