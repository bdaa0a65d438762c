/** Leases: there is one holder at a time, until it returns the lease or fails to renew it. */
import type { Redis } from 'ioredis';
import { redisError } from './connection.ts';

/**
 * Arguments: lease, hash of leases; owner, milliseconds. The hash tells `queue/clock-watch.ts` how long each may last
 * at most.
 */
const hold = `
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], KEYS[1], ARGV[2])
return 1`;

const release = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`;

/**
 * Takes or keeps the lease `key` for `ms` milliseconds; false while another owner has it. Errors: `redis-unreachable`.
 */
export async function holdLease(
  redis: Redis,
  prefix: string,
  key: string,
  { owner, ms }: { owner: string; ms: number },
): Promise<boolean> {
  try {
    return (await redis.eval(hold, 2, key, `${prefix}:leases`, owner, ms)) === 1;
  } catch (error) {
    throw redisError(error, 'lease');
  }
}

/** Returns the lease, if `owner` has it. Errors: `redis-unreachable`. */
export async function releaseLease(redis: Redis, key: string, owner: string): Promise<void> {
  try {
    await redis.eval(release, 1, key, owner);
  } catch (error) {
    throw redisError(error, 'lease');
  }
}
