/** Indices that a later version introduced: the sweep adds the records that earlier versions wrote. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { guarded, run } from '../redis/index.ts';
import { digitsOf } from './id-index.ts';
import type { Keys } from './keys.ts';
import { ledgerScripts } from './ledger-scripts.ts';

type Parts = { redis: Redis; keys: Pick<Keys, 'all' | 'ids' | 'idsKnown' | 'addressesKnown' | 'prefix'> };

/** Rounds over the old records. Processes of the old version may still run beside the first round. */
const rounds = 2;
/** Ids that one call looks at, and records that one script reads: a millisecond or two in Redis. */
const scanSize = 1000;
const readSize = 100;

/** Adds what is missing. */
export async function indexOldRecords(parts: Parts): Promise<void> {
  const { redis, keys } = parts;
  await once(parts, keys.idsKnown, async (ids) => {
    await guarded('sweep', Promise.all(ids.map((id) => redis.zadd(keys.ids(digitsOf(id)), 0, id))));
  });
  await once(parts, keys.addressesKnown, async (ids) => {
    for (let at = 0; at < ids.length; at += readSize)
      await run(redis, keys.prefix, ledgerScripts.indexAddresses, ids.slice(at, at + readSize), 'sweep');
  });
}

/** @param known key of the number of rounds that were made */
async function once(
  { redis, keys }: Parts,
  known: string,
  add: (ids: string[]) => Promise<void>,
): Promise<void> {
  const done = Number((await guarded('sweep', redis.get(known))) ?? 0);
  if (done >= rounds) return;
  for (let cursor = '0'; ; ) {
    const began = performance.now();
    const [next, pairs] = await guarded('sweep', redis.zscan(keys.all, cursor, 'COUNT', scanSize));
    // members and their scores
    await add(pairs.filter((_, at) => at % 2 === 0));
    if (next === '0') break;
    cursor = next;
    // half of the time is left to whoever else needs Redis or this process
    await sleep(performance.now() - began);
  }
  await guarded('sweep', redis.set(known, done + 1));
}
