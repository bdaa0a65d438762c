/** What a client sees of a message (its record, without what only the operator may see) and of its verdict. */

import type { Client } from '../client/index.ts';
import { SealpostError } from '../errors.ts';
import { readStoredContent } from '../pipeline/index.ts';
import {
  attemptsOf,
  explanationsOf,
  type MessageRecord,
  type QueueRoom,
  verdictsOf,
} from '../queue/index.ts';
import type { Verdict } from '../smime/index.ts';
import type { MessageDetail, MessageSummary } from './schemas.ts';

export const iso = (at: number) => new Date(at).toISOString();
export const isoOr = (at: number | null | undefined) => (at === undefined || at === null ? null : iso(at));

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

/** The form of the answer. In the OpenAPI document, the verdict is an object whose schema is a file of its own. */
export interface MessageVerdict {
  verdict: Verdict;
  headersShown: boolean;
}

/** Errors: `original-gone` if nothing decoded is kept. */
export async function verdictOf(
  queue: Pick<QueueRoom, 'flow' | 'spool' | 'redis' | 'prefix' | 'seal' | 'unseal'>,
  client: Client,
  id: string,
): Promise<{ verdict: object; headersShown: boolean }> {
  const stored = await readStoredContent(id, queue);
  const verdict = stored?.verdict ?? (await verdictsOf(queue).get(id));
  if (verdict === undefined)
    throw new SealpostError('original-gone', `nothing decoded of ${id} is kept`, {
      hint: 'a verdict is kept until the message was handed off everywhere, or has ended',
    });
  if (typeof verdict !== 'object' || verdict === null || Array.isArray(verdict))
    throw new SealpostError('internal', `the verdict of ${id} is none`);
  if (client.may('content')) return { verdict, headersShown: true };
  const headers = 'headers' in verdict ? verdict.headers : undefined;
  const bare =
    typeof headers === 'object' && headers !== null ? { ...headers, fields: [], differences: [] } : {};
  return { verdict: { ...verdict, headers: bare }, headersShown: false };
}
