import { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { SealpostError } from '../errors.ts';
import type { Flow, LedgerEvent, ListQuery, MessageRecord, MessageState } from '../queue/index.ts';
import { configOption } from './options.ts';
import { withQueue } from './queue.ts';

const states: readonly MessageState[] = [
  'received',
  'decoded',
  'delivered',
  'suspended',
  'terminated',
  'queued',
  'sent',
];

interface ListOptions {
  config: string;
  state?: string;
  mailbox?: string;
  partner?: string;
  since?: string;
  limit: string;
  json?: boolean;
}

function queryOf(options: ListOptions): ListQuery {
  const query: ListQuery = {};
  if (options.state !== undefined) {
    const state = states.find((each) => each === options.state);
    if (!state)
      throw new SealpostError('usage', `--state: there is no state ${JSON.stringify(options.state)}`, {
        hint: `states are ${states.join(', ')}`,
      });
    query.state = state;
  }
  if (options.mailbox !== undefined) query.mailbox = options.mailbox;
  if (options.partner !== undefined) query.partner = options.partner;
  if (options.since !== undefined) {
    query.since = Date.parse(options.since);
    if (Number.isNaN(query.since))
      throw new SealpostError('usage', `--since: ${JSON.stringify(options.since)} is not an ISO 8601 time`);
  }
  query.limit = Number(options.limit);
  if (!Number.isInteger(query.limit) || query.limit < 1)
    throw new SealpostError('usage', '--limit: give a whole number from 1');
  return query;
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
  const place = direction === 'inbound' ? mailbox : partner;
  const cells = [
    id,
    time(receivedAt),
    state.padEnd(10),
    (place ?? '-').padEnd(12),
    String(octets).padStart(9),
    envelope.from || '<>',
  ];
  return `${cells.join('  ')}${reason ? `  ${reason}` : ''}\n`;
}

function eventText({ at, type, facts }: LedgerEvent): string {
  const shown = Object.entries(facts).filter(([, value]) => value !== null && value !== '');
  return `  ${time(at)}  ${type.padEnd(10)}  ${shown.map(([name, value]) => `${name}=${Array.isArray(value) ? value.join('+') : value}`).join(' ')}\n`;
}

async function list(options: ListOptions): Promise<void> {
  const query = queryOf(options);
  await withQueue(loadConfig(options.config), async ({ ledger }) => {
    const { messages } = await ledger.list(query);
    if (options.json) process.stdout.write(`${JSON.stringify(messages)}\n`);
    else for (const message of messages) process.stdout.write(line(message));
  });
}

async function show(id: string, options: { config: string; json?: boolean }): Promise<void> {
  await withQueue(loadConfig(options.config), async ({ ledger }) => {
    const message = await ledger.get(id);
    if (!message)
      throw new SealpostError('message-unknown', `there is no message ${id}`, {
        hint: 'see sealpost messages list',
      });
    if (options.json) {
      process.stdout.write(`${JSON.stringify(message, null, 2)}\n`);
      return;
    }
    const { events, envelope, origin, ...facts } = message;
    for (const [name, value] of Object.entries(facts)) {
      if (value !== null)
        process.stdout.write(`${name.padEnd(11)} ${name.endsWith('At') ? time(Number(value)) : value}\n`);
    }
    process.stdout.write(
      `${'from'.padEnd(11)} ${envelope.from || '<>'}\n${'to'.padEnd(11)} ${envelope.to.join(', ')}\n`,
    );
    process.stdout.write(`${'origin'.padEnd(11)} ${origin.kind} ${JSON.stringify(origin.detail)}\nevents\n`);
    for (const event of events) process.stdout.write(eventText(event));
  });
}

/** A command on the messages that are named one by one. */
async function each(
  ids: string[],
  config: string,
  act: (id: string, flow: Flow) => Promise<boolean>,
  not: string,
): Promise<void> {
  await withQueue(loadConfig(config), async ({ flow }) => {
    for (const id of ids) {
      if (await act(id, flow)) process.stdout.write(`${id}\n`);
      else {
        process.stderr.write(`sealpost: ${id}: ${not}\n`);
        process.exitCode = 1;
      }
    }
  });
}

export function messagesCommand(): Command {
  const command = new Command('messages').description('look into the ledger: what became of each message');
  command
    .command('list')
    .description('list messages, newest first')
    .addOption(configOption())
    .option('--state <state>', `only messages in this state: ${states.join(', ')}`)
    .option('--mailbox <name>', 'only messages of this mailbox')
    .option('--partner <name>', 'only messages of this partner')
    .option('--since <time>', 'only messages received since then (ISO 8601)')
    .option('--limit <number>', 'at most so many', '50')
    .option('--json', 'print JSON')
    .action(list);
  command
    .command('show')
    .description('show one message with its events')
    .argument('<id>')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(show);
  command
    .command('resume')
    .description('put suspended messages back to work')
    .argument('<id...>')
    .addOption(configOption())
    .action((ids: string[], { config }: { config: string }) =>
      each(ids, config, (id, flow) => flow.resume(id, process.env.USER), 'is not suspended'),
    );
  command
    .command('terminate')
    .description('end messages for good')
    .argument('<id...>')
    .addOption(configOption())
    .requiredOption('--why <reason>', 'the reason, for the ledger')
    .action((ids: string[], { config, why }: { config: string; why: string }) =>
      each(ids, config, (id, flow) => flow.terminate(id, why), 'has ended already'),
    );
  return command;
}
