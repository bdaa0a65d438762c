/** Which index a list is looked for in. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { smallLetters } from '../domain.ts';
import { guarded } from '../redis/index.ts';
import type { Keys } from './keys.ts';
import type { ListQuery } from './ledger-types.ts';

/** Where a list is looked for. */
export interface Narrowest {
  /** Its key, behind `ix:`. */
  index: string;
  /** Value that all of its records have; undefined if they are tested for it. */
  tested: string | undefined;
  /** What members of an index of addresses begin with, before the id; '' in any other. */
  begin: string;
}

/** As `address_index` of `lua.ts` has it. */
function addressIndex(address: string): Narrowest {
  const digest = createHash('sha1').update(smallLetters(address)).digest('hex');
  return { index: `a:${digest.slice(0, 4)}`, tested: undefined, begin: digest.slice(4, 12) };
}

export class Indices {
  readonly #redis: Redis;
  readonly #keys: Keys;
  #addressesKnown = false;

  constructor(redis: Redis, keys: Keys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  /** Whether all records are in the index of addresses; once they are, they stay there. */
  async knowAddresses(): Promise<boolean> {
    this.#addressesKnown ||= (await guarded('ledger', this.#redis.get(this.#keys.addressesKnown))) !== null;
    return this.#addressesKnown;
  }

  /** The index with the fewest entries in the requested time. */
  async narrowest(query: ListQuery): Promise<Narrowest> {
    const { state, mailbox, partner, reason, address } = query;
    const named = Object.entries({ x: reason, s: state, p: partner, b: mailbox });
    const candidates: Narrowest[] = named.flatMap(([kind, value]) =>
      value === undefined ? [] : [{ index: `${kind}:${value}`, tested: value, begin: '' }],
    );
    if (address !== undefined && (await this.knowAddresses())) candidates.push(addressIndex(address));
    // The value of one could be the name of another, so all are tested again.
    const values = candidates.flatMap(({ tested }) => tested ?? []);
    const unique = new Set(values).size === values.length;
    const everything: Narrowest = { index: 'all', tested: undefined, begin: '' };
    if (candidates.length < 2) return candidates[0] ?? everything;
    const most = query.until === undefined ? '+inf' : `(${query.until}`;
    const sized = await Promise.all(
      candidates.map(async (candidate) => {
        const key = `${this.#keys.prefix}:ix:${candidate.index}`;
        const size = await guarded('ledger', this.#redis.zcount(key, query.since ?? '-inf', most));
        return { ...candidate, size };
      }),
    );
    const [best] = sized.sort((a, b) => a.size - b.size);
    return { ...everything, ...best, tested: unique ? best?.tested : undefined };
  }
}
