/**
 * The stream of what happens to messages, as it happens. The steps append to it while it exists (`joined` in `lua.ts`).
 * It exists while somebody follows it, and a day longer.
 */
import type { Redis } from 'ioredis';
import type { PartnerNames } from '../config/index.ts';
import { guarded, holdLease, lifetimes, releaseLease, run, script } from '../redis/index.ts';
import type { Events, FollowedEvent } from './event-types.ts';
import type { Keys } from './keys.ts';
import { ownerFields, ownerIn, parseRecord } from './ledger.ts';
import type { MessageOwner } from './ledger-types.ts';
import type { MessageRecord } from './types.ts';

/**
 * Milliseconds for which it is kept without a follower. A stream always has an entry, so it shows if something was
 * trimmed.
 */
const keep = script(`
local key = string.sub(KEYS[1], 1, -3) .. ':events'
if redis.call('EXISTS', key) == 0 then redis.call('XADD', key, '*', 'b', '1') end
redis.call('PEXPIRE', key, ARGV[1])
return 1`);

/** Entries that one read examines. */
const most = 500;

export class RedisEvents implements Events {
  readonly #redis: Redis;
  readonly #names: Pick<PartnerNames, 'present'>;
  readonly #keys: Keys;

  /** @param names present names of partners, for records */
  constructor(redis: Redis, keys: Keys, names: Pick<PartnerNames, 'present'>) {
    this.#names = names;
    this.#redis = redis;
    this.#keys = keys;
  }

  async keep(): Promise<void> {
    await run(this.#redis, this.#keys.prefix, keep, [lifetimes.events], 'events');
  }

  async newest(): Promise<string> {
    const [last] = await guarded('events', this.#redis.xrevrange(this.#keys.events, '+', '-', 'COUNT', 1));
    return last?.[0] ?? '0-0';
  }

  async position(follower: string): Promise<string | undefined> {
    const place = await guarded('events', this.#redis.hget(`${this.#keys.events}:at`, follower));
    return place ?? undefined;
  }

  async moveTo(follower: string, id: string): Promise<void> {
    await guarded('events', this.#redis.hset(`${this.#keys.events}:at`, follower, id));
  }

  async claim(follower: string, owner: string): Promise<boolean> {
    const { prefix } = this.#keys;
    return await holdLease(this.#redis, prefix, this.#lease(follower), { owner, ms: lifetimes.eventsLease });
  }

  async release(follower: string, owner: string): Promise<void> {
    await releaseLease(this.#redis, this.#lease(follower), owner);
  }

  #lease(follower: string): string {
    return `${this.#keys.prefix}:lease:events:${follower}`;
  }

  async read(after: string, sees?: (owner: MessageOwner) => boolean): ReturnType<Events['read']> {
    const { events: key } = this.#keys;
    const [[first], entries] = await Promise.all([
      guarded('events', this.#redis.xrange(key, '-', '+', 'COUNT', 1)),
      guarded('events', this.#redis.xrange(key, `(${after}`, '+', 'COUNT', most)),
    ]);
    // The last entry that the reader saw is still there, or it was trimmed, and perhaps others after it.
    const missed = first === undefined || isBefore(after, first[0]);
    const ids = new Set(entries.map(([, fields]) => fieldOf(fields, 'i')));
    const records = new Map(
      await Promise.all([...ids].map(async (id) => [id, await this.#record(id, sees)] as const)),
    );
    const events = entries.flatMap(([id, fields]): FollowedEvent[] => {
      const record = records.get(fieldOf(fields, 'i'));
      return record ? [{ id, event: JSON.parse(fieldOf(fields, 'e')), record }] : [];
    });
    return { events, missed, last: entries.at(-1)?.[0] ?? after, more: entries.length === most };
  }

  /** Null for a message that does not exist, or may not be seen. */
  async #record(id: string, sees?: (owner: MessageOwner) => boolean): Promise<MessageRecord | null> {
    const key = this.#keys.message(id);
    if (sees !== undefined) {
      const owner = ownerIn(await guarded('events', this.#redis.hmget(key, ...ownerFields)), this.#names);
      if (owner === null || !sees(owner)) return null;
    }
    return parseRecord(id, await guarded('events', this.#redis.hgetall(key)), this.#names);
  }
}

function fieldOf(fields: string[], name: string): string {
  const at = fields.indexOf(name);
  return at % 2 === 0 ? (fields[at + 1] ?? '') : '';
}

/** Whether an id of a stream comes before another one: milliseconds, a hyphen, a number. */
function isBefore(a: string, b: string): boolean {
  const [time = 0, number = 0] = a.split('-').map(Number);
  const [otherTime = 0, otherNumber = 0] = b.split('-').map(Number);
  return time < otherTime || (time === otherTime && number < otherNumber);
}
