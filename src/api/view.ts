/** What a client sees of a message: its record, without what is for the operator alone. */
import { explanationsOf, type LedgerEvent, type MessageRecord } from '../queue/index.ts';
import type { MessageDetail, MessageSummary } from './schemas.ts';

export const iso = (at: number) => new Date(at).toISOString();
export const isoOr = (at: number | undefined) => (at === undefined ? null : iso(at));

export function summaryOf(record: MessageRecord): MessageSummary {
  const { id, direction, state, reason, mailbox, partner, partnerBy, client, envelope, messageId } = record;
  const { octets, sha256, receivedAt, updatedAt, metadata = {}, delivery = {} } = record;
  return {
    ...{ id, direction, state, reason, mailbox, partner, partnerBy, messageId, octets, sha256, metadata },
    client: client ?? null,
    envelope: { from: envelope.from, to: envelope.to },
    receivedAt: iso(receivedAt),
    updatedAt: iso(updatedAt),
    priority: delivery.priority ?? null,
    notBefore: isoOr(delivery.notBefore),
    notAfter: isoOr(delivery.notAfter),
  };
}

const failures = ['retried', 'suspended', 'report-failed'];
/** After one of these, what failed before no longer matters for the next attempt. */
const steps = [
  'received',
  'decoded',
  'delivered',
  'queued',
  'sent',
  'resumed',
  'decode-again',
  'terminated',
  'dropped',
];

export function detailOf(record: MessageRecord): MessageDetail {
  const { events, origin } = record;
  const last = events.findLast(({ type }) => failures.includes(type));
  const from = events.findLastIndex(({ type }) => steps.includes(type));
  const retries = events.slice(from + 1).filter(({ type }) => type === 'retried');
  return {
    ...summaryOf(record),
    origin: origin.kind,
    attempts: retries.length,
    lastError: last ? { code: codeOf(last), at: iso(last.at), facts: last.facts } : null,
    explanations: explanationsOf(record),
    nextAttempt: record.state === 'suspended' ? null : nextOf(retries.at(-1)),
    events: events.map(({ type, at, facts }) => ({ type, at: iso(at), facts })),
  };
}

function codeOf({ facts }: LedgerEvent): string {
  return typeof facts.reason === 'string' ? facts.reason : 'internal';
}

function nextOf(retried: LedgerEvent | undefined): string | null {
  if (retried === undefined) return null;
  const { delay } = retried.facts;
  return typeof delay === 'number' ? iso(retried.at + delay) : null;
}
