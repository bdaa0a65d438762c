/**
 * The oracle: holds each accepted message against its end. Delivered counts what the destination has, not what the
 * ledger says; the ledger is asked for what is suspended or terminated, and must agree in the end.
 */
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageRecord, QueueRoom } from '../../../src/queue/index.ts';
import type { Accepted } from './load.ts';
import type { Received } from './partners.ts';

export interface Tally {
  accepted: number;
  delivered: number;
  /** Deliveries beyond the first, under the same idempotency key (outbound: the same Message-ID). */
  repeated: number;
  suspended: number;
  terminated: number;
  /** Accepted, and neither delivered nor suspended nor terminated. */
  lost: string[];
  /** Delivered a second time under another key. */
  doubled: string[];
  /** Delivered, but the ledger still says that it waits; or the other way about. */
  disagree: string[];
  /** Milliseconds from the acceptance to the end of the slowest message. */
  slowest: number;
  reasons: Map<string, number>;
}

/** Where delivered messages are seen: how often under which key. */
export interface Sink {
  of(id: string, messageId: string): ReadonlyMap<string, number>;
}

/** The folder of a directory destination: each folder name is a key. */
export function folderSink(path: string): Sink {
  const found = new Map<string, Map<string, number>>();
  for (const name of existsSync(path) ? readdirSync(path) : []) {
    const id = /^[^.-][^-]*-(\w+)$/.exec(name)?.[1];
    if (id === undefined) continue;
    found.set(id, (found.get(id) ?? new Map()).set(name, 1));
  }
  return { of: (id) => found.get(id) ?? new Map() };
}

export const webhookSink = (received: Received): Sink => ({ of: (id) => received.of(id) });
export const partnerSink = (received: Received): Sink => ({ of: (_, messageId) => received.of(messageId) });

const ended = (record: MessageRecord | null) =>
  record !== null && ['delivered', 'sent', 'suspended', 'terminated'].includes(record.state);

/**
 * Waits until every accepted message has ended, as long as some still do: `patience` milliseconds without progress
 * end the wait. Longer than the lock of a job (10 seconds), the look for lost ones, and a hang (a minute).
 */
export async function settle(
  queue: QueueRoom,
  accepted: readonly Accepted[],
  patience = 75_000,
): Promise<void> {
  let open = [...new Set(accepted.map(({ id }) => id))];
  let deadline = Date.now() + patience;
  while (open.length > 0 && Date.now() < deadline) {
    const left: string[] = [];
    for (let at = 0; at < open.length; at += 200) {
      const ids = open.slice(at, at + 200);
      const records = await Promise.all(ids.map((id) => queue.ledger.get(id)));
      left.push(...ids.filter((_, index) => !ended(records[index] ?? null)));
    }
    if (left.length < open.length) deadline = Date.now() + patience;
    open = left;
    if (open.length > 0) await sleep(100);
  }
}

export async function judge(
  queue: QueueRoom,
  accepted: readonly Accepted[],
  sink: () => Sink,
): Promise<Tally> {
  const tally: Tally = {
    accepted: 0,
    delivered: 0,
    repeated: 0,
    suspended: 0,
    terminated: 0,
    lost: [],
    doubled: [],
    disagree: [],
    slowest: 0,
    reasons: new Map(),
  };
  const records = new Map<string, MessageRecord | null>();
  // The records first, then the sink: what ends in between is only seen in the sink, never the reverse.
  for (const { id } of accepted) records.set(id, await queue.ledger.get(id));
  const seen = sink();
  const byId = new Map(accepted.map((each) => [each.id, each]));
  tally.accepted = byId.size;
  for (const [id, { messageId, at }] of byId) {
    const record = records.get(id) ?? null;
    const keys = seen.of(id, messageId);
    const state = record?.state ?? 'absent';
    const over = state === 'delivered' || state === 'sent';
    if (keys.size > 0) {
      tally.delivered++;
      for (const times of keys.values()) tally.repeated += times - 1;
      if (keys.size > 1) tally.doubled.push(id);
      if (!over && state !== 'suspended') tally.disagree.push(`${id} has arrived, ledger: ${state}`);
    } else if (state === 'suspended') {
      tally.suspended++;
      const reason = record?.reason ?? 'no reason';
      tally.reasons.set(reason, (tally.reasons.get(reason) ?? 0) + 1);
    } else if (state === 'terminated') tally.terminated++;
    else tally.lost.push(`${id} (ledger: ${state})`);
    if (record !== null && over) tally.slowest = Math.max(tally.slowest, record.updatedAt - at);
  }
  return tally;
}
