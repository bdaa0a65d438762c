import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { errorRow, SealpostError } from '../errors.ts';
import type { LedgerEvent, ListQuery, MessageRecord } from '../queue/index.ts';
import { type Attempts, attemptsOf, attemptsText } from './attempts.ts';
import { addFilters, countOf, type FilterOptions, queryOf } from './message-filter.ts';
import { addActs } from './messages-act.ts';
import { configOption } from './options.ts';
import { printError, printJson, printLine } from './output.ts';
import { withRecords } from './queue.ts';

interface ListOptions extends FilterOptions {
  config: string;
  limit: string;
  cursor?: string;
  json?: boolean;
}

const time = (at: number) => new Date(at).toISOString();

function line({
  id,
  receivedAt,
  state,
  direction,
  mailbox,
  partner,
  octets,
  envelope,
  reason,
}: MessageRecord): string {
  // inbound: the mailbox, and the partner behind it, as far as known
  const place = direction === 'inbound' ? [mailbox, partner].filter(Boolean).join(' < ') : partner;
  const cells = [
    id,
    time(receivedAt),
    state.padEnd(10),
    (place ?? '-').padEnd(12),
    String(octets).padStart(9),
    envelope.from || '<>',
  ];
  return `${cells.join('  ')}${reason ? `  ${reason}` : ''}`;
}

function eventText({ at, type, facts }: LedgerEvent): string {
  const shown = Object.entries(facts).filter(([, value]) => value !== null && value !== '');
  return `  ${time(at)}  ${type.padEnd(10)}  ${shown.map(([name, value]) => `${name}=${Array.isArray(value) ? value.join('+') : value}`).join(' ')}`;
}

async function list(options: ListOptions): Promise<void> {
  const query: ListQuery = { ...queryOf(options), limit: countOf('--limit', options.limit) };
  if (options.cursor !== undefined) query.cursor = options.cursor;
  await withRecords(await loadConfig(options.config), async ({ ledger }) => {
    const { messages, cursor } = await ledger.list(query);
    const due = await ledger.due(messages.map(({ id }) => id));
    const attempts = messages.map((message, at) => attemptsOf(message, due[at] ?? null));
    if (options.json) printJson(messages.map((message, at) => ({ ...message, ...forJson(attempts[at]) })));
    else
      messages.forEach((message, at) => {
        const said = attempts[at] && attemptsText(attempts[at]);
        printLine(`${line(message)}${said ? `  ${said}` : ''}`);
      });
    if (cursor !== null) printError(`more: --cursor ${cursor}`);
  });
}

/** The same names as in the HTTP API. */
function forJson(found: Attempts | undefined): object {
  const next = found?.next ?? null;
  return {
    attempts: found?.attempts ?? 0,
    lastError: found?.last ?? null,
    nextAttempt: next === null || next === 0 ? null : time(next),
  };
}

/** Why the message is suspended, or why its last attempt failed: the code, and the one behind `attempts-exhausted`. */
function codesOf({ reason, events }: MessageRecord): string[] {
  const last = events.at(-1);
  const behind = events.findLast(({ type }) => type === 'suspended')?.facts.last;
  const codes = reason === null ? [last?.type === 'retried' ? last.facts.reason : null] : [reason, behind];
  return codes.filter((code) => typeof code === 'string');
}

/** One line each for what a reason code means and what to do about it. */
function explain(code: string): void {
  const row = errorRow(code);
  if (row === undefined) return;
  printLine(`${'why'.padEnd(11)} ${code}: ${row.cause}`);
  printLine(`${'what to do'.padEnd(11)} ${row.remedy}`);
}

async function show(id: string, options: { config: string; json?: boolean }): Promise<void> {
  await withRecords(await loadConfig(options.config), async ({ ledger }) => {
    const message = await ledger.get(id);
    if (!message)
      throw new SealpostError('message-unknown', `there is no message ${id}`, {
        hint: 'see sealpost messages list',
      });
    const [due = null] = await ledger.due([id]);
    const attempts = attemptsOf(message, due);
    if (options.json) {
      printJson({ ...message, ...forJson(attempts) }, 2);
      return;
    }
    const { events, envelope, origin, ...facts } = message;
    for (const [name, value] of Object.entries(facts)) {
      if (value === null) continue;
      const text = typeof value === 'object' ? JSON.stringify(value) : value;
      printLine(`${name.padEnd(11)} ${name.endsWith('At') ? time(Number(value)) : text}`);
    }
    if (attempts.attempts > 0) printLine(`${'attempts'.padEnd(11)} ${attempts.attempts}`);
    if (attempts.last !== null) printLine(`${'last reply'.padEnd(11)} ${attempts.last}`);
    if (due !== null) printLine(`${'next'.padEnd(11)} ${due === 0 ? 'waits for its turn' : time(due)}`);
    printLine(`${'from'.padEnd(11)} ${envelope.from || '<>'}`);
    printLine(`${'to'.padEnd(11)} ${envelope.to.join(', ')}`);
    printLine(`${'origin'.padEnd(11)} ${origin.kind} ${JSON.stringify(origin.detail)}`);
    for (const code of codesOf(message)) explain(code);
    printLine('events');
    for (const event of events) printLine(eventText(event));
  });
}

export function messagesCommand(): Command {
  const command = new Command('messages');
  addFilters(command.command('list').description('list messages, newest first').addOption(configOption()))
    .option('--limit <number>', 'maximum number of results', '50')
    .option('--cursor <cursor>', 'continue after the previous page')
    .option('--json', 'print JSON')
    .action(list);
  command
    .command('show')
    .description('show one message with its events')
    .argument('<id>')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(show);
  addActs(command);
  return command;
}
