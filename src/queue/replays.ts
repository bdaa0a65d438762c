/**
 * Messages that wait for a certificate or key: finds them and puts them back to work, each at most once for a change of
 * keys.
 */
import type { Redis } from 'ioredis';
import { waitingCodes } from '../errors.ts';
import { guarded, run, script } from '../redis/index.ts';
import type { Keys } from './keys.ts';
import { records } from './lua.ts';
import { type Held, mostReplays, type ReplayBudget, type Replays } from './replay-types.ts';
import type { Act, Flow } from './types.ts';

/** Messages of a code that are looked at. */
const mostHeld = 50_000;
const indexPage = 5000;
const recordPage = 500;

/** ids. Returns for each: state, mailbox, partner, reason, keys, times, or '' for what is missing. */
const facts = script(
  records,
  `
local reply = {}
for _, id in ipairs(ARGV) do
  for _, value in ipairs(rcall('HMGET', record(id), 's', 'b', 'p', 'x', 'q', 'z')) do reply[#reply + 1] = value or '' end
end
return reply
`,
);

/** The arguments of `replaying` (`acts.ts`). */
export function replayArguments(
  { reason, direction, partner }: Held,
  keys: string,
  budget: ReplayBudget | undefined,
): (string | number)[] {
  const work = direction === 'inbound' ? 'inbound' : 'outbound';
  const counted = budget ? [`${direction} ${partner ?? ''}`, budget.perPartner, budget.perDay] : ['', 0, 0];
  return [keys, reason, work, mostReplays, ...counted];
}

export class RedisReplays implements Replays {
  readonly #redis: Redis;
  readonly #keys: Keys;
  readonly #flow: Pick<Flow, 'replay'>;

  constructor(redis: Redis, keys: Keys, flow: Pick<Flow, 'replay'>) {
    this.#redis = redis;
    this.#keys = keys;
    this.#flow = flow;
  }

  async *held(direction: Held['direction']): AsyncGenerator<Held> {
    const found: { id: string; receivedAt: number }[] = [];
    for (const code of waitingCodes) found.push(...(await this.#indexed(code)));
    // by time, and by id within a millisecond, as in the indices
    found.sort((a, b) => a.receivedAt - b.receivedAt || (a.id < b.id ? -1 : 1));
    for (let at = 0; at < found.length; at += recordPage)
      yield* await this.#page(found.slice(at, at + recordPage), direction);
  }

  async #indexed(code: string): Promise<{ id: string; receivedAt: number }[]> {
    const found: { id: string; receivedAt: number }[] = [];
    const index = this.#keys.reason(code);
    for (let at = 0; at < mostHeld; at += indexPage) {
      const last = at + indexPage - 1;
      const page = await guarded('replay', this.#redis.zrange(index, String(at), String(last), 'WITHSCORES'));
      for (let each = 0; each < page.length; each += 2)
        found.push({ id: page[each] ?? '', receivedAt: Number(page[each + 1]) });
      if (page.length < indexPage * 2) break;
    }
    return found;
  }

  async #page(
    found: readonly { id: string; receivedAt: number }[],
    wanted: Held['direction'],
  ): Promise<Held[]> {
    const ids = found.map(({ id }) => id);
    const reply = await run(this.#redis, this.#keys.prefix, facts, ids, 'replay');
    const values: unknown[] = Array.isArray(reply) ? reply : [];
    return found.flatMap(({ id, receivedAt }, index): Held[] => {
      const [state, mailbox, partner, reason, keys, times] = values
        .slice(index * 6, index * 6 + 6)
        .map((value) => (value === '' ? null : String(value)));
      // only an inbound message has a mailbox
      const direction = mailbox ? 'inbound' : 'outbound';
      if (state !== 'suspended' || direction !== wanted || !reason) return [];
      return [
        {
          ...{ id, direction, receivedAt, reason },
          ...{ mailbox: mailbox ?? null, partner: partner ?? null, keys: keys ?? null },
          times: Number(times ?? 0),
        },
      ];
    });
  }

  async waiting(direction: Held['direction']): Promise<number> {
    return await guarded('replay', this.#redis.llen(`${this.#keys.prefix}:${direction}:wait`));
  }

  async release(held: Held, keys: string, act: Act, budget?: ReplayBudget) {
    return await this.#flow.replay(held, keys, act, budget);
  }
}
