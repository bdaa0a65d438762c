/** Mailboxes and routes: how they are, and pausing them. The names are those of the HTTP API. */
import { Command } from 'commander';
import { type Config, loadConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import {
  configuredRoutes,
  findMailbox,
  findRoute,
  hostSaid,
  pauseRoute,
  pollMailbox,
  type QueueRoom,
  type RouteRef,
  resumeRoute,
  viewMailboxes,
  viewRoutes,
} from '../queue/index.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printDone, printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

interface Options {
  config: string;
  json?: boolean;
  why?: string;
  state?: string;
}

const time = (at: number | null | undefined) => (at ? new Date(at).toISOString() : '-');

async function listMailboxes({ config: file, json }: Options): Promise<void> {
  const config = await loadConfig(file);
  await withQueue(config, async ({ routes }) => {
    const views = await viewMailboxes(routes, config.mailboxes, Date.now());
    if (json)
      return printJson(
        views.map(({ mailbox: { name, addresses, imap }, state, paused, folder }) => ({
          ...{ name, addresses, state, paused, folder, imap: imap ? `${imap.host} ${imap.folder}` : null },
        })),
      );
    for (const { mailbox, state, paused, folder } of views) {
      const where = mailbox.imap ? `${mailbox.imap.host} ${mailbox.imap.folder}` : 'smtp';
      const more = mailbox.imap ? `  last poll ${time(folder?.lastScan)}` : '';
      printLine(`${mailbox.name.padEnd(20)}  ${state.padEnd(10)}  ${where}${more}`);
      if (paused) printLine(`  paused by ${paused.by} at ${time(paused.at)}${whyOf(paused)}`);
      if (folder?.lastError) printLine(`  ${folder.lastError.message} [${folder.lastError.code}]`);
    }
  });
}

const whyOf = ({ why }: { why: string }) => (why === '' ? '' : `: ${why}`);

async function listRoutes({ config: file, json, state }: Options): Promise<void> {
  if (state !== undefined && state !== 'paused' && state !== 'failing')
    throw new SealpostError('usage', `--state: unknown state ${JSON.stringify(state)}`, {
      hint: 'states are paused, failing',
    });
  const config = await loadConfig(file);
  await withQueue(config, async ({ routes }) => {
    const all = await viewRoutes(routes, configuredRoutes(config));
    const views = all.filter((each) => state === undefined || each.state === state);
    if (json) return printJson(views.map(({ name: _, shown: name, ...view }) => ({ name, ...view })));
    for (const { shown, state: now, type, target, inLine, ok, paused, failure, downSince } of views) {
      const line = inLine > 0 ? `  ${inLine} in line` : '';
      printLine(`${shown.padEnd(24)}  ${now.padEnd(8)}  ${type} ${target}${line}  last success ${time(ok)}`);
      if (paused) printLine(`  paused by ${paused.by} at ${time(paused.at)}${whyOf(paused)}`);
      if (downSince !== null) printLine(`  failing since ${time(downSince)}`);
      if (failure)
        printLine(
          `  last failure ${time(failure.at)}: ${hostSaid(failure.facts, 'no reply')} [${failure.code}]`,
        );
    }
  });
}

type Work = (
  queue: QueueRoom,
  ref: RouteRef,
  actor: { by: string; why?: string | undefined },
) => Promise<void>;

function act(
  name: string,
  description: string,
  argument: string,
  refOf: (config: Config, text: string) => RouteRef,
  work: Work,
  done: string,
): Command {
  return new Command(name)
    .description(description)
    .argument(argument)
    .addOption(configOption())
    .option('--why <reason>', 'the reason, for the audit trail')
    .option('--json', 'print JSON')
    .action(async (text: string, { config: file, why, ...options }: Options) => {
      const config = await loadConfig(file);
      const ref = refOf(config, text);
      await withQueue(config, (queue) => work(queue, ref, { by: operator(), why }));
      printDone(options, { [ref.kind]: ref.shown, done: name }, `${ref.shown} ${done}`);
    });
}

const mailboxRef = (config: Config, text: string): RouteRef => {
  const { name } = findMailbox(config, text);
  return { kind: 'mailbox', name, shown: name };
};
const polledRef = (config: Config, text: string): RouteRef => {
  const { name, imap } = findMailbox(config, text);
  if (imap) return { kind: 'mailbox', name, shown: name };
  throw new SealpostError('route-state', `mailbox ${name} has no imap, and is not polled`);
};

function listCommand(what: string, action: (options: Options) => Promise<void>): Command {
  return new Command('list')
    .description(what)
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(action);
}

export function mailboxesCommand(): Command {
  return new Command('mailboxes')
    .addCommand(listCommand('list mailboxes, and how each is read', listMailboxes))
    .addCommand(
      act(
        'pause',
        'take nothing for a mailbox: its folder is not read, and mail over SMTP is told to come again later',
        '<mailbox>',
        mailboxRef,
        pauseRoute,
        'is paused',
      ),
    )
    .addCommand(act('resume', 'take mail again', '<mailbox>', mailboxRef, resumeRoute, 'goes on'))
    .addCommand(
      act(
        'poll',
        'look into the folder of a mailbox now, also if it waits after a failure',
        '<mailbox>',
        polledRef,
        (queue, { name }, actor) => pollMailbox(queue, name, actor),
        'is polled now',
      ),
    );
}

export function routesCommand(): Command {
  return new Command('routes')
    .addCommand(
      listCommand(
        'list the ways to partners and destinations, and what the last attempts showed',
        listRoutes,
      ).option('--state <state>', 'only routes in this state: paused, failing'),
    )
    .addCommand(
      act(
        'pause',
        'send nothing to a partner, or to a destination as MAILBOX/DESTINATION: messages wait in their order',
        '<route>',
        findRoute,
        pauseRoute,
        'is paused',
      ),
    )
    .addCommand(
      act('resume', 'send again what waits, in its order', '<route>', findRoute, resumeRoute, 'goes on'),
    );
}
