/** What a person does with messages: resume, terminate, decode again, save. Each act is in the audit trail. */
import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { SealpostError, toErrorInfo } from '../errors.ts';
import type { Flow, ListQuery, MessageState, QueueRoom } from '../queue/index.ts';
import { OutputFile } from './files.ts';
import { addFilters, type FilterOptions, queryOf } from './message-filter.ts';
import { replayCommand } from './messages-replay.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printError, printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

interface BulkOptions extends FilterOptions {
  config: string;
  all?: boolean;
  dryRun?: boolean;
  json?: boolean;
  why?: string;
}

type Act = (flow: Flow, id: string) => Promise<boolean>;

/** Number of ids that a dry run prints. */
const firstIds = 20;
const atOnce = 50;

/** Acts on the named messages, or on all in these states that the filters select. */
async function bulk(
  ids: string[],
  options: BulkOptions,
  act: Act,
  not: string,
  states: readonly MessageState[] = ['suspended'],
): Promise<void> {
  const filters = queryOf(options);
  const filtered = Object.keys(filters).length > 0 || options.all === true;
  if (filtered === ids.length > 0)
    throw new SealpostError('usage', 'select messages either by id or by filters', {
      hint: '--all selects every message that the command is for; --dry-run shows what would be selected',
    });
  await withQueue(await loadConfig(options.config), async (queue) => {
    const chosen = await choose(queue, ids, filters, states);
    if (options.dryRun)
      return report(options, { dryRun: true, messages: chosen.length, ids: chosen.slice(0, firstIds) });
    const done: string[] = [];
    const failed: { id: string; error: string }[] = [];
    for (let at = 0; at < chosen.length; at += atOnce)
      await Promise.all(
        chosen.slice(at, at + atOnce).map(async (id) => {
          const error = await act(queue.flow, id).then(
            (did) => (did ? undefined : `${id} ${not}`),
            (thrown: unknown) => {
              const { code, message } = toErrorInfo(thrown);
              return `${message} [${code}]`;
            },
          );
          if (error === undefined) done.push(id);
          else failed.push({ id, error });
        }),
      );
    if (failed.length > 0) process.exitCode = 1;
    report(options, { messages: done.length, ids: done, failed });
  });
}

async function choose(
  queue: QueueRoom,
  ids: string[],
  filters: ListQuery,
  states: readonly MessageState[],
): Promise<string[]> {
  if (ids.length > 0) return ids;
  const chosen: string[] = [];
  for (const state of states) for await (const id of queue.ledger.ids({ ...filters, state })) chosen.push(id);
  return chosen;
}

interface Report {
  dryRun?: boolean;
  messages: number;
  ids: string[];
  failed?: { id: string; error: string }[];
}

function report({ json }: BulkOptions, result: Report): void {
  if (json) {
    printJson(result);
    return;
  }
  for (const id of result.ids) printLine(id);
  for (const { error } of result.failed ?? []) printError(`sealpost: ${error}`);
  if (result.dryRun)
    printLine(
      `${result.messages} message${result.messages === 1 ? '' : 's'} would be changed; nothing was done`,
    );
}

/** Decodes suspended or delivered messages again from the kept original. */
async function decodeAgain(ids: string[], options: BulkOptions): Promise<void> {
  const act: Act = async (flow, id) => {
    await flow.decodeAgain(id, actOf(options));
    return true;
  };
  await bulk(ids, options, act, '');
}

/** Writes the octets as received into a new file that only its owner can read. The audit entry comes first. */
async function save(id: string, options: { config: string; original: string; why?: string }): Promise<void> {
  await withQueue(await loadConfig(options.config), async ({ flow, ledger, spool }) => {
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
    printLine(`${ref.octets} octets`);
  });
}

function actOf({ why }: { why?: string }): { by: string; why?: string } {
  return { by: operator(), ...(why === undefined ? {} : { why }) };
}

function bulkCommand(name: string, description: string, all = 'every suspended message'): Command {
  const command = new Command(name).description(description).argument('[id...]').addOption(configOption());
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
        bulk(ids, options, (flow, id) => flow.resume(id, actOf(options)), 'is not suspended'),
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
        bulk(
          ids,
          options,
          (flow, id) => flow.retry(id, actOf(options)),
          'has nothing that waits (a suspended message is resumed)',
          ['received', 'decoded', 'queued'],
        ),
      ),
  );
  command.addCommand(
    bulkCommand('terminate', 'end messages for good')
      .requiredOption('--why <reason>', whyText)
      .action((ids: string[], options: BulkOptions) => {
        const why = options.why ?? '';
        return bulk(
          ids,
          options,
          (flow, id) => flow.terminate(id, why, { by: operator() }),
          'has already ended',
        );
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
    .argument('<id>')
    .addOption(configOption())
    .requiredOption('--original <file>', 'the file; only its owner can read it')
    .option('--why <reason>', whyText)
    .action(save);
}
