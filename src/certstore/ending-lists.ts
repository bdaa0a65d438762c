/**
 * Tells the alerts of revocation lists that end with no newer one in their place. Several processes ask authorities,
 * and each knows the lists that it has fetched: `expiry:crls` is a hash of what they have seen lately, by list.
 */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Authorities } from '../partner/index.ts';
import { type Crl, nameToString } from '../pki/index.ts';
import { guarded, lifetimes } from '../redis/index.ts';
import { Rounds } from '../rounds.ts';

export interface EndingListsParts {
  queue: { redis: Redis; prefix: string };
  /** Those that this process has, and that end. */
  lists: () => readonly Pick<Crl, 'issuerName' | 'thisUpdate' | 'nextUpdate'>[];
  now: () => number;
}

export class EndingLists {
  readonly #parts: EndingListsParts;
  /** What this process has told. */
  #told: ReadonlySet<string> = new Set();

  constructor(parts: EndingListsParts) {
    this.#parts = parts;
  }

  /** To be called at least every `lifetimes.listSeen`. Errors: `redis-unreachable`. */
  async publish(): Promise<void> {
    const { queue, lists, now } = this.#parts;
    const key = `${queue.prefix}:expiry:crls`;
    const seen = now();
    const found = new Map(
      lists().map(({ issuerName, nextUpdate, thisUpdate }) => {
        const id = createHash('sha256')
          .update(`${issuerName.canonical} ${thisUpdate.getTime()}`)
          .digest('hex');
        const facts = {
          ...{ seen, owner: 'revocation list', partner: '', uses: ['revocation'] },
          ...{ until: nextUpdate?.getTime() ?? 0, certificate: nameToString(issuerName), id },
          hint: 'ask the authority for a newer list: until then nothing is known of its certificates',
        };
        return [id, JSON.stringify(facts)];
      }),
    );
    const gone = [...this.#told].filter((id) => !found.has(id));
    this.#told = new Set(found.keys());
    if (found.size === 0 && gone.length === 0) return;
    const work = queue.redis.multi();
    if (gone.length > 0) work.hdel(key, ...gone);
    if (found.size > 0) work.hset(key, Object.fromEntries(found)).pexpire(key, lifetimes.expiryDue);
    await guarded('revocation', work.exec());
  }
}

/** Has the alerts know the lists that a process fetches for signers, until it stops. */
export function watchLists(
  queue: EndingListsParts['queue'],
  authorities: (now: Date) => Authorities,
): { stop(): Promise<void> } {
  const endingNow = () => {
    const at = new Date();
    return authorities(at).revocationCheck?.cache.endingLists(at) ?? [];
  };
  const lists = new EndingLists({ queue, lists: endingNow, now: Date.now });
  // Redis is away: the next round tells.
  const rounds = new Rounds({
    every: lifetimes.listSeen / 3,
    work: () => lists.publish(),
    onFailure: () => undefined,
  });
  rounds.start();
  return { stop: () => rounds.stop() };
}
