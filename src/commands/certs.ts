/** Every certificate that is known, own and partners', and what is decided about those that wait for approval. */
import { createPublicKey } from 'node:crypto';
import { Command, Option } from 'commander';
import {
  type CertificateQuery,
  certificateStates,
  certificateUses,
  type KnownState,
  type KnownUse,
  matching,
} from '../certstore/index.ts';
import { SealpostError } from '../errors.ts';
import { comparable } from '../printable.ts';
import { addDecisions } from './certs-decide.ts';
import { addLookup } from './certs-lookup.ts';
import { type CertsOptions, linesOf, oneOf, ownerOf, withCerts } from './certs-open.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { partnerNamed } from './partners/find.ts';

interface ListOptions extends CertsOptions {
  partner?: string;
  use?: KnownUse;
  state?: KnownState;
  expiring?: string;
}

function queryOf({ partner, use, state, expiring }: ListOptions): CertificateQuery {
  if (expiring !== undefined && !/^\d{1,5}$/.test(expiring))
    throw new SealpostError('usage', '--expiring: not a number of days');
  return {
    ...(partner !== undefined && { partner }),
    ...(use !== undefined && { use }),
    ...(state !== undefined && { state }),
    ...(expiring !== undefined && { expiring: Number(expiring) }),
  };
}

const day = (time: string) => time.slice(0, 10);

async function list(options: ListOptions): Promise<void> {
  const query = queryOf(options);
  await withCerts(options.config, async ({ config, known, views }) => {
    const { partner } = query;
    // A removed partner still has what was decided about its certificates.
    const isKnown = known.some((each) => each.partner?.toLowerCase() === partner?.toLowerCase());
    if (partner !== undefined && !isKnown) query.partner = partnerNamed(config, partner).name;
    const found = await views(matching(known, query, Date.now()));
    if (options.json) return printJson(found);
    for (const each of found)
      printLine(
        comparable(
          [
            each.id,
            each.state.padEnd(8),
            ownerOf(each),
            each.uses.join(',') || '-',
            each.key,
            `serial ${each.serialNumber}`,
            `until ${day(each.notAfter)}`,
            each.subject ?? '-',
          ].join('  '),
        ),
      );
  });
}

async function show(text: string, options: CertsOptions): Promise<void> {
  await withCerts(options.config, async ({ known, views }) => {
    const { thumbprint } = oneOf(known, text);
    // The same certificate may have several owners.
    const same = known.filter((each) => each.thumbprint === thumbprint);
    const found = await views(same);
    if (options.json) return printJson(found);
    for (const [index, each] of found.entries()) {
      if (index > 0) printLine('');
      for (const line of linesOf(each)) printLine(line);
    }
  });
}

async function exportPem(text: string, options: CertsOptions & { key?: boolean }): Promise<void> {
  await withCerts(options.config, async ({ known }) => {
    const { certificate } = oneOf(known, text);
    const pem = options.key
      ? createPublicKey({ key: certificate.spki, format: 'der', type: 'spki' }).export({
          format: 'pem',
          type: 'spki',
        })
      : certificate.toPem();
    for (const line of String(pem).trimEnd().split('\n')) printLine(line);
  });
}

export function certsCommand(): Command {
  const command = new Command('certs');
  command
    .command('list')
    .description("list all certificates that are known, own and partners'")
    .addOption(configOption())
    .option('--partner <name>', 'only those of this partner')
    .addOption(new Option('--use <use>', 'only those for this use').choices(certificateUses))
    .addOption(new Option('--state <state>', 'only those in this state').choices(certificateStates))
    .option('--expiring <days>', 'only those that end within so many days')
    .option('--json', 'print JSON')
    .action(list);
  command
    .command('show')
    .argument('<certificate>', 'id, serial number or thumbprint')
    .description('show all that is known of a certificate: which key is serial 4F..?')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(show);
  command
    .command('export')
    .argument('<certificate>', 'id, serial number or thumbprint')
    .description('print a certificate in PEM')
    .addOption(configOption())
    .option('--key', 'print its public key instead')
    .action(exportPem);
  addLookup(command);
  addDecisions(command);
  return command;
}
