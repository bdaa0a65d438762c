/** `partners matrix`: per partner what was seen, which profiles it meets, and what it would need for the others. */
import { Command } from 'commander';
import { loadConfig, profileBook } from '../../config/index.ts';
import { matrixAt, type SeenTraffic } from '../../partner/index.ts';
import { comparable } from '../../printable.ts';
import type { Aspects } from '../../profile/index.ts';
import { configOption } from '../options.ts';
import { printJson, printLine } from '../output.ts';
import { dayOf } from '../profiles-text.ts';
import { daysOf, withLookout } from '../readiness.ts';
import { partnerNamed } from './find.ts';

interface Options {
  config: string;
  at?: string;
  partner?: string;
  days: string;
  json?: boolean;
}

export function matrixCommand(): Command {
  return new Command('matrix')
    .description(
      'show for each partner what was seen in its mail and in mail to it, which ciphers it announced, which profiles it meets, and what it would need for the others',
    )
    .option('--at <date>', 'the day on which it is to meet them, such as 2027-07-01; default: now')
    .option('--partner <name>', 'only this partner')
    .option('--days <number>', 'days of traffic', '30')
    .addOption(configOption())
    .option('--json', 'print it as JSON')
    .action(matrix);
}

async function matrix(options: Options): Promise<void> {
  const config = await loadConfig(options.config);
  const book = await profileBook(config);
  const at = dayOf(options.at);
  const days = daysOf(options.days);
  const partners = options.partner === undefined ? config.partners : [partnerNamed(config, options.partner)];
  await withLookout(config, { days, offline: false }, async ({ keys, seen }) => {
    const rowOf = matrixAt(book, keys, at);
    const rows = [];
    for (const partner of partners) rows.push(rowOf(partner, await seen(partner)));
    if (options.json) return printJson({ at: at.toISOString().slice(0, 10), days, partners: rows }, 2);
    for (const { partner, received, sent, announced, profiles: judged } of rows) {
      printLine(partner);
      printSeen('received', received);
      printSeen('sent', sent);
      if (announced !== null)
        printLine(
          `  announced ${comparable(announced.ciphers.join(', '))} (on ${announced.at.slice(0, 10)})`,
        );
      printLine(
        `  meets     ${
          judged
            .filter(({ meets }) => meets)
            .map(({ name }) => name)
            .join(', ') || 'none'
        }`,
      );
      for (const { name, meets, needs, blocked } of judged)
        if (!meets)
          printLine(`  lacks     ${name}: ${[...needs, ...(blocked === null ? [] : [blocked])].join(', ')}`);
    }
  });
}

function printSeen(what: string, { messages, last, ...aspects }: SeenTraffic): void {
  const count = `${messages} message${messages === 1 ? '' : 's'}`;
  printLine(`  ${what.padEnd(8)}  ${messages === 0 ? 'nothing' : `${count}, last on ${last}`}`);
  for (const [name, counts] of namesOf(aspects)) {
    const most = Object.entries(counts).sort(([, a], [, b]) => b - a);
    if (most.length > 0)
      printLine(`    ${name.padEnd(14)} ${most.map(([each, count]) => `${each} (${count})`).join(', ')}`);
  }
}

const namesOf = ({ protection, ciphers, keyManagement, signatures, keys }: Aspects) =>
  [
    ['layers', protection],
    ['ciphers', ciphers],
    ['key management', keyManagement],
    ['signatures', signatures],
    ['keys', keys],
  ] as const;
