/** What a person does with messages: resume, terminate, decode again, save. Each act is in the audit trail. */
import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { SealpostError, toErrorInfo } from '../errors.ts';
import type { Flow, ListQuery, MessageState, QueueRoom } from '../queue/index.ts';
import { OutputFile } from './files.ts';
import { addFilters, type FilterOptions, queryOf } from './message-filter.ts';
import { wholeId } from './message-id.ts';
import { replayCommand } from './messages-replay.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printDone, printError, printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';
import { plural } from './when.ts';

interface BulkOptions extends FilterOptions {
  config: string;
  all?: boolean;
  dryRun?: boolean;
  json?: boolean;
  why?: string;
}

interface Act {
  /** Of what would be done: "resumed". */
  done: string;
  /** Why it was not done, after the id. */
  not: string;
  /** Of the messages that filters choose among. */
  states: readonly MessageState[];
  /** False if there was nothing to do. */
  do(flow: Flow, id: string): Promise<boolean>;
}

/** Number of ids that a dry run prints. */
const firstIds = 20;
const atOnce = 50;

/** Acts on the named messages, or on all in these states that the filters select. */
async function bulk(ids: string[], options: BulkOptions, act: Act): Promise<void> {
  const filters = queryOf(options);
  const filtered = Object.keys(filters).length > 0 || options.all === true;
  if (filtered === ids.length > 0)
    throw new SealpostError('usage', 'select messages either by id or by filters', {
      hint: '--all selects every message that the command is for; --dry-run shows what would be selected',
    });
  await withQueue(await loadConfig(options.config), async (queue) => {
    const { chosen, failed } = await choose(queue, ids, filters, act.states);
    if (failed.length > 0) process.exitCode = 1;
    if (options.dryRun) {
      const result = { dryRun: true, messages: chosen.length, ids: chosen.slice(0, firstIds) };
      return report(options, { ...result, ...(failed.length > 0 && { failed }) }, act.done);
    }
    const done: string[] = [];
    for (let at = 0; at < chosen.length; at += atOnce)
      await Promise.all(
        chosen.slice(at, at + atOnce).map(async (id) => {
          const said = await act.do(queue.flow, id).catch(told);
          if (said === true) done.push(id);
          else if (said !== false) failed.push({ id, error: said });
          // Filters also find what is in hand, stands in line, or has just moved on.
          else if (!filtered) failed.push({ id, error: `${id} ${act.not}` });
        }),
      );
    if (failed.length > 0) process.exitCode = 1;
    report(options, { messages: done.length, ids: done, failed }, act.done);
  });
}

function told(thrown: unknown): string {
  const { code, message } = toErrorInfo(thrown);
  return `${message} [${code}]`;
}

interface Failure {
  /** As it was given. */
  id: string;
  error: string;
}

async function choose(
  queue: QueueRoom,
  ids: string[],
  filters: ListQuery,
  states: readonly MessageState[],
): Promise<{ chosen: string[]; failed: Failure[] }> {
  const chosen = new Set<string>();
  const failed: Failure[] = [];
  for (const id of ids)
    await wholeId(queue.ledger, id).then(
      (whole) => chosen.add(whole),
      (thrown: unknown) => failed.push({ id, error: told(thrown) }),
    );
  if (ids.length === 0)
    for (const state of states)
      for await (const id of queue.ledger.ids({ ...filters, state })) chosen.add(id);
  return { chosen: [...chosen], failed };
}

interface Report {
  dryRun?: boolean;
  messages: number;
  ids: string[];
  failed?: Failure[];
}

function report({ json }: BulkOptions, result: Report, done: string): void {
  if (json) {
    printJson(result);
    return;
  }
  for (const id of result.ids) printLine(id);
  for (const { error } of result.failed ?? []) printError(`sealpost: ${error}`);
  if (result.dryRun) printLine(`${plural(result.messages, 'message')} would be ${done}; nothing was done`);
}

/** Decodes suspended or delivered messages again from the kept original. */
async function decodeAgain(ids: string[], options: BulkOptions): Promise<void> {
  await bulk(ids, options, {
    done: 'decoded again',
    not: '',
    states: ['suspended'],
    async do(flow, id) {
      await flow.decodeAgain(id, actOf(options));
      return true;
    },
  });
}

interface SaveOptions {
  config: string;
  original: string;
  why?: string;
  json?: boolean;
}

/** Writes the octets as received into a new file that only its owner can read. The audit entry comes first. */
async function save(text: string, options: SaveOptions): Promise<void> {
  await withQueue(await loadConfig(options.config), async ({ flow, ledger, spool }) => {
    const id = await wholeId(ledger, text);
    const ref = await flow.originalOf(id);
    if (!ref)
      throw new SealpostError('original-gone', `the original octets of ${id} are no longer kept`, {
        hint: 'retention.original says how long they are kept after delivery',
      });
    const file = await OutputFile.create(options.original, { isNew: true });
    try {
      const act = actOf(options);
      const at = Date.now();
      await ledger.note(id, { type: 'saved', at, facts: { ...act } }, { at, what: 'save', id, ...act });
      for await (const piece of spool.open(ref)) await file.write(piece);
    } catch (error) {
      await file.abort();
      throw error;
    }
    await file.commit();
    printDone(options, { id, octets: ref.octets, file: options.original }, plural(ref.octets, 'octet'));
  });
}

function actOf({ why }: { why?: string }): { by: string; why?: string } {
  return { by: operator(), ...(why === undefined ? {} : { why }) };
}

function bulkCommand(name: string, description: string, all = 'every suspended message'): Command {
  const command = new Command(name)
    .description(description)
    .argument('[id...]', 'ids, or their first characters')
    .addOption(configOption());
  return addFilters(command, { state: false })
    .option('--all', all)
    .option('--dry-run', 'only print how many, and the first ids')
    .option('--json', 'print JSON');
}

const whyText = 'the reason, for ledger and audit trail';

export function addActs(command: Command): void {
  command.addCommand(
    bulkCommand('resume', 'put suspended messages back to work: the step that failed is done again')
      .option('--why <reason>', whyText)
      .action((ids: string[], options: BulkOptions) =>
        bulk(ids, options, {
          done: 'resumed',
          not: 'is not suspended',
          states: ['suspended'],
          do: (flow, id) => flow.resume(id, actOf(options)),
        }),
      ),
  );
  command.addCommand(
    bulkCommand(
      'retry',
      'try messages that wait again now, and with them the server or destination that they wait for',
      'every message that waits',
    )
      .option('--why <reason>', whyText)
      .action((ids: string[], options: BulkOptions) =>
        bulk(ids, options, {
          done: 'tried now',
          not: 'has nothing that waits for an attempt: it is in hand, in line behind others, or suspended (resume it)',
          states: ['received', 'decoded', 'queued'],
          do: (flow, id) => flow.retry(id, actOf(options)),
        }),
      ),
  );
  command.addCommand(
    bulkCommand('terminate', 'end messages for good')
      .requiredOption('--why <reason>', whyText)
      .action((ids: string[], options: BulkOptions) => {
        const why = options.why ?? '';
        return bulk(ids, options, {
          done: 'terminated',
          not: 'has already ended',
          states: ['suspended'],
          do: (flow, id) => flow.terminate(id, why, { by: operator() }),
        });
      }),
  );
  command.addCommand(
    bulkCommand(
      'decode',
      'decode messages again from their originals, with the current keys and settings: suspended ones, and by id delivered ones whose original is kept (retention.original); these are handed off again under another idempotency key',
    )
      .option('--why <reason>', whyText)
      .action(decodeAgain),
  );
  command.addCommand(replayCommand());
  command
    .command('save')
    .description('write the octets of a message as they came, still encrypted, to a new file')
    .argument('<id>', 'the id, or its first characters')
    .addOption(configOption())
    .requiredOption('--original <file>', 'the file; only its owner can read it')
    .option('--why <reason>', whyText)
    .option('--json', 'print JSON')
    .action(save);
}
