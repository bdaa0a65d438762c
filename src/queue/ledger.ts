/** The ledger: what is known of each message and what happened to it. Written by the scripts, read here. */
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import { guarded } from './connection.ts';
import type { Keys } from './keys.ts';
import { run, scripts } from './scripts.ts';
import type { Ledger, LedgerEvent, ListQuery, MessageRecord, MessageState } from './types.ts';

export const messageStates: readonly MessageState[] = [
  'received',
  'decoded',
  'delivered',
  'suspended',
  'terminated',
  'queued',
  'sent',
];

/** Facts of a record that never change. */
export type RecordFacts = Pick<
  MessageRecord,
  'direction' | 'origin' | 'envelope' | 'messageId' | 'octets' | 'sha256'
>;

/** An event as the scripts store it: one line of JSON. */
export function eventLine(event: LedgerEvent): string {
  return JSON.stringify(event);
}

export function isState(text: unknown): text is MessageState {
  return messageStates.some((state) => state === text);
}

function parseRecord(id: string, fields: Record<string, string>): MessageRecord | null {
  const { r, s, a, u, b, p, x, e } = fields;
  if (r === undefined || !isState(s)) return null;
  const facts: RecordFacts = JSON.parse(r);
  const events: LedgerEvent[] = (e ?? '')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return {
    id,
    direction: facts.direction,
    state: s,
    mailbox: b ?? null,
    partner: p ?? null,
    origin: facts.origin,
    envelope: facts.envelope,
    messageId: facts.messageId,
    octets: facts.octets,
    sha256: facts.sha256,
    receivedAt: Number(a),
    updatedAt: Number(u),
    reason: x ?? null,
    events,
  };
}

const pageSize = 50;
const batchSize = 200;

export class RedisLedger implements Ledger {
  #redis: Redis;
  #keys: Keys;

  constructor(redis: Redis, keys: Keys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  async get(id: string): Promise<MessageRecord | null> {
    const fields = await guarded('ledger', this.#redis.hgetall(this.#keys.message(id)));
    return parseRecord(id, fields);
  }

  /** Walks the narrowest index, newest first, and tests the rest on the records. `usage` for a broken cursor. */
  async list(query: ListQuery): Promise<{ messages: MessageRecord[]; cursor: string | null }> {
    const limit = Math.max(1, query.limit ?? pageSize);
    const index = this.#indexOf(query);
    const start = parseCursor(query.cursor);
    const messages: MessageRecord[] = [];
    // Little more than a page at first; when filters or equal times leave it short, more at a time.
    let batch = Math.min(limit + 10, batchSize);
    for (let skip = 0; ; ) {
      const page = await guarded(
        'ledger',
        this.#redis.zrevrangebyscore(index, start?.at ?? '+inf', query.since ?? '-inf', 'LIMIT', skip, batch),
      );
      const records = await Promise.all(page.map((id) => this.get(id)));
      for (const record of records) {
        // Of equal times Redis gives the greater id first; those up to the cursor's were on the last page.
        if (!record || (start && record.receivedAt === start.at && record.id >= start.id)) continue;
        if (query.state && record.state !== query.state) continue;
        if (query.mailbox && record.mailbox !== query.mailbox) continue;
        if (query.partner && record.partner !== query.partner) continue;
        messages.push(record);
        if (messages.length === limit) return { messages, cursor: `${record.receivedAt}.${record.id}` };
      }
      if (page.length < batch) return { messages, cursor: null };
      skip += batch;
      batch = batchSize;
    }
  }

  async count(): Promise<Record<MessageState, number>> {
    const entries = await Promise.all(
      messageStates.map(
        async (state) =>
          [state, await guarded('ledger', this.#redis.zcard(this.#keys.state(state)))] as const,
      ),
    );
    const counts: Record<MessageState, number> = {
      received: 0,
      decoded: 0,
      delivered: 0,
      suspended: 0,
      terminated: 0,
      queued: 0,
      sent: 0,
    };
    for (const [state, count] of entries) counts[state] = count;
    return counts;
  }

  async note(id: string, event: LedgerEvent): Promise<void> {
    await run(this.#redis, this.#keys.prefix, scripts.note, [event.at, id, eventLine(event)], 'ledger');
  }

  #indexOf({ state, partner, mailbox }: ListQuery): string {
    // Finished messages are nearly all of them; every other state is a short list.
    if (state && state !== 'delivered' && state !== 'sent') return this.#keys.state(state);
    if (partner) return this.#keys.partner(partner);
    if (mailbox) return this.#keys.mailbox(mailbox);
    return state ? this.#keys.state(state) : this.#keys.all;
  }
}

function parseCursor(cursor: string | undefined): { at: number; id: string } | undefined {
  if (cursor === undefined) return undefined;
  const match = /^(\d+)\.(\w+)$/.exec(cursor);
  if (match?.[1] && match[2]) return { at: Number(match[1]), id: match[2] };
  throw new SealpostError('usage', 'the cursor is not one that a list gave');
}
