import { Command } from 'commander';
import { type Config, loadConfig } from '../config/index.ts';
import { attemptsOf, type Ledger, type ListQuery, type MessageRecord } from '../queue/index.ts';
import { addFilters, countOf, type FilterOptions, queryOf } from './message-filter.ts';
import { forJson, type Listed, messageColumns, messageRow } from './message-rows.ts';
import { addShow } from './message-show.ts';
import { addActs } from './messages-act.ts';
import { configOption } from './options.ts';
import { printError, printJson, terminal } from './output.ts';
import { withRecords } from './queue.ts';
import { printTable, tableLines } from './table.ts';
import { onScreen, repeat } from './watch.ts';

interface ListOptions extends FilterOptions {
  config: string;
  limit: string;
  cursor?: string;
  watch?: boolean;
  json?: boolean;
}

async function pageOf(
  ledger: Ledger,
  query: ListQuery,
): Promise<{ listed: Listed[]; cursor: string | null }> {
  const { messages, cursor } = await ledger.list(query);
  const ids = messages.map(({ id }) => id);
  const [due, subjects] = [await ledger.due(ids), await ledger.subjects(ids)];
  const listed = messages.map((message, at) => ({
    message,
    attempts: attemptsOf(message, due[at] ?? null),
    subject: subjects[at] ?? null,
  }));
  return { listed, cursor };
}

const rowsOf = (listed: readonly Listed[], subjects: boolean, now = Date.now()) =>
  listed.map((each) => messageRow(each, now, subjects));

/** Whether there may be subjects. */
const keepsSubjects = ({ mailboxes, partners }: Config) =>
  [...mailboxes, ...partners].some(({ keepSubjects }) => keepSubjects);

async function list(options: ListOptions): Promise<void> {
  const query: ListQuery = { ...queryOf(options), limit: countOf('--limit', options.limit) };
  if (options.cursor !== undefined) query.cursor = options.cursor;
  const config = await loadConfig(options.config);
  const kept = keepsSubjects(config);
  await withRecords(config, async ({ ledger }) => {
    if (options.watch) return await watch(ledger, query, { json: options.json === true, kept });
    const { listed, cursor } = await pageOf(ledger, query);
    if (options.json) return printJson({ messages: listed.map(forJson), cursor });
    if (listed.length === 0 && cursor === null) return printError('no messages');
    // from before it was turned off
    const subjects = kept || listed.some(({ subject }) => subject !== null);
    if (listed.length > 0) printTable(messageColumns(subjects), rowsOf(listed, subjects));
    else printError('no message among those that were looked through so far');
    if (cursor !== null) printError(`more: --cursor ${cursor}`);
  });
}

/** On a terminal, the list as it is; elsewhere a line for each message that is new in it, or has changed. */
async function watch(
  ledger: Ledger,
  query: ListQuery,
  { json, kept }: { json: boolean; kept: boolean },
): Promise<void> {
  if (terminal() && !json)
    return await onScreen(async () => {
      const { listed } = await pageOf(ledger, query);
      return tableLines(messageColumns(kept), rowsOf(listed, kept));
    });
  let known = new Map<string, string>();
  let heading = true;
  await repeat(async () => {
    const { listed } = await pageOf(ledger, query);
    const news = listed.filter(({ message }) => known.get(message.id) !== signOf(message)).reverse();
    known = new Map(listed.map(({ message }) => [message.id, signOf(message)]));
    if (json) for (const each of news) printJson(forJson(each));
    else if (news.length > 0) printTable(messageColumns(kept), rowsOf(news, kept), heading);
    heading = heading && news.length === 0;
  });
}

const signOf = ({ updatedAt, state, events }: MessageRecord) => `${updatedAt} ${state} ${events.length}`;

export function messagesCommand(): Command {
  const command = new Command('messages');
  addFilters(command.command('list').description('list messages, newest first').addOption(configOption()))
    .option('--limit <number>', 'maximum number of results', '50')
    .option('--cursor <cursor>', 'continue after the previous page')
    .option('--watch', 'go on: show what changes, every two seconds, until Ctrl-C')
    .option('--json', 'print JSON, with the cursor of the next page; with --watch, a line for each message')
    .action(list);
  addShow(command);
  addActs(command);
  return command;
}
