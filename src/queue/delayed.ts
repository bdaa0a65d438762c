/** Retries scheduled by a clock that was ahead, which would otherwise wait until that time. */
import type { Redis } from 'ioredis';
import { run, script } from '../redis/index.ts';
import type { Keys } from './keys.ts';
import { records } from './lua.ts';
import type { QueueName } from './types.ts';

/** Maximum number of jobs that one check brings forward; the next check takes more. */
const batch = 1000;

/**
 * queue, now, longest possible wait. BullMQ keeps delayed jobs in a sorted set by the time in milliseconds times 4096.
 * A job that is due later than the longest wait from now was scheduled by another clock. "Now" is the later of the
 * caller's and Redis's time: a worker whose clock is behind must not assume that all others are ahead. The jobs become
 * due one millisecond apart, and the marker wakes a worker. Returns how many.
 */
const bringForward = script(
  records,
  `
local q, now = P .. ':' .. ARGV[1] .. ':', tonumber(ARGV[2])
local time = rcall('TIME')
local latest = math.max(now, time[1] * 1000 + math.floor(time[2] / 1000)) + tonumber(ARGV[3])
local late = rcall('ZRANGEBYSCORE', q .. 'delayed', string.format('(%.0f', latest * 4096), '+inf', 'LIMIT', 0, ${batch})
for at, id in ipairs(late) do
  rcall('ZADD', q .. 'delayed', 'XX', string.format('%.0f', (now + at) * 4096), id)
end
if #late > 0 then rcall('ZADD', q .. 'marker', 0, '0') end
return #late
`,
);

/**
 * Makes jobs due now that would be due later than `longest` milliseconds from `now` (milliseconds since the epoch).
 * Returns how many. Errors: `redis-unreachable`, `redis-full`.
 */
export async function bringLateForward(
  redis: Redis,
  keys: Keys,
  queue: QueueName,
  longest: number,
  now: number,
): Promise<number> {
  return Number(await run(redis, keys.prefix, bringForward, [queue, now, longest], 'delayed'));
}
