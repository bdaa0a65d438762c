/** Tidying: removes records past their retention, and files that no message needs (left by a crash, or expired). */
import type { Redis } from 'ioredis';
import type { Log } from '../log.ts';
import { guarded, run } from '../redis/index.ts';
import type { LargeStore } from '../spool/index.ts';
import type { Keys } from './keys.ts';
import { ledgerScripts } from './ledger-scripts.ts';
import { indexOldRecords } from './old-indices.ts';
import { idempotencyKept } from './types.ts';

export interface SweepParts {
  redis: Redis;
  keys: Keys;
  store: LargeStore;
  log: Log;
  /** Milliseconds: age of an unreferenced file. */
  sweepAfter: number;
  /** Milliseconds for which finished records are kept. */
  keepRecords: number;
  /** Maximum number of finished records; 0 for no limit. */
  maxRecords: number;
  /** Milliseconds of duplicate detection, even without the record. */
  duplicates: number;
  /** Milliseconds for which entries of the audit trail are kept. */
  keepAudit: number;
  /** Milliseconds for which the original of a delivered message is kept. */
  keepOriginal: number;
}

export interface SweepResult {
  records: number;
  files: number;
}

const batch = 200;

/** Removes what has expired; `now` in milliseconds since the epoch. May run in several processes at once. */
export async function sweep(parts: SweepParts, now: number): Promise<SweepResult> {
  const old = await forgetOld(parts, now);
  const surplus = await forgetSurplus(parts, now);
  const records = old + surplus;
  await guarded(
    'sweep',
    parts.redis.xtrim(parts.keys.audit, 'MINID', '~', String(Math.max(0, now - parts.keepAudit))),
  );
  await indexOldRecords(parts);
  const files = await sweepFiles(parts, now);
  if (records > 0 || files > 0) parts.log.info({ records, files }, 'swept');
  return { records, files };
}

const finishedStates = ['delivered', 'sent', 'terminated'] as const;

/** Removes up to `count` records of a state; `oldest` is the oldest update to keep, '' for none. */
async function forget(
  { redis, keys, store, duplicates }: SweepParts,
  {
    state,
    oldest,
    skip,
    count,
    now,
  }: { state: string; oldest: number | ''; skip: number; count: number; now: number },
): Promise<{ seen: number; gone: number }> {
  const args = [state, oldest, skip, count, now, duplicates, idempotencyKept];
  const reply = await run(redis, keys.prefix, ledgerScripts.forget, args, 'sweep');
  const [seen = 0, gone = 0, ...files]: unknown[] = Array.isArray(reply) ? reply : [];
  for (const id of files) await store.remove(String(id));
  return { seen: Number(seen), gone: Number(gone) };
}

async function forgetOld(parts: SweepParts, now: number): Promise<number> {
  let total = 0;
  for (const state of finishedStates) {
    for (let skip = 0; ; ) {
      const oldest = now - parts.keepRecords;
      const { seen, gone } = await forget(parts, { state, oldest, skip, count: batch, now });
      total += gone;
      skip += seen - gone;
      if (seen < batch) break;
    }
  }
  return total;
}

/** Keeps the number of finished records within bounds: the state with the oldest record loses one first. */
async function forgetSurplus(parts: SweepParts, now: number): Promise<number> {
  const { redis, keys, maxRecords } = parts;
  if (maxRecords === 0) return 0;
  const state = async (name: (typeof finishedStates)[number]) => {
    const key = keys.state(name);
    const [count, first] = await guarded(
      'sweep',
      Promise.all([redis.zcard(key), redis.zrange(key, '0', '0', 'WITHSCORES')]),
    );
    return { name, count, oldest: Number(first[1] ?? Number.POSITIVE_INFINITY) };
  };
  for (let total = 0; ; ) {
    const states = await Promise.all(finishedStates.map(state));
    const surplus = states.reduce((sum, { count }) => sum + count, 0) - maxRecords;
    const [first] = states.sort((a, b) => a.oldest - b.oldest);
    if (surplus <= 0 || !first) return total;
    const count = Math.min(batch, surplus);
    const { gone } = await forget(parts, { state: first.name, oldest: '', skip: 0, count, now });
    if (gone === 0) return total;
    total += gone;
  }
}

async function sweepFiles(parts: SweepParts, now: number): Promise<number> {
  let removed = 0;
  for await (const { id, modifiedAt, remove } of parts.store.objects()) {
    if (modifiedAt > now - parts.sweepAfter || (await isNeeded(parts, id, now))) continue;
    await remove();
    await guarded('sweep', parts.redis.unlink(parts.keys.fileOwners(id)));
    removed += 1;
  }
  return removed;
}

/** True if an unfinished message, or one that is still kept, needs the file. */
async function isNeeded(
  { redis, keys, keepOriginal }: SweepParts,
  id: string,
  now: number,
): Promise<boolean> {
  const owners = await guarded('sweep', redis.smembers(keys.fileOwners(id)));
  for (const owner of owners) {
    const fields = await guarded('sweep', redis.hmget(keys.message(owner), 's', 'k', 'u', 'h'));
    const [state, octets, updated, held] = fields;
    if (!octets?.split(' ').includes(`f:${id}`)) continue;
    if (state !== 'delivered' && state !== 'sent' && state !== 'terminated') return true;
    if (state === 'delivered' && Number(updated) + keepOriginal > now) return true;
    if (Number(held) > now) return true;
  }
  return false;
}
