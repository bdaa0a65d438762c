/**
 * The mark of a restored installation: nothing begins before a person releases it. `sealpost start` waits as long as
 * the mark is there.
 */
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import { guarded } from '../redis/index.ts';

type Parts = { redis: Redis; prefix: string };

export interface RestoreMark {
  /** While data is being written back, and after that until a person releases it. */
  state: 'loading' | 'paused';
  /** Milliseconds since the epoch: when it was restored, and the moment that the backup shows (0 while unknown). */
  at: number;
  of: number;
}

const markKey = (prefix: string) => `${prefix}:restore`;

/** Undefined normally. Errors: `redis-unreachable`. */
export async function readRestoreMark({ redis, prefix }: Parts): Promise<RestoreMark | undefined> {
  const text = await guarded('restore', redis.get(markKey(prefix)));
  // a mark that cannot be read was written by a later version, and holds everything up as well
  return text === null ? undefined : markOf(text);
}

function markOf(text: string): RestoreMark {
  const [state, at, of] = text.split(' ');
  if (state === 'paused' && at !== undefined && of !== undefined)
    return { state, at: Number(at), of: Number(of) };
  return { state: 'loading', at: 0, of: 0 };
}

/** @param mark undefined to release */
export async function writeRestoreMark(
  { redis, prefix }: Parts,
  mark: RestoreMark | undefined,
): Promise<void> {
  const key = markKey(prefix);
  if (mark === undefined) await guarded('restore', redis.del(key));
  else await guarded('restore', redis.set(key, `${mark.state} ${mark.at} ${mark.of}`));
}

/** Names of keys, with the prefix, in portions of at least one. */
export async function* keysLike({ redis, prefix }: Parts, begin: string): AsyncGenerator<string[]> {
  const match = `${`${prefix}:${begin}`.replace(/[\\[\]*?^]/g, '\\$&')}*`;
  for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
    const [next, keys] = await guarded('restore', redis.scan(cursor, 'MATCH', match, 'COUNT', 500));
    cursor = next;
    if (keys.length > 0) yield keys;
  }
}

const loading = () =>
  new SealpostError('restore-refused', 'a restore was not finished, so the data is not whole', {
    hint: 'run sealpost restore again with the same backup: it begins anew',
  });

/** Whether a person must release it first. Errors: `restore-refused` while it is being written, `redis-unreachable`. */
export async function waitsForRelease(parts: Parts): Promise<RestoreMark | undefined> {
  const mark = await readRestoreMark(parts);
  if (mark?.state === 'loading') throw loading();
  return mark;
}

/** For a process that works on messages. Errors: those of `waitsForRelease`, and `restore-refused` if it waits. */
export async function refuseRestored(parts: Parts): Promise<void> {
  if ((await waitsForRelease(parts)) === undefined) return;
  throw new SealpostError('restore-refused', 'a restored installation waits until a person releases it', {
    hint: 'look at what was restored, then run sealpost restore release',
  });
}
