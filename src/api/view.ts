/** What a client sees of a message: its record, without what is for the operator alone. */
import { attemptsOf, explanationsOf, type MessageRecord } from '../queue/index.ts';
import type { MessageDetail, MessageSummary } from './schemas.ts';

export const iso = (at: number) => new Date(at).toISOString();
export const isoOr = (at: number | undefined) => (at === undefined ? null : iso(at));

/** @param subject opened, for whoever may read content */
export function summaryOf(record: MessageRecord, subject: string | null): MessageSummary {
  const { id, direction, state, reason, mailbox, partner, partnerBy, client, envelope, messageId } = record;
  const { octets, sha256, receivedAt, updatedAt, metadata = {}, delivery = {} } = record;
  return {
    ...{ id, direction, state, reason, mailbox, partner, partnerBy, messageId, octets, sha256, metadata },
    subject,
    client: client ?? null,
    envelope: { from: envelope.from, to: envelope.to },
    receivedAt: iso(receivedAt),
    updatedAt: iso(updatedAt),
    priority: delivery.priority ?? null,
    notBefore: isoOr(delivery.notBefore),
    notAfter: isoOr(delivery.notAfter),
  };
}

/** @param due as `Ledger.due` says; `subject` as for `summaryOf` */
export function detailOf(record: MessageRecord, due: number | null, subject: string | null): MessageDetail {
  const { events, origin } = record;
  const { attempts, lastError, next } = attemptsOf(record, due);
  return {
    ...summaryOf(record, subject),
    origin: origin.kind,
    attempts,
    lastError: lastError && { ...lastError, at: iso(lastError.at) },
    explanations: explanationsOf(record),
    nextAttempt: next === null || next === 0 ? null : iso(next),
    events: events.map(({ type, at, facts }) => ({ type, at: iso(at), facts })),
  };
}
