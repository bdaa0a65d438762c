/**
 * Jobs that have to wait for their route are kept in a list of that route, apart from the others. They cost nothing
 * there: nobody polls them, and new jobs of the route go directly behind them. They are called back when their route
 * has a free place (`gate.ts`). Putting back and calling back are one script each, so a crash neither loses nor
 * duplicates a job.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Log } from '../log.ts';
import { gauge } from '../metrics.ts';
import { freeingScript, guarded, run } from '../redis/index.ts';
import type { Gate } from './gate.ts';
import type { Keys } from './keys.ts';
import { jobs, records } from './lua.ts';
import type { QueueName } from './types.ts';

/** Milliseconds between checks for routes with waiting jobs: one command, however many wait. */
const lookEvery = 500;
/** How many of the next jobs are checked for other full routes when one is put back. */
const ahead = 256;
/** Milliseconds within which the process that called a job back should have it. */
const callLasts = 1000;
/** Maximum number of routes in one call. */
const mostNamed = 500;

const parkedRoutes = gauge('parked_routes', 'Routes whose messages wait for a place, by queue.', ['queue']);

/**
 * queue, id, token of its lock, route, now, then full routes. Puts a job back, and jobs of full routes among the next
 * ones. Returns -1 if another process has the job by now, 1 if one had just called it back, else 0.
 */
const putBack = freeingScript(
  records,
  jobs(),
  `
local queue, id, token, route, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local q = P .. ':' .. queue .. ':'
if rcall('GET', q .. id .. ':lock') ~= token then return -1 end
rcall('DEL', q .. id .. ':lock')
rcall('SREM', q .. 'stalled', id)
if rcall('LREM', q .. 'active', 1, id) == 0 then return -1 end
-- It was not worked on: a start that counts would look like a death.
rcall('HINCRBY', q .. id, 'ats', -1)
local facts = rcall('HMGET', q .. id, 'rt', 'sq', 'rl')
if not facts[1] then rcall('HSET', q .. id, 'rt', route) end
park(queue, route, id, facts[2] or 0)
if facts[3] and now - tonumber(facts[3]) < ${callLasts} then return 1 end
local full = {}
for at = 6, #ARGV do full[ARGV[at]] = true end
local next, left, moved = rcall('LRANGE', q .. 'wait', -${ahead}, -1), {}, 0
for _, other in ipairs(next) do
  local its = rcall('HMGET', q .. other, 'rt', 'sq', 'rl')
  if its[1] and full[its[1]] and not (its[3] and now - tonumber(its[3]) < ${callLasts}) then
    park(queue, its[1], other, its[2])
    moved = moved + 1
  else
    left[#left + 1] = other
  end
end
if moved > 0 then
  rcall('LTRIM', q .. 'wait', 0, -(#next + 1))
  if #left > 0 then rcall('RPUSH', q .. 'wait', unpack(left)) end
end
return 0
`,
);

/**
 * queue, now, then route and number of jobs. Calls them back, the oldest to the head. Returns for each route how many
 * were moved and how many are left.
 */
const callBack = freeingScript(
  records,
  `
local queue, now, reply, any = ARGV[1], ARGV[2], {}, false
local q, all = P .. ':' .. queue .. ':', P .. ':parked:' .. queue
for at = 3, #ARGV, 2 do
  local key = all .. ':' .. ARGV[at]
  local popped, came = rcall('ZPOPMIN', key, ARGV[at + 1]), 0
  for each = #popped - 1, 1, -2 do
    local id = popped[each]
    rcall('ZREM', all, id)
    if rcall('EXISTS', q .. id) == 1 then
      rcall('HSET', q .. id, 'rl', now)
      rcall('RPUSH', q .. 'wait', id)
      came, any = came + 1, true
    end
  end
  local left = rcall('ZCARD', key)
  if left == 0 then rcall('SREM', P .. ':routes:' .. queue, ARGV[at]) end
  reply[#reply + 1] = came
  reply[#reply + 1] = left
end
if any then rcall('ZADD', q .. 'marker', 0, '0') end
return reply
`,
);

export interface ParkingParts {
  /** The time of day, in milliseconds since the epoch. */
  now: () => number;
  redis: Redis;
  keys: Keys;
  queue: QueueName;
  gate: Pick<Gate, 'rests' | 'full' | 'isHungry' | 'vacant' | 'expect' | 'expectNothing'>;
  log: Log;
}

export class Parking {
  readonly #parts: ParkingParts;
  readonly #parked = new Set<string>();
  readonly #hungry = new Set<string>();
  /** Routes that wait until their rate lets another one go. */
  readonly #resting = new Map<string, NodeJS.Timeout>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(parts: ParkingParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), lookEvery).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const timer of this.#resting.values()) clearTimeout(timer);
    this.#resting.clear();
  }

  /**
   * Puts a job back, however long Redis is away; it is no longer ours when this resolves. True if another process had
   * just called it back and should have it.
   */
  async park(id: string, token: string, route: string, signal: AbortSignal): Promise<boolean> {
    const { queue, gate, redis, keys, log } = this.#parts;
    while (!signal.aborted) {
      const others = gate.full().filter((name) => name !== route);
      const args = [queue, id, token, route, this.#parts.now(), route, ...others.slice(0, mostNamed)];
      try {
        const reply = await run(redis, keys.prefix, putBack, args, 'park');
        this.#parked.add(route);
        // A place may have become free in the meantime.
        this.refill(route);
        return reply === 1;
      } catch (err) {
        log.debug({ err, queue }, 'could not put a job back');
        await sleep(1000, undefined, { signal }).catch(() => undefined);
      }
    }
    return false;
  }

  /** A place of a route has become free. */
  refill(route: string): void {
    if (!this.#parked.has(route)) return;
    const rests = this.#parts.gate.rests(route);
    if (rests > 0) {
      this.#later(route, rests);
      return;
    }
    if (this.#hungry.size === 0) setImmediate(() => void this.#feed());
    this.#hungry.add(route);
  }

  #later(route: string, rests: number): void {
    if (this.#resting.has(route)) return;
    const timer = setTimeout(() => {
      this.#resting.delete(route);
      this.refill(route);
    }, Math.ceil(rests));
    this.#resting.set(route, timer.unref());
  }

  async #feed(): Promise<void> {
    const routes = [...this.#hungry].filter((route) => this.#parts.gate.isHungry(route));
    this.#hungry.clear();
    await this.#call(routes).catch((err: unknown) =>
      this.#parts.log.debug({ err, queue: this.#parts.queue }, 'could not call jobs back'),
    );
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { redis, keys, queue, gate, log } = this.#parts;
    try {
      const routes = await guarded('parking', redis.smembers(keys.parkedRoutes(queue)));
      parkedRoutes.set({ queue }, routes.length);
      this.#parked.clear();
      for (const route of routes) this.#parked.add(route);
      gate.expectNothing();
      await this.#call(routes);
    } catch (err) {
      log.debug({ err, queue }, 'could not check for parked jobs');
    } finally {
      this.#looking = false;
    }
  }

  async #call(routes: string[]): Promise<void> {
    const { redis, keys, queue, gate } = this.#parts;
    const calls = routes
      .map((route) => ({ route, jobs: gate.vacant(route) }))
      .filter(({ jobs }) => jobs > 0)
      .slice(0, mostNamed);
    if (calls.length === 0) return;
    for (const { route, jobs } of calls) gate.expect(route, jobs);
    const args = [queue, this.#parts.now(), ...calls.flatMap(({ route, jobs }) => [route, jobs])];
    const reply = await run(redis, keys.prefix, callBack, args, 'parking');
    const counts: unknown[] = Array.isArray(reply) ? reply : [];
    for (const [index, { route, jobs }] of calls.entries()) {
      gate.expect(route, Number(counts[2 * index] ?? 0) - jobs);
      if (Number(counts[2 * index + 1] ?? 0) === 0) this.#parked.delete(route);
    }
  }
}
