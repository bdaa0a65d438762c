/** Tidying: records past their retention, and files that no message needs (left by a crash, or past their time). */
import { rm } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import type { Log } from '../log.ts';
import { guarded } from './connection.ts';
import type { Keys } from './keys.ts';
import { run, scripts } from './scripts.ts';
import type { SpoolFolder } from './spool-file.ts';

export interface SweepParts {
  redis: Redis;
  keys: Keys;
  folder: SpoolFolder;
  log: Log;
  /** Milliseconds: age of a file that nobody refers to. */
  sweepAfter: number;
  /** Milliseconds that finished records are kept. */
  keepRecords: number;
  /** Milliseconds that the original of a delivered message is kept. */
  keepOriginal: number;
}

export interface SweepResult {
  records: number;
  files: number;
}

const batch = 200;

/** Forgets what is past its time; `now` in milliseconds since the epoch. May run in several processes at once. */
export async function sweep(parts: SweepParts, now: number = Date.now()): Promise<SweepResult> {
  const records = await forgetRecords(parts, now - parts.keepRecords);
  const files = await sweepFiles(parts, now);
  if (records > 0 || files > 0) parts.log.info({ records, files }, 'swept');
  return { records, files };
}

async function forgetRecords({ redis, keys, folder }: SweepParts, oldest: number): Promise<number> {
  let total = 0;
  for (const state of ['delivered', 'sent', 'terminated']) {
    for (let skip = 0; ; ) {
      const reply = await run(redis, keys.prefix, scripts.forget, [state, oldest, skip, batch], 'sweep');
      const [seen = 0, gone = 0, ...files]: unknown[] = Array.isArray(reply) ? reply : [];
      for (const id of files) await folder.remove(String(id));
      total += Number(gone);
      skip += Number(seen) - Number(gone);
      if (Number(seen) < batch) break;
    }
  }
  return total;
}

async function sweepFiles(parts: SweepParts, now: number): Promise<number> {
  let removed = 0;
  for await (const { id, modifiedAt, path } of parts.folder.files()) {
    if (modifiedAt > now - parts.sweepAfter || (await isNeeded(parts, id, now))) continue;
    await rm(path, { force: true });
    await guarded('sweep', parts.redis.unlink(parts.keys.fileOwners(id)));
    removed += 1;
  }
  return removed;
}

/** True when a message has the file and is not finished, or is kept for a while. */
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
