/**
 * Ids by their first characters. `ix:n:XXXX` are 65,536 small sorted sets of ids, by the four digits after the letter,
 * like the indices by digest.
 */
import type { Redis } from 'ioredis';
import { guarded } from '../redis/index.ts';
import type { Keys } from './keys.ts';

/** Digits of an id that choose the set. */
const digits = 4;
/** Sets that are read in one round trip. */
const setsAtOnce = 256;
/** Ids that one call looks at if there is no index: less than two milliseconds in Redis. */
const scanSize = 5000;

type Parts = { redis: Redis; keys: Pick<Keys, 'all' | 'ids' | 'idsKnown'> };

/** The set of an id. */
export const digitsOf = (id: string) => id.slice(1, 1 + digits);

/** At most `most` ids that begin like that. For the letter alone, whichever are found first. */
export async function idsLike(parts: Parts, prefix: string, most: number): Promise<string[]> {
  const { redis, keys } = parts;
  if (!/^[io][0-9a-f]*$/.test(prefix)) return [];
  if (prefix.length === 1 || (await guarded('ledger', redis.get(keys.idsKnown))) === null)
    return await scanned(parts, prefix, most);
  const start = prefix.slice(1, 1 + digits);
  const open = digits - start.length;
  const sets = Array.from(
    { length: 16 ** open },
    (_, at) => start + (open === 0 ? '' : at.toString(16).padStart(open, '0')),
  );
  const found: string[] = [];
  for (let at = 0; at < sets.length && found.length < most; at += setsAtOnce) {
    const reads = sets
      .slice(at, at + setsAtOnce)
      // '~' comes after every digit
      .map((each) => redis.zrangebylex(keys.ids(each), `[${prefix}`, `(${prefix}~`, 'LIMIT', 0, most));
    found.push(...(await guarded('ledger', Promise.all(reads))).flat());
  }
  return found.slice(0, most);
}

async function scanned({ redis, keys }: Parts, prefix: string, most: number): Promise<string[]> {
  const found = new Set<string>();
  for (let cursor = '0'; ; ) {
    const scan = redis.zscan(keys.all, cursor, 'MATCH', `${prefix}*`, 'COUNT', scanSize);
    const [next, pairs] = await guarded('ledger', scan);
    // members and their scores
    for (let at = 0; at < pairs.length; at += 2) found.add(pairs[at] ?? '');
    if (next === '0' || found.size >= most) return [...found].slice(0, most);
    cursor = next;
  }
}
