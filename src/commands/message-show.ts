/** One message: `messages show` for what is the matter with it, `messages trace` for all that happened. */
import type { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import {
  type Attempts,
  attemptsOf,
  explanationsOf,
  type Ledger,
  type LedgerEvent,
  type MessageRecord,
} from '../queue/index.ts';
import { type LogLine, logLines } from './log-lines.ts';
import { wholeId } from './message-id.ts';
import { forJson, type Listed, lastText, nextText } from './message-rows.ts';
import { collect, configOption } from './options.ts';
import { printError, printJson, printLine } from './output.ts';
import { withRecords } from './queue.ts';
import { relative, stamp } from './when.ts';

const line = (name: string, text: string | number) => printLine(`${name.padEnd(11)} ${text}`);

function factsText(facts: LedgerEvent['facts']): string {
  const shown = Object.entries(facts).filter(([, value]) => value !== null && value !== '');
  return shown.map(([name, value]) => `${name}=${Array.isArray(value) ? value.join('+') : value}`).join(' ');
}

/** What the message waits for, or how it ended: where nothing is wrong. */
function standing({ state, updatedAt }: MessageRecord, { next }: Attempts, now: number): [string, string] {
  const when = relative(updatedAt, now);
  if (state === 'delivered' || state === 'sent' || state === 'terminated')
    return [`${state} ${when}`, 'nothing; it has ended'];
  return [
    `${state} ${when}`,
    next === null ? 'nothing; it goes on by itself' : `nothing; it ${waits(next, now)}`,
  ];
}

function waits(next: number, now: number): string {
  return next > now ? `is due ${relative(next, now)}` : nextText(next, now);
}

function printWhy(message: MessageRecord, attempts: Attempts, now: number): void {
  const found = explanationsOf(message);
  for (const { code, why, next } of found) {
    line('why', `${code}: ${why}`);
    line('next', next);
  }
  if (found.length > 0) return;
  // a reason of a later version
  if (message.reason !== null) {
    line('why', message.reason);
    return;
  }
  const [why, next] = standing(message, attempts, now);
  line('why', why);
  line('next', next);
}

async function find(ledger: Ledger, text: string): Promise<Listed> {
  const id = await wholeId(ledger, text);
  const message = await ledger.get(id);
  if (message === null)
    throw new SealpostError('message-unknown', `there is no message ${id}`, {
      hint: 'see sealpost messages list',
    });
  const [[due = null], [subject = null]] = [await ledger.due([id]), await ledger.subjects([id])];
  return { message, attempts: attemptsOf(message, due), subject };
}

async function show(text: string, options: { config: string; json?: boolean }): Promise<void> {
  await withRecords(await loadConfig(options.config), async ({ ledger }) => {
    const found = await find(ledger, text);
    if (options.json) return printJson(forJson(found), 2);
    const { message, attempts, subject } = found;
    const now = Date.now();
    printWhy(message, attempts, now);
    if (attempts.attempts > 0) line('attempts', attempts.attempts);
    if (attempts.attempts > 0 && attempts.lastError !== null)
      line('last reply', lastText(attempts.lastError));
    if (attempts.attempts > 0 && attempts.next !== null) line('try', nextText(attempts.next, now));
    const { events, envelope, origin, ...facts } = message;
    for (const [name, value] of Object.entries(facts)) {
      if (value === null) continue;
      const text = typeof value === 'object' ? JSON.stringify(value) : value;
      line(
        name,
        name.endsWith('At') ? `${stamp(Number(value))} (${new Date(Number(value)).toISOString()})` : text,
      );
    }
    if (subject !== null) line('subject', subject);
    line('from', envelope.from || '<>');
    line('to', envelope.to.join(', '));
    line('origin', `${origin.kind} ${JSON.stringify(origin.detail)}`);
    printLine('events');
    for (const { at, type, facts } of events)
      printLine(`  ${stamp(at)}  ${type.padEnd(11)}  ${factsText(facts)}`.trimEnd());
  });
}

interface TraceOptions {
  config: string;
  log?: string[];
  journal?: string | boolean;
  json?: boolean;
}

/** Everything that is known of a message, in the order in which it happened. */
async function trace(text: string, options: TraceOptions): Promise<void> {
  await withRecords(await loadConfig(options.config), async ({ ledger, audit }) => {
    const { message } = await find(ledger, text);
    const { id, events, receivedAt } = message;
    const acts = await audit.list({ id, since: receivedAt, limit: 1000 });
    const log: LogLine[] = [];
    for await (const each of logLines(id, { ...options, since: receivedAt })) log.push(each);
    if (options.json) return printJson({ message, audit: acts, log: log.map(({ fields }) => fields) }, 2);
    const lines = [
      ...events.map(({ at, type, facts }) => ({
        at,
        from: 'event',
        what: `${type.padEnd(11)} ${factsText(facts)}`,
      })),
      ...acts.map(({ at, by, what, why }) => ({
        at,
        from: 'act',
        what: `${what.padEnd(11)} ${by} ${why ?? ''}`,
      })),
      ...log.map(({ at, text }) => ({ at, from: 'log', what: text })),
    ];
    // of what happened at the same time, the order above stays
    for (const { at, from, what } of lines.sort((a, b) => a.at - b.at))
      printLine(`${stamp(at)}.${String(at % 1000).padStart(3, '0')}  ${from.padEnd(5)}  ${what}`.trimEnd());
    if (options.log === undefined && options.journal === undefined)
      printError('log lines: add --log FILE for each file of the log, or --journal where systemd keeps it');
  });
}

export function addShow(command: Command): void {
  command
    .command('show')
    .description('show one message: why it stands where it stands, what to do, facts and events')
    .argument('<id>', 'the id, or its first characters')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(show);
  command
    .command('trace')
    .description('show all that happened to a message: events, what people did, lines of the log')
    .argument('<id>', 'the id, or its first characters')
    .addOption(configOption())
    .option(
      '--log <file>',
      'a file of the log of sealpost start; - reads standard input; may be repeated',
      collect,
    )
    .option('--journal [unit]', "the journal of systemd, of this unit; without one of sealpost's")
    .option('--json', 'print JSON')
    .action(trace);
}
