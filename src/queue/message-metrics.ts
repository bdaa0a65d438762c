/**
 * Counts what happens to messages, and whose they are. The names are those of the configuration: a sender that only
 * claims to be somebody has no label. However many partners there are, a process shows only so many of them.
 */
import type { PartnerNames } from '../config/index.ts';
import { isErrorCode } from '../errors.ts';
import { boundedLabel, counter } from '../metrics.ts';
import type { Attribution, Jobs, QueueName } from './types.ts';

/** Names of each kind that have time series of their own. */
const most = 500;

const happened = counter(
  'messages_total',
  'What happened to messages (accepted, done, retried, suspended), by queue, mailbox, partner and reason.',
  ['event', 'queue', 'mailbox', 'partner', 'reason'],
);

export type Happened = 'accepted' | 'done' | 'retried' | 'suspended';

const mailboxLabel = boundedLabel(most);
const partnerLabel = boundedLabel(most);

/** @param from who sent it, by key, as far as known */
export function countMessage(
  event: Happened,
  queue: QueueName,
  job: Pick<Jobs[QueueName], 'direction'> & { mailbox?: string; partner?: string },
  names: Pick<PartnerNames, 'present'>,
  { reason = '', from }: { reason?: string; from?: Pick<Attribution, 'partner'> | undefined } = {},
): void {
  // its message has been counted
  if (queue === 'failures') return;
  const partner = job.partner ?? from?.partner ?? '';
  happened.inc({
    event,
    queue,
    mailbox: job.mailbox === undefined ? '' : mailboxLabel(job.mailbox),
    partner: partner === '' ? '' : partnerLabel(names.present(partner)),
    reason: reason === '' || isErrorCode(reason) ? reason : 'other',
  });
}
