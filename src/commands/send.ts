import { createHash } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';
import { operatorClient } from '../client/index.ts';
import { type Config, loadConfig, readDuration } from '../config/index.ts';
import { isOfClass, SealpostError } from '../errors.ts';
import {
  type Outgoing,
  PartnerBook,
  type Request,
  type Submitted,
  submit,
  type To,
  timeOf,
} from '../pipeline/submit.ts';
import type { OutboundIntake, QueueRoom } from '../queue/index.ts';
import { collect, configOption } from './options.ts';
import { addOutgoingOptions, isStandardInput, type OutgoingOptions, outgoing } from './outgoing.ts';
import { printError, printJson, printLine } from './output.ts';
import { withLazyQueue, withQueue } from './queue.ts';
import { reportError } from './report.ts';
import { type FileOptions, filesOf } from './send-files.ts';
import { type Accepted, waitFor } from './send-wait.ts';

/** Submissions at a time: they share the fsync of Redis. */
const AT_ONCE = 16;

/** Puts a mail on the outbound queue of the running daemon. Errors: those of `submit` and of opening the queue. */
export async function submitToDaemon(config: Config, partner: string, mail: Outgoing): Promise<string> {
  const [sent] = await withQueue(config, (queue) =>
    submitTo(async () => queue, config, { partner }, mail, {}),
  );
  return sent?.id ?? '';
}

async function submitTo(
  open: () => Promise<Pick<QueueRoom, 'intake'>>,
  { partners }: Config,
  to: To,
  mail: Outgoing,
  request: Request,
): Promise<Submitted[]> {
  const parts = {
    partners: new PartnerBook(partners),
    withIntake: async <T>(work: (intake: OutboundIntake) => Promise<T>) => await work((await open()).intake),
    now: () => new Date(),
  };
  const origin = { kind: 'command', detail: {} } as const;
  return await submit(parts, { client: operatorClient, to, outgoing: mail, origin, ...request });
}

interface SendOptions extends OutgoingOptions, FileOptions {
  partner?: string;
  to?: string[];
  config: string;
  json?: boolean;
  idempotencyKey?: string;
  metadata?: Record<string, string>;
  priority?: string;
  notBefore?: string;
  notAfter?: string;
  wait?: boolean;
  timeout?: string;
}

export function sendCommand(): Command {
  const command = new Command('send')
    .argument(
      '[files...]',
      'content of any kind, which becomes the attachment of a new mail under its file name; or a mail, which gets From, To, Date and Message-ID where they are missing; - for standard input; a folder for the files in it, but for those that begin with a dot or end in .tmp or .part',
    )
    .option('--partner <name>', 'name of the partner in the configuration')
    .option('--to <address>', 'a recipient, repeatable: an address of a partner', collect)
    .option(
      '--files-from0 <file>',
      'further files: names that end in a NUL, as find -print0 writes them; - for standard input',
    );
  return addOutgoingOptions(command)
    .option(
      '--idempotency-key <key>',
      'the same key with the same mail is sent once, for 7 days; of several files each gets a key of its own by its name',
    )
    .option('--metadata <name=value>', 'comes back in the ledger and in events, repeatable', pair)
    .option('--priority <number>', 'from 1 (first) to 10')
    .option('--not-before <time>', 'leaves at this time or later (2026-12-01T08:00:00Z)')
    .option('--not-after <time>', 'suspended as expired if it was not sent by this time')
    .option('--wait', 'until all are sent or suspended; exit code 1 unless all were sent')
    .option('--timeout <duration>', 'with --wait: no longer than this, such as 30s or 10m')
    .addOption(configOption())
    .option('--json', 'print JSON, a line for each message')
    .action(send);
}

function pair(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf('=');
  const name = text.slice(0, equals);
  if (equals < 1) throw new InvalidArgumentError('Write name=value.');
  if (Object.hasOwn(previous, name)) throw new InvalidArgumentError(`${name} is there twice.`);
  return { ...previous, [name]: text.slice(equals + 1) };
}

async function send(named: string[], options: SendOptions): Promise<void> {
  const to = recipientsOf(options);
  const patience = patienceOf(options);
  const files = await filesOf(named, options);
  // interpreted first: a wrong option is an error before anything is sent
  const mails = files.map((file) => ({ file, mail: outgoing(file, options) }));
  const config = await loadConfig(options.config);
  await withLazyQueue(config, async (open) => {
    const accepted: Accepted[] = [];
    let failed = 0;
    const left = mails[Symbol.iterator]();
    let stop = false;
    const worker = async () => {
      for (const { file, mail } of left) {
        try {
          const request = requestOf(options, files.length > 1 ? file : undefined);
          const sent = await submitTo(open, config, to, mail, request);
          for (const each of sent) accept({ ...each, file });
        } catch (error) {
          if (files.length === 1) throw error;
          failed++;
          // the next would fail alike: the store is full or away, or the call is wrong
          if (
            !isOfClass(error, 'message') &&
            !(error instanceof SealpostError && (error.code === 'file-access' || error === mail.problem))
          ) {
            stop = true;
            reportError(error);
          } else {
            const isNamed =
              error instanceof SealpostError && error.code === 'file-access' && error.message.includes(file);
            const where = isNamed ? '' : `${file}: `;
            printError(`sealpost: ${where}${error.message} [${error.code}]`);
          }
        }
        if (stop) break;
      }
    };
    const accept = (each: Accepted) => {
      accepted.push(each);
      if (options.json && !options.wait) printJson(shownOf(each));
      else if (!options.json) printLine(files.length > 1 ? `${each.id}  ${each.file}` : each.id);
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, worker));
    const untried = [...left].length;
    if (untried > 0) printError(`sealpost: ${untried} files were not tried`);
    if (failed + untried > 0) process.exitCode = 1;
    if (!options.wait || accepted.length === 0) return;
    const { ledger } = await open();
    const results = await waitFor(accepted, ledger, patience);
    if (results.some(({ state }) => state !== 'sent')) process.exitCode = 1;
    for (const each of results)
      if (options.json) printJson({ ...shownOf(each), state: each.state, reason: each.reason });
      else if (each.state !== 'sent')
        printError(`${each.id}: ${each.state ?? 'unknown'}${each.why === '' ? '' : `: ${each.why}`}`);
  });
}

const shownOf = ({ id, partner, duplicate, file }: Accepted) => ({ id, partner, duplicate, file });

function recipientsOf({ partner, to }: SendOptions): To {
  if (partner !== undefined) return { partner, recipients: to };
  if (to !== undefined) return { recipients: to };
  throw new SealpostError('usage', 'nobody to send to', { hint: 'give --partner or --to' });
}

function patienceOf({ wait, timeout }: SendOptions): number {
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  if (!wait) throw new SealpostError('usage', '--timeout is about --wait', { hint: 'give both' });
  const milliseconds = readDuration(timeout);
  if (milliseconds === undefined)
    throw new SealpostError('usage', `--timeout: ${JSON.stringify(timeout)} is no duration`, {
      hint: 'write 30s or 10m',
    });
  return milliseconds;
}

/** @param file where there are several: each is a message of its own */
function requestOf(options: SendOptions, file: string | undefined): Request {
  const { idempotencyKey: key, metadata, priority, notBefore, notAfter } = options;
  const asked = { priority: priority && Number(priority), notBefore: at(notBefore), notAfter: at(notAfter) };
  const delivery = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  const own = file === undefined ? key : key && `${key}:${digestOf(file)}`;
  return {
    ...(metadata && { metadata }),
    ...(own !== undefined && { idempotencyKey: own }),
    ...(Object.keys(delivery).length > 0 && { delivery }),
  };
}

const at = (time: string | undefined) => (time === undefined ? undefined : timeOf(time));
const digestOf = (file: string) =>
  isStandardInput(file) ? '-' : createHash('sha256').update(file).digest('hex').slice(0, 32);
