/** Verdicts of suspended messages, sealed, until the message continues or ends (`release` in `lua.ts` removes them). */
import { lifetimes, sealedValues } from '../redis/index.ts';
import type { QueueRoom } from './open.ts';

/** Longest verdict that is kept, in characters. A stranger may cause 2 Mi of them, in many messages. */
const longest = 64 * 1024;

export interface Verdicts {
  /** May fail: a message without its verdict is shown as the ledger knows it. */
  keep(id: string, verdict: object): Promise<void>;
  /** Undefined if none is kept. */
  get(id: string): Promise<unknown>;
}

export function verdictsOf(queue: Pick<QueueRoom, 'redis' | 'prefix' | 'seal' | 'unseal'>): Verdicts {
  const values = sealedValues(queue, 'verdict');
  return {
    async keep(id, verdict) {
      if (JSON.stringify(verdict).length > longest) return;
      await values.put(id, verdict, lifetimes.verdict).catch(() => undefined);
    },
    get: (id) => values.get(id),
  };
}
