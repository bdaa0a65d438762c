/** `profiles check`: who would fail a profile on a day, and why. */
import { Command } from 'commander';
import { loadConfig, profileBook } from '../config/index.ts';
import { isMet, missedByOwn, type Need, needsOf } from '../partner/index.ts';
import { rulesAt } from '../profile/index.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { partnerNamed } from './partners/find.ts';
import { dayOf, profileNamed, sourceOf } from './profiles-text.ts';
import { daysOf, withLookout } from './readiness.ts';

interface Options {
  config: string;
  at?: string;
  partner?: string;
  days: string;
  offline?: boolean;
  json?: boolean;
}

export function profileCheckCommand(): Command {
  return new Command('check')
    .description(
      'tell who would fail a profile on a day, and why: by settings, by certificates (own and of partners), and by the traffic of the last days; exit code 1 if anyone would',
    )
    .argument('<name>')
    .option('--at <date>', 'the day, such as 2027-07-01; default: now')
    .option('--partner <name>', 'only this partner')
    .option('--days <number>', 'days of traffic', '30')
    .option('--offline', 'without traffic and approved certificates: connect to nothing')
    .addOption(configOption())
    .option('--json', 'print what was found as JSON')
    .action(check);
}

const asJson = ({ rule, level, found, where, what }: Need) => ({
  rule: rule.id,
  level,
  where,
  what,
  found,
  says: rule.says,
  source: rule.source,
});

async function check(name: string, options: Options): Promise<void> {
  const config = await loadConfig(options.config);
  const book = await profileBook(config);
  const profile = profileNamed(book, name);
  const at = dayOf(options.at);
  const days = daysOf(options.days);
  const partners = options.partner === undefined ? config.partners : [partnerNamed(config, options.partner)];
  const rules = rulesAt(profile, at, book.dates);
  const day = at.toISOString().slice(0, 10);
  await withLookout(config, { days, offline: options.offline === true }, async ({ keys, seen: seenOf }) => {
    const decrypting = keys.identities.filter(
      ({ use, certificate }) => use.includes('decrypt') && certificate.notAfter >= at,
    );
    const own = missedByOwn(decrypting, 'encrypt', rules);
    const found = [];
    for (const partner of partners) {
      const seen = await seenOf(partner);
      const needs = needsOf(partner, rules, keys, seen.traffic, at);
      found.push({ partner: partner.name, meets: isMet(needs), unread: seen.unread, ...needs });
    }
    const failing = found.filter(({ meets }) => !meets).length;
    const ownFail = own.some(({ level }) => level === 'must');
    if (failing > 0 || ownFail) process.exitCode = 1;
    if (options.json) {
      const shown = found.map(({ partner, meets, blocked, needs, unread }) => ({
        ...{ partner, meets, blocked: blocked ?? null },
        ...{ needs: needs.map(asJson), unreadMessages: unread },
      }));
      printJson({ profile: profile.name, at: day, own: own.map(asJson), partners: shown }, 2);
      return;
    }
    const seen = options.offline === true ? 'without traffic' : `traffic of ${days} days`;
    printLine(`${profile.name} (${profile.version}) on ${day}, ${seen}`);
    printNeeds('your keys', !ownFail, undefined, own);
    for (const { partner, meets, blocked, needs } of found) printNeeds(partner, meets, blocked, needs);
    printLine(`${failing} of ${found.length} partner${found.length === 1 ? '' : 's'} would fail`);
  });
}

const places: Record<Need['where'], string> = {
  settings: 'settings',
  certificate: 'certificate',
  'own-certificate': 'your certificate',
  traffic: 'traffic',
};

function printNeeds(who: string, meets: boolean, blocked: string | undefined, needs: readonly Need[]): void {
  const state = !meets ? 'would fail' : needs.length === 0 ? 'meets it' : 'meets it, but';
  printLine(`${who}: ${state}`);
  if (blocked !== undefined) printLine(`  nothing could be sent: ${blocked}`);
  const rules = [...new Set(needs.map(({ rule }) => rule))];
  for (const rule of rules) {
    const missing = needs.filter((need) => need.rule === rule);
    const level = missing.some((need) => need.level === 'must') ? 'must' : 'should';
    printLine(`  ${level} ${rule.id}: ${rule.says} (${sourceOf(rule)})`);
    for (const { where, found, what } of missing) printLine(`    ${places[where]}: ${found} (${what})`);
  }
}
