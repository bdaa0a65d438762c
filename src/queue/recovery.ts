/**
 * A route that works again is tried at once, for everything that waits for it. Jobs that failed because their route was
 * down are remembered beside their delay, and the first success brings them forward. Each process knows for itself
 * whether a route is down (`gate.ts`). A nudge in Redis tells all of them that it is worth a try: after a success of
 * one of them, or because a person asked.
 */
import type { Redis } from 'ioredis';
import type { Log } from '../log.ts';
import { freeingScript, guarded, run } from '../redis/index.ts';
import type { Gate } from './gate.ts';
import type { Keys } from './keys.ts';
import { records } from './lua.ts';
import { newNudge, nudgeLasts } from './retry.ts';
import type { Outcome, QueueName } from './types.ts';

/** Milliseconds between looks for nudges, and for routes with such jobs. */
const lookEvery = 500;
/** Jobs that one call brings forward. */
const batch = 1000;
/** Jobs of a route among which the first is looked for, and milliseconds in which one is due anyway. */
const looked = 16;
const soon = 1000;

/**
 * Arguments: queue, route, now, milliseconds until this may happen again (0: it is still the same time), nudge. Makes
 * jobs of the route due now. Returns how many milliseconds to wait instead, or 0, and how many jobs are left for
 * another call.
 */
const bringBack = freeingScript(
  records,
  `
local queue, route, now, pause = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local q, key = P .. ':' .. queue .. ':', P .. ':late:' .. queue .. ':' .. route
if pause > 0 then
  local brought = P .. ':brought:' .. queue .. ':' .. route
  local left = rcall('PTTL', brought)
  if left > 0 then return { left, 0 } end
  rcall('SET', brought, '1', 'PX', pause)
  rcall('HSET', P .. ':nudged:' .. queue, route, ARGV[5])
  rcall('PEXPIRE', P .. ':nudged:' .. queue, ${nudgeLasts})
end
local moved, busy = 0, {}
for _, id in ipairs(rcall('SPOP', key, ${batch})) do
  if rcall('ZSCORE', q .. 'delayed', id) then
    rcall('ZADD', q .. 'delayed', 'XX', string.format('%.0f', (now + moved) * 4096), id)
    moved = moved + 1
  elseif rcall('EXISTS', q .. id .. ':lock') == 1 then
    -- It is about to wait, or has been taken again.
    busy[#busy + 1] = id
  end
end
local left = rcall('SCARD', key)
if #busy > 0 then rcall('SADD', key, unpack(busy)) elseif left == 0 then rcall('SREM', P .. ':late:' .. queue, route) end
if moved > 0 then rcall('ZADD', q .. 'marker', 0, '0') end
return { 0, left }
`,
);

/**
 * queue, now, milliseconds until the next one, then routes. Where nothing waits for a place, nobody would try the route
 * until the next attempt of one of its jobs, perhaps in an hour. So the first of them is due now, as a probe that does
 * not count: `pb` of the job is when it was due.
 */
const bringProbes = freeingScript(
  records,
  `
local queue, now, pause, any = ARGV[1], tonumber(ARGV[2]), ARGV[3], false
local q, all = P .. ':' .. queue .. ':', P .. ':late:' .. queue
for at = 4, #ARGV do
  local route, first, due = ARGV[at], nil, nil
  local key = all .. ':' .. route
  if rcall('EXISTS', P .. ':parked:' .. queue .. ':' .. route) == 0
    and rcall('SET', P .. ':probed:' .. queue .. ':' .. route, '1', 'PX', pause, 'NX') then
    for _, id in ipairs(rcall('SRANDMEMBER', key, ${looked})) do
      local score = rcall('ZSCORE', q .. 'delayed', id)
      local planned = score and math.floor(score / 4096)
      if planned and planned > now + ${soon} and not (due and due < planned) then first, due = id, planned end
      if not score and rcall('EXISTS', q .. id) == 0 then rcall('SREM', key, id) end
    end
    if rcall('EXISTS', key) == 0 then rcall('SREM', all, route) end
  end
  if first then
    rcall('HSET', q .. first, 'pb', string.format('%.0f', due))
    rcall('ZADD', q .. 'delayed', 'XX', string.format('%.0f', now * 4096), first)
    any = true
  end
end
if any then rcall('ZADD', q .. 'marker', 0, '0') end
`,
);

export interface RecoveryParts {
  /** The time of day, in milliseconds since the epoch. */
  now: () => number;
  redis: Redis;
  keys: Keys;
  queue: QueueName;
  gate: Pick<Gate, 'hurry'>;
  log: Log;
  /**
   * Milliseconds until jobs of a route may be brought forward again, because a server that fails every other time must
   * not use up their attempts. After as long, a route is probed for which nothing else is tried.
   */
  pause: number;
}

export class Recovery {
  readonly #parts: RecoveryParts;
  /** Routes with jobs that failed because of them, as of the last look. */
  #late = new Set<string>();
  readonly #nudges = new Map<string, string>();
  /** When to ask again, by route. */
  readonly #pauses = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), lookEvery).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Call this before a job begins to wait because its route is down.
   *
   * @param rest milliseconds for which the other side wants to be left alone
   */
  async failed(route: string, id: string, rest = 0): Promise<void> {
    const { redis, keys, queue, log, pause } = this.#parts;
    this.#late.add(route);
    try {
      // the routes last: whoever finds one there finds its jobs
      await guarded(
        'recovery',
        Promise.all([
          redis.set(keys.probed(queue, route), '1', 'PX', Math.ceil(Math.max(pause, rest))),
          redis.sadd(keys.late(queue, route), id),
          redis.sadd(keys.lateRoutes(queue), route),
        ]),
      );
    } catch (err) {
      // it then waits for its delay
      log.debug({ err, queue }, 'could not remember a job of a route that is down');
    }
  }

  /** The outcome of an attempt: as a probe that found the route down, it does not count. */
  async asProbe(id: string, outcome: Outcome): Promise<Outcome> {
    if (!('retry' in outcome) || outcome.peer !== 'down' || outcome.untried === true) return outcome;
    const { redis, keys, queue, now, log } = this.#parts;
    const job = `${keys.prefix}:${queue}:${id}`;
    try {
      const due = await guarded('recovery', redis.hget(job, 'pb'));
      if (due === null) return outcome;
      await guarded('recovery', redis.hdel(job, 'pb'));
      const after = Number(due) - now();
      return after > 0 ? { ...outcome, untried: true, after } : outcome;
    } catch (err) {
      log.debug({ err, queue }, 'could not see whether an attempt was a probe');
      return outcome;
    }
  }

  /** An attempt has shown that the route works. */
  works(route: string): void {
    if (!this.#late.has(route)) return;
    if (performance.now() < (this.#pauses.get(route) ?? 0)) return;
    this.#late.delete(route);
    void this.#bringBack(route);
  }

  async #bringBack(route: string): Promise<void> {
    const { redis, keys, queue, now, log, pause } = this.#parts;
    try {
      for (let first = true, left = 1; left > 0; first = false) {
        const args = [queue, route, now(), first ? pause : 0, newNudge()];
        const reply = await run(redis, keys.prefix, bringBack, args, 'recovery');
        const [wait, more]: unknown[] = Array.isArray(reply) ? reply : [];
        if (Number(wait) > 0) this.#pauses.set(route, performance.now() + Number(wait));
        left = Number(more);
      }
    } catch (err) {
      log.debug({ err, queue }, 'could not bring jobs of a route forward');
    }
  }

  /** Takes nudges, finds out which routes have jobs to bring forward, and probes those for which nothing is tried. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { redis, keys, queue, gate, now, log, pause } = this.#parts;
    try {
      const [late, nudges] = await guarded(
        'recovery',
        Promise.all([redis.smembers(keys.lateRoutes(queue)), redis.hgetall(keys.nudges(queue))]),
      );
      this.#late = new Set(late);
      for (const route of this.#nudges.keys()) if (nudges[route] === undefined) this.#nudges.delete(route);
      for (const [route, nudge] of Object.entries(nudges)) {
        if (this.#nudges.get(route) === nudge) continue;
        this.#nudges.set(route, nudge);
        gate.hurry(route);
      }
      if (late.length > 0)
        await run(redis, keys.prefix, bringProbes, [queue, now(), pause, ...late], 'recovery');
    } catch (err) {
      log.debug({ err, queue }, 'could not look for routes that are back');
    } finally {
      this.#looking = false;
    }
  }
}
