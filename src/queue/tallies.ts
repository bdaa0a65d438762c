/** What happened in the last hours, as counted by the steps (`count_move` in `lua.ts`). */
import type { Redis } from 'ioredis';
import { guarded, lifetimes } from '../redis/index.ts';
import type { Keys } from './keys.ts';
import type { Latency, Tallies, Tally } from './ledger-types.ts';
import { tallySpan } from './lua.ts';

/** How many messages took how long. The upper bounds are half powers of two of milliseconds, by their number. */
type Buckets = Map<number, number>;

/** @param since and now in milliseconds since the epoch */
export async function readTallies(
  redis: Redis,
  keys: Pick<Keys, 'tally'>,
  since: number,
  now: number,
): Promise<Tallies> {
  const last = Math.floor(now / tallySpan);
  const first = Math.floor(Math.max(since, now - lifetimes.tally) / tallySpan);
  const numbers = Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at);
  const read = numbers.map((number) => redis.hgetall(keys.tally(number)));
  const hashes = await guarded('ledger', Promise.all(read));
  const took = { inbound: new Map(), outbound: new Map() };
  const spans = hashes.map((fields, at) => spanOf((first + at) * tallySpan, fields, took));
  return {
    spans,
    latency: { inbound: latencyOf(took.inbound), outbound: latencyOf(took.outbound) },
  };
}

function spanOf(
  from: number,
  fields: Record<string, string>,
  took: { inbound: Buckets; outbound: Buckets },
): Tally {
  const span = {
    ...{ from, received: Number(fields.received ?? 0), queued: Number(fields.queued ?? 0) },
    ...{ delivered: 0, sent: 0 },
    suspended: {
      inbound: Number(fields['suspended:inbound'] ?? 0),
      outbound: Number(fields['suspended:outbound'] ?? 0),
    },
  };
  for (const [field, text] of Object.entries(fields)) {
    const [, state, bucket] = /^(delivered|sent):(\d+)$/.exec(field) ?? [];
    if (state !== 'delivered' && state !== 'sent') continue;
    const count = Number(text);
    span[state] += count;
    const buckets = state === 'sent' ? took.outbound : took.inbound;
    buckets.set(Number(bucket), (buckets.get(Number(bucket)) ?? 0) + count);
  }
  return span;
}

export function latencyOf(buckets: Buckets): Latency | null {
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const messages = sorted.reduce((sum, [, count]) => sum + count, 0);
  if (messages === 0) return null;
  const at = (share: number) => {
    let seen = 0;
    for (const [bucket, count] of sorted) {
      seen += count;
      if (seen >= share * messages) return Math.round(2 ** (bucket / 2));
    }
    return Math.round(2 ** ((sorted.at(-1)?.[0] ?? 0) / 2));
  };
  return { messages, p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}
