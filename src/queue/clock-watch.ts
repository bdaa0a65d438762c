/**
 * Clocks that jump. Keys that expire in Redis (locks of jobs, leases, heartbeats) expire at a time of day, in the
 * append-only file too. If Redis's clock is set back, they last longer by that amount: jobs of killed processes stay
 * locked, and mailboxes are not read. So each process checks at its start and every five seconds for keys that would
 * last longer than allowed, and shortens them. It also compares the clocks with a monotonic one, and reports jumps.
 */
import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import type { Log } from '../log.ts';
import { guarded, lifetimes, presenceKinds, redisError, run, script } from '../redis/index.ts';
import { type Keys, queueNames } from './keys.ts';
import { records } from './lua.ts';

const lookEvery = 5_000;
/** Milliseconds. Smaller steps (a leap second, a correction by NTP) cause no noticeable delay. */
const smallest = 2_000;
/** Difference in milliseconds between this machine's clock and Redis's that is reported. */
const apart = 60_000;
/** Milliseconds for which `health` reports a jump. */
const toldFor = 86_400_000;

/**
 * Step that is too small to report, maximum lifetime of: lock, stalled-check, presence, lease of the sweep; number of
 * queues, queues, sets of the presence. Returns how many keys would have outlived that, by how many milliseconds at
 * most, and Redis's time.
 */
const shorten = script(
  records,
  `
local found, worst = 0, 0
local function look(key, most)
  local left = rcall('PTTL', key)
  if left <= most then return left end
  rcall('PEXPIRE', key, most)
  if left - most > tonumber(ARGV[1]) then
    found = found + 1
    worst = math.max(worst, left - most)
  end
  return most
end
local lock, check, presence = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local queues = tonumber(ARGV[6])
look(P .. ':lease:sweep', tonumber(ARGV[5]))
for at = 7, 6 + queues do
  local q = P .. ':' .. ARGV[at] .. ':'
  look(q .. 'stalled-check', check)
  for _, id in ipairs(rcall('LRANGE', q .. 'active', 0, -1)) do look(q .. id .. ':lock', lock) end
end
for at = 7 + queues, #ARGV do
  for _, key in ipairs(rcall('SMEMBERS', P .. ':' .. ARGV[at])) do look(key, presence) end
end
local leases = rcall('HGETALL', P .. ':leases')
for at = 1, #leases, 2 do
  -- Who takes it again puts its name back.
  if look(leases[at], tonumber(leases[at + 1])) == -2 then rcall('HDEL', P .. ':leases', leases[at]) end
end
local time = rcall('TIME')
return { found, string.format('%.0f', worst), time[1], time[2] }
`,
);

/** Clock events of the last day; times in milliseconds since the epoch, by the clock of the reporter. */
export interface ClockFacts {
  /** The last jump of a clock: of which machine, or of `redis`. Seconds; negative if it was set back. */
  jump: { at: number; of: string; seconds: number } | null;
  /** Locks, leases and heartbeats that would have lasted too long, and by how many seconds at most. */
  shortened: { at: number; keys: number; seconds: number } | null;
  /** Seconds by which this machine's clock is ahead of Redis's, if more than a minute; otherwise null. */
  ahead: number | null;
}

export interface Shortened {
  keys: number;
  /** Milliseconds that the worst of them would have lasted too long. */
  worst: number;
  /** Redis's time in milliseconds since the epoch. */
  redisTime: number;
}

/** Shortens keys that would last longer than allowed. Errors: `redis-unreachable`, `redis-full`. */
export async function shortenLives(redis: Redis, keys: Keys): Promise<Shortened> {
  const { lock, stalledCheck, presence, sweepLease } = lifetimes;
  const limits = [smallest, lock, stalledCheck, presence, sweepLease];
  const args = [...limits, queueNames.length, ...queueNames, ...presenceKinds];
  const reply = await run(redis, keys.prefix, shorten, args, 'clock');
  const [found = 0, worst = 0, seconds = 0, micros = 0]: unknown[] = Array.isArray(reply) ? reply : [];
  return {
    keys: Number(found),
    worst: Number(worst),
    redisTime: Number(seconds) * 1000 + Math.floor(Number(micros) / 1000),
  };
}

/** What `health` reports about the clocks. Errors: `redis-unreachable`. */
export async function readClockFacts(redis: Redis, keys: Keys, now: number): Promise<ClockFacts> {
  const [jump, shortened] = await guarded('clock', redis.hmget(keys.clock, 'jump', 'shortened'));
  const [seconds] = await guarded('clock', redis.time());
  const ahead = Math.round(now / 1000) - Number(seconds);
  return {
    jump: recent<NonNullable<ClockFacts['jump']>>(jump, now),
    shortened: recent<NonNullable<ClockFacts['shortened']>>(shortened, now),
    ahead: Math.abs(ahead) * 1000 > apart ? ahead : null,
  };
}

function recent<T extends { at: number }>(text: string | null | undefined, now: number): T | null {
  if (!text) return null;
  const value: T = JSON.parse(text);
  return Math.abs(now - value.at) < toldFor ? value : null;
}

interface Clocks {
  /** Milliseconds of a monotonic clock. */
  steady: number;
  here: number;
  redis: number;
}

export interface ClockWatchParts {
  /** The time of day, in milliseconds since the epoch. */
  now: () => number;
  redis: Redis;
  keys: Keys;
  log: Log;
}

export class ClockWatch {
  readonly #parts: ClockWatchParts;
  #last: Clocks | undefined;
  #timer: NodeJS.Timeout | undefined;
  #apart = false;

  constructor(parts: ClockWatchParts) {
    this.#parts = parts;
  }

  /** Checks at once, and from now on every five seconds. */
  async start(): Promise<void> {
    await this.look();
    this.#timer = setInterval(() => void this.look(), lookEvery).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Does not throw: while Redis is unreachable there is nothing to shorten, and other code reports that. */
  async look(): Promise<void> {
    const { redis, keys, log } = this.#parts;
    try {
      const before = performance.now();
      const { keys: count, worst, redisTime } = await shortenLives(redis, keys);
      const after = performance.now();
      const clocks = { steady: after, here: this.#parts.now(), redis: redisTime };
      const last = this.#last;
      this.#last = clocks;
      if (last) {
        await this.#compare('here', last, clocks, 0);
        // the reply may have been delayed
        await this.#compare('redis', last, clocks, after - before);
      }
      this.#compareBoth(clocks, after - before);
      if (count === 0) return;
      const seconds = Math.round(worst / 1000);
      log.warn(
        { keys: count, seconds },
        'locks or leases were set by a clock that was ahead; shortened so that work continues',
      );
      await this.#tell('shortened', { at: this.#parts.now(), keys: count, seconds });
    } catch (error) {
      log.debug({ err: redisError(error, 'clock') }, 'could not compare the clocks');
    }
  }

  async #compare(which: 'here' | 'redis', last: Clocks, now: Clocks, uncertain: number): Promise<void> {
    const jump = now[which] - last[which] - (now.steady - last.steady);
    if (Math.abs(jump) < smallest + uncertain) return;
    const of = which === 'redis' ? 'redis' : hostname();
    const seconds = Math.round(jump / 1000);
    const how = jump < 0 ? 'set back' : 'set ahead (or the machine slept)';
    this.#parts.log.warn({ of, seconds }, `the clock jumped by ${seconds} s: it was ${how}`);
    await this.#tell('jump', { at: now.here, of, seconds });
  }

  #compareBoth({ here, redis }: Clocks, uncertain: number): void {
    const difference = here - redis;
    const differ = Math.abs(difference) > apart + uncertain;
    if (differ && !this.#apart)
      this.#parts.log.warn(
        { seconds: Math.round(difference / 1000) },
        'the clocks of this machine and of Redis differ; set both by NTP',
      );
    this.#apart = differ;
  }

  async #tell(field: 'jump' | 'shortened', value: object): Promise<void> {
    const { redis, keys } = this.#parts;
    await guarded('clock', redis.hset(keys.clock, field, JSON.stringify(value)));
  }
}
