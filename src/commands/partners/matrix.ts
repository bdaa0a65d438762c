/** `partners matrix`: per partner what was seen, which profiles it meets, and what it would need for the others. */
import { Command } from 'commander';
import { loadConfig, profileBook } from '../../config/index.ts';
import { isMet, needsOf } from '../../partner/index.ts';
import { type Aspects, aspectsOf, rulesAt, type Traffic } from '../../profile/index.ts';
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
      'show for each partner what was seen in its mail and in mail to it, which profiles it meets, and what it would need for the others',
    )
    .option('--at <date>', 'the day on which it is to meet them, such as 2027-07-01; default: now')
    .option('--partner <name>', 'only this partner')
    .option('--days <number>', 'days of traffic', '30')
    .addOption(configOption())
    .option('--json', 'print it as JSON')
    .action(matrix);
}

/** Messages of one direction, and when the last one was. */
function seenOf(traffic: readonly Traffic[], direction: 'inbound' | 'outbound') {
  const those = traffic.filter(({ seen }) => seen.direction === direction);
  return {
    messages: those.reduce((sum, { messages }) => sum + messages, 0),
    last:
      those
        .map(({ last }) => last)
        .sort()
        .at(-1) ?? null,
    ...aspectsOf(those, direction),
  };
}

async function matrix(options: Options): Promise<void> {
  const config = await loadConfig(options.config);
  const book = await profileBook(config);
  const at = dayOf(options.at);
  const days = daysOf(options.days);
  const partners = options.partner === undefined ? config.partners : [partnerNamed(config, options.partner)];
  const profiles = book.profiles.map((profile) => ({
    name: profile.name,
    rules: rulesAt(profile, at, book.dates),
  }));
  await withLookout(config, { days, offline: false }, async ({ keys, traffic }) => {
    const rows = [];
    for (const partner of partners) {
      const seen = await traffic(partner);
      const judged = profiles.map(({ name, rules }) => {
        const needs = needsOf(partner, rules, keys, seen.traffic, at);
        const must = needs.needs.filter(({ level }) => level === 'must');
        const needed = [...new Set(must.map(({ rule }) => rule.id))];
        return { name, meets: isMet(needs), needs: needed, blocked: needs.blocked ?? null };
      });
      rows.push({
        partner: partner.name,
        received: seenOf(seen.traffic, 'inbound'),
        sent: seenOf(seen.traffic, 'outbound'),
        unreadMessages: seen.unread,
        profiles: judged,
      });
    }
    if (options.json) return printJson({ at: at.toISOString().slice(0, 10), days, partners: rows }, 2);
    for (const { partner, received, sent, profiles: judged } of rows) {
      printLine(partner);
      printSeen('received', received);
      printSeen('sent', sent);
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

function printSeen(what: string, { messages, last, ...aspects }: ReturnType<typeof seenOf>): void {
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
