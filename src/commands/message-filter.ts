/** The options that choose messages, the same for `messages list`, `resume` and `terminate`. */
import { type Command, Option } from 'commander';
import { SealpostError } from '../errors.ts';
import { isState, type ListQuery, messageStates } from '../queue/index.ts';

export interface FilterOptions {
  direction?: string;
  state?: string;
  reason?: string;
  mailbox?: string;
  partner?: string;
  since?: string;
  until?: string;
  messageId?: string;
  sha256?: string;
  address?: string;
  subject?: string;
}

const directions = ['inbound', 'outbound'] as const;

export function addFilters(command: Command, { state = true } = {}): Command {
  if (state)
    command
      .addOption(new Option('--direction <direction>', 'only messages of this direction').choices(directions))
      .option('--state <state>', `only messages in this state: ${messageStates.join(', ')}`);
  return command
    .option('--reason <code>', 'only messages suspended for this reason')
    .option('--mailbox <name>', 'only messages of this mailbox')
    .option('--partner <name>', 'only messages of this partner')
    .option('--since <time>', 'only messages received at that time (ISO 8601) or later')
    .option('--until <time>', 'only messages received before that time (ISO 8601)')
    .option('--message-id <id>', 'only messages with this Message-ID field')
    .option('--address <address>', 'only messages with this address in the envelope')
    .option('--subject <text>', 'only messages whose subject has this in it, where keepSubjects is set')
    .addOption(new Option('--sha256 <hex>', 'only messages whose octets have this SHA-256'));
}

/** A query of the ledger. `usage` for an invalid state, time or digest. */
export function queryOf(options: FilterOptions): ListQuery {
  const query: ListQuery = {};
  const { direction, state, reason, mailbox, partner, since, until, messageId, sha256, address, subject } =
    options;
  const wanted = directions.find((each) => each === direction);
  if (wanted !== undefined) query.direction = wanted;
  if (state !== undefined) {
    if (!isState(state))
      throw new SealpostError('usage', `--state: unknown state ${JSON.stringify(state)}`, {
        hint: `states are ${messageStates.join(', ')}`,
      });
    query.state = state;
  }
  if (reason !== undefined) query.reason = reason;
  if (mailbox !== undefined) query.mailbox = mailbox;
  if (partner !== undefined) query.partner = partner;
  if (address !== undefined) query.address = address;
  if (subject !== undefined) query.subject = subject;
  if (since !== undefined) query.since = timeOf('--since', since);
  if (until !== undefined) query.until = timeOf('--until', until);
  // Angle brackets are awkward in a shell, so they may be left out.
  if (messageId !== undefined) query.messageId = messageId.startsWith('<') ? messageId : `<${messageId}>`;
  if (sha256 !== undefined) {
    if (!/^[0-9a-f]{64}$/i.test(sha256))
      throw new SealpostError('usage', '--sha256: give 64 hexadecimal digits');
    query.sha256 = sha256;
  }
  return query;
}

export function timeOf(option: string, text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new SealpostError('usage', `${option}: ${JSON.stringify(text)} is not an ISO 8601 time`);
  return time;
}

export function countOf(option: string, text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new SealpostError('usage', `${option}: give a whole number from 1`);
  return count;
}
