/** Alerts: what needs a person, rules, silences, and a test of how people are told. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import {
  AlertBook,
  isBefore,
  type ListedAlert,
  listAlerts,
  matchText,
  type Silence,
  type SilenceMatch,
  silenceAlerts,
  tellTest,
  unsilenceAlerts,
} from '../alert/index.ts';
import { factsOfCondition } from '../config/alert-conditions.ts';
import { type AlertRule, alertRulesOf } from '../config/alert-rules.ts';
import { loadConfig, readDuration } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { QueueRoom } from '../queue/index.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printDone, printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

interface Options {
  config: string;
  json?: boolean;
}

const iso = (at: number) => new Date(at).toISOString();

function withBook<T>(config: string, work: (book: AlertBook, queue: QueueRoom) => Promise<T>): Promise<T> {
  return loadConfig(config).then((loaded) => withQueue(loaded, (queue) => work(new AlertBook(queue), queue)));
}

export function alertsCommand(): Command {
  const command = new Command('alerts');
  for (const each of [listCommand(), rulesCommand(), silenceCommand(), unsilenceCommand(), testCommand()])
    command.addCommand(each);
  return command;
}

function listCommand(): Command {
  return new Command('list')
    .description('show what needs a person now, silences, and how people are told')
    .addOption(configOption())
    .option('--all', 'also what is bad, but not for long enough yet')
    .option('--json', 'print JSON')
    .action(async (options: Options & { all?: boolean }) => {
      await withBook(options.config, async (book) => {
        const list = await listAlerts(book, Date.now());
        const alerts = list.alerts.filter(({ state }) => options.all || state === 'firing');
        if (options.json) return printJson({ ...list, alerts }, 2);
        for (const alert of alerts) printAlert(alert);
        if (alerts.length === 0) printLine('nothing needs a person');
        for (const silence of list.silences) printLine(silenceLine(silence));
        for (const { name, at, outcome } of list.channels)
          printLine(`told by ${name}, last at ${iso(at)}: ${outcome}`);
        const { looked } = list;
        printLine(
          looked ? `looked at ${iso(looked.at)} by ${looked.by}` : 'nobody has looked at the rules yet',
        );
      });
    });
}

function printAlert({ id, severity, rule, text, hint, since, state, silencedBy }: ListedAlert): void {
  const more = [
    state === 'pending' ? 'not for long enough yet' : '',
    silencedBy ? `silenced: ${silencedBy}` : '',
  ];
  printLine([id, severity.padEnd(8), rule, `since ${iso(since)}`, ...more].filter(Boolean).join('  '));
  printLine(`  ${text}`);
  if (hint !== null) printLine(`  what to do: ${hint}`);
}

const silenceLine = ({ id, match, until, by, why }: Silence) =>
  `silence ${id} until ${iso(until)} by ${by}: ${matchText(match)} (${why})`;

function rulesCommand(): Command {
  return new Command('rules')
    .description('show the rules in force')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (options: Options) => {
      const rules = alertRulesOf(await loadConfig(options.config));
      if (options.json) return printJson(rules, 2);
      for (const rule of rules) printLine(ruleLine(rule));
    });
}

function ruleLine({
  name,
  condition,
  threshold,
  clear,
  for: length,
  by,
  severity,
  origin,
}: AlertRule): string {
  const { unit, bad, what } = factsOfCondition(condition);
  const valueText = (value: number) => (unit === 'duration' ? durationText(value) : String(value));
  const level = `${bad} ${valueText(threshold)}${clear === threshold ? '' : `, good at ${valueText(clear)}`}`;
  return [
    `${name.padEnd(15)} ${severity.padEnd(8)} ${condition} ${level}`,
    ...(length > 0 ? [`for ${durationText(length)}`] : []),
    ...(by.length > 0 ? [`by ${by.join(', ')}`] : []),
    `${origin}: ${what}`,
  ].join('; ');
}

function durationText(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  return ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`;
}

interface SilenceOptions extends Options, Omit<SilenceMatch, 'alert'> {
  for: string;
  why: string;
}

function silenceCommand(): Command {
  return new Command('silence')
    .description('tell nobody of some alerts for a time: of one by its id, or of all that have what is named')
    .argument('[id]', 'id of an alert')
    .addOption(configOption())
    .option('--rule <name>', 'alerts of this rule')
    .option('--mailbox <name>', 'alerts about this mailbox')
    .option('--partner <name>', 'alerts about this partner')
    .option('--reason <code>', 'alerts about messages suspended for this reason')
    .requiredOption('--for <duration>', 'how long, such as 4h or 2d')
    .requiredOption('--why <text>', 'the reason, for the audit trail')
    .option('--json', 'print JSON')
    .action(async (id: string | undefined, options: SilenceOptions) => {
      const { rule, mailbox, partner, reason, why } = options;
      const length = readDuration(options.for);
      if (length === undefined)
        throw new SealpostError(
          'usage',
          `--for: ${JSON.stringify(options.for)} is not a duration such as 4h`,
        );
      const named = Object.entries({ alert: id, rule, mailbox, partner, reason }).filter(
        ([, value]) => value !== undefined,
      );
      if (named.length === 0)
        throw new SealpostError(
          'usage',
          'give the id of an alert, or --rule, --mailbox, --partner or --reason',
        );
      const match: SilenceMatch = Object.fromEntries(named);
      await withBook(options.config, async (book, { audit }) => {
        if (id !== undefined && !(await book.states()).has(id))
          throw new SealpostError('usage', `there is no alert ${id}`, { hint: 'see sealpost alerts list' });
        const now = Date.now();
        const acting = { book, audit, now, by: operator() };
        const silence = await silenceAlerts(acting, { match, until: now + length, why });
        if (options.json) return printJson(silence, 2);
        printLine(silenceLine(silence));
      });
    });
}

function unsilenceCommand(): Command {
  return new Command('unsilence')
    .description('end a silence: what lasts is told')
    .argument('<id>', 'id of the silence')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (id: string, options: Options) => {
      await withBook(options.config, async (book, { audit }) => {
        const acting = { book, audit, now: Date.now(), by: operator() };
        const { match } = await unsilenceAlerts(acting, id);
        printDone(options, { ended: id, match }, `ended: ${matchText(match)}`);
      });
    });
}

/** Milliseconds for which a test waits for its channels. */
const patience = 60_000;

function testCommand(): Command {
  return new Command('test')
    .description('have a test told by all channels; exit code 1 if one of them fails')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (options: Options) => {
      const { alerts } = await loadConfig(options.config);
      const names = [...(alerts.webhook ? ['webhook'] : []), ...(alerts.mail ? ['mail'] : [])];
      if (names.length === 0)
        throw new SealpostError('usage', 'alerts are told to nobody', {
          hint: 'write alerts.mail or alerts.webhook',
        });
      await withBook(options.config, async (book, { audit }) => {
        const now = Date.now();
        await audit.add({ at: now, by: operator(), what: 'alert-test' });
        const id = await tellTest(book, operator(), now);
        const results = await Promise.all(names.map((name) => outcomeOf(book, name, id, now)));
        if (options.json) printJson(results, 2);
        else for (const { name, text } of results) printLine(`${name}: ${text}`);
        if (results.some(({ ok }) => !ok)) process.exitCode = 1;
      });
    });
}

async function outcomeOf(book: AlertBook, name: string, id: string, since: number) {
  const deadline = performance.now() + patience;
  while (performance.now() < deadline) {
    const state = await book.channel(name);
    if (state !== null && !isBefore(state.position, id)) return { name, ok: true, text: state.outcome };
    if (state?.trouble && state.at >= since) return { name, ok: false, text: state.outcome };
    await sleep(200);
  }
  return { name, ok: false, text: 'nobody has told it: does the daemon run, with these settings?' };
}
