/**
 * A rate that all processes of an installation share: the token bucket of `client/rates.ts`, but in Redis and by its
 * clock. It stores what was taken, not what is left, so that a different size counts at once.
 */
import type { Redis } from 'ioredis';
import { freeingScript, run } from './scripts.ts';

/** What may be taken. A field that is missing is not limited. */
export interface SharedRate {
  /** Messages and octets a second. */
  messages?: number | undefined;
  octets?: number | undefined;
  /** Milliseconds for which the rate accumulates during a pause; at least one message and one octet may be taken. */
  burst: number;
}

/** Shortest wait in milliseconds. At high rates, several are taken together. */
const leastRest = 5;

/**
 * Arguments: key; then for messages and for octets: how many a full bucket holds (0: not limited), how many come back
 * per millisecond, how many to take. They are taken if there is at least one of each: taking more octets than are left
 * makes a debt, so no message is too large. Returns the milliseconds to wait (0: taken), and, if taken, those until the
 * next one may be.
 *
 * The flag lets the script run when Redis is full, because sending makes room.
 */
const take = freeingScript(`
local P = string.sub(KEYS[1], 1, -3)
local key = P .. ':rate:' .. ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local kept = redis.call('HMGET', key, 'at', 'm', 'o')
-- A clock that was set back gives nothing back, and takes nothing away.
local past = math.max(0, now - tonumber(kept[1] or now))
local taken, wait, after, life = {}, 0, 0, 0
local function each(work)
  for at = 1, 2 do
    local holds, back = tonumber(ARGV[3 * at - 1]), tonumber(ARGV[3 * at])
    if holds > 0 then work(at, holds, back, tonumber(ARGV[3 * at + 1])) end
  end
end
local function until_one(at, holds, back) return math.ceil(math.max(0, taken[at] + 1 - holds) / back) end
each(function(at, holds, back)
  taken[at] = math.max(0, tonumber(kept[at + 1] or 0) - past * back)
  wait = math.max(wait, until_one(at, holds, back))
end)
each(function(at, holds, back, amount)
  if wait == 0 then
    taken[at] = taken[at] + amount
    after = math.max(after, until_one(at, holds, back))
  end
  life = math.max(life, math.ceil(taken[at] / back))
end)
redis.call('HSET', key, 'at', string.format('%.3f', now), 'm', string.format('%.6f', taken[1] or 0),
  'o', string.format('%.3f', taken[2] or 0))
redis.call('PEXPIRE', key, math.min(life, 86400000000) + 1000)
return { wait, after }
`);

interface BucketParts {
  redis: Redis;
  prefix: string;
}

export class SharedBucket {
  readonly #parts: BucketParts;
  readonly #name: string;
  readonly #rate: SharedRate;
  #restsUntil = 0;
  #tight = false;

  /** @param name the same in each process that shares it */
  constructor(parts: BucketParts, name: string, rate: SharedRate) {
    this.#parts = parts;
    this.#name = name;
    this.#rate = rate;
  }

  /**
   * Takes one message of this size. Returns 0, or the milliseconds to wait, in which case nothing was taken. Errors:
   * `redis-unreachable`.
   */
  async take(octets: number): Promise<number> {
    const { redis, prefix } = this.#parts;
    const { messages, octets: most, burst } = this.#rate;
    const bucket = (perSecond: number | undefined, amount: number) =>
      perSecond === undefined
        ? [0, 1, 0]
        : [Math.max(1, (perSecond * burst) / 1000), perSecond / 1000, Math.max(1, amount)];
    const args = [this.#name, ...bucket(messages, 1), ...bucket(most, octets)];
    const reply = await run(redis, prefix, take, args, 'rate');
    const [wait, after] = (Array.isArray(reply) ? reply : []).map(Number);
    const rest = Math.max(wait ?? 0, after ?? 0);
    this.#tight = rest > 0;
    if (rest > 0) this.#restsUntil = performance.now() + Math.max(leastRest, rest);
    return wait ?? 0;
  }

  /** How many messages may be tried now, as far as this process knows. */
  room(): number {
    if (this.rests() > 0) return 0;
    return this.#tight ? 1 : Number.POSITIVE_INFINITY;
  }

  /** Milliseconds until there may be room again. */
  rests(): number {
    return Math.max(0, this.#restsUntil - performance.now());
  }
}

/** The bucket of a route, if it has a rate. Parameters as for the constructor. */
export function sharedBucket(parts: BucketParts, name: string, rate: SharedRate): SharedBucket;
export function sharedBucket(
  parts: BucketParts,
  name: string,
  rate: SharedRate | undefined,
): SharedBucket | undefined;
export function sharedBucket(parts: BucketParts, name: string, rate: SharedRate | undefined) {
  return rate && new SharedBucket(parts, name, rate);
}
