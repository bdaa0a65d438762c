/** What a job says about its message, including jobs that an earlier version stored. */
import type { FailureJob, InboundMessage, Jobs, MessageRecord, QueueName } from './types.ts';

/** The message alone, without the fields of the job. */
export function messageOf(job: InboundMessage): InboundMessage {
  const { id, direction, mailbox, origin, envelope, messageId, receivedAt } = job;
  return { id, direction, mailbox, origin, envelope, messageId, receivedAt };
}

/** True for a job that has its whole message. Those of 0.1.0 have no `direction`, and only a part of the message. */
export function isCurrent(queue: QueueName, data: object): boolean {
  return queue === 'failures' || 'direction' in data;
}

/**
 * A job in its present form. What one of 0.1.0 lacks is in the record. Without a record, nothing is left to do for it.
 */
export function upgraded<N extends QueueName>(
  queue: N,
  data: Jobs[N],
  record: MessageRecord | null,
): Jobs[N] {
  if (isCurrent(queue, data)) return data;
  const direction = queue === 'outbound' ? 'outbound' : 'inbound';
  if (!record) return { ...data, direction, messageId: null };
  const { messageId, origin, receivedAt } = record;
  return { ...data, direction, messageId, origin, receivedAt };
}

/** The fields of a job that make up its route. */
interface RouteFacts {
  mailbox?: string;
  destination?: string;
  partner?: string;
  direction?: FailureJob['direction'];
  owner?: string;
}

/** The route of a job, which has a share of its own. For new messages it is the name of the mailbox or partner. */
export function routeOf(queue: QueueName, job: RouteFacts): string {
  switch (queue) {
    case 'inbound':
      return job.mailbox ?? '';
    case 'outbound':
      return job.partner ?? '';
    case 'handoff':
      return `${job.mailbox}\n${job.destination}`;
    case 'failures':
      return `${job.direction}\n${job.owner}`;
  }
}
