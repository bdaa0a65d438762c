/**
 * Routes that are down, known to the whole installation: the hash `sick:QUEUE` says for each route since when, and why.
 * Only the process whose attempt failed or worked first says so in the log.
 */
import type { Redis } from 'ioredis';
import type { PartnerNames } from '../config/index.ts';
import { cleanText, type Log } from '../log.ts';
import { guarded } from '../redis/index.ts';
import { hostSaid } from './explain.ts';
import type { Keys } from './keys.ts';
import type { DownRoute } from './route-types.ts';
import type { Facts, QueueName } from './types.ts';

/** Milliseconds between looks at what other processes know. */
const lookEvery = 2000;
/** Milliseconds between notes that a route is still down, and why. */
const noteEvery = 30_000;
const longest = 300;

interface Kept {
  /** Milliseconds since the epoch. */
  since: number;
  /** Of the last attempt. */
  last: number;
  reason: string;
  why: string;
}

export interface SickRoutesParts {
  now: () => number;
  redis: Redis;
  keys: Keys;
  queue: QueueName;
  log: Log;
  names: Pick<PartnerNames, 'present'>;
}

export class SickRoutes {
  readonly #parts: SickRoutesParts;
  /** When it was last noted, by route. */
  readonly #noted = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: SickRoutesParts) {
    this.#parts = parts;
  }

  start(): void {
    const look = () => void this.look();
    this.#timer = setInterval(look, lookEvery).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async look(): Promise<void> {
    const { redis, keys, queue, log } = this.#parts;
    try {
      const routes = new Set(await guarded('routes', redis.hkeys(keys.sick(queue))));
      for (const route of this.#noted.keys()) if (!routes.has(route)) this.#noted.delete(route);
      for (const route of routes) if (!this.#noted.has(route)) this.#noted.set(route, 0);
    } catch (err) {
      log.debug({ err, queue }, 'could not look which routes are down');
    }
  }

  /** An attempt has shown that the route is down. */
  failed(route: string, reason: string, facts: Facts = {}): void {
    const now = this.#parts.now();
    const noted = this.#noted.get(route);
    if (noted !== undefined && Math.abs(now - noted) < noteEvery) return;
    this.#noted.set(route, now);
    void this.#note(route, { since: now, last: now, reason, why: cleanText(hostSaid(facts), longest) });
  }

  async #note(route: string, kept: Kept): Promise<void> {
    const { redis, keys, queue, log, names } = this.#parts;
    try {
      const isNew = await guarded('routes', redis.hsetnx(keys.sick(queue), route, JSON.stringify(kept)));
      if (isNew === 1) {
        const { reason, why } = kept;
        log.warn({ queue, ...routeNames(queue, route, names), reason, said: why }, 'a route is down');
        return;
      }
      const [before] = await readDown(redis, keys, queue, [route]);
      const still = { ...kept, since: before?.since ?? kept.since };
      await guarded('routes', redis.hset(keys.sick(queue), route, JSON.stringify(still)));
    } catch (err) {
      // The next attempt notes it.
      this.#noted.delete(route);
      log.debug({ err, queue }, 'could not note that a route is down');
    }
  }

  /** An attempt has shown that the route works. */
  works(route: string): void {
    if (!this.#noted.delete(route)) return;
    void this.#forget(route);
  }

  async #forget(route: string): Promise<void> {
    const { redis, keys, queue, log, names, now } = this.#parts;
    try {
      const [before] = await readDown(redis, keys, queue, [route]);
      if ((await guarded('routes', redis.hdel(keys.sick(queue), route))) !== 1 || before === undefined)
        return;
      const seconds = Math.max(0, Math.round((now() - before.since) / 1000));
      log.info({ queue, ...routeNames(queue, route, names), seconds }, 'a route works again');
    } catch (err) {
      this.#noted.set(route, 0);
      log.debug({ err, queue }, 'could not note that a route works again');
    }
  }
}

/** What is known about some routes of a queue, in their order; undefined for those that are not down. */
export async function readDown(
  redis: Redis,
  keys: Pick<Keys, 'sick'>,
  queue: QueueName,
  routes: readonly string[],
): Promise<(Kept | undefined)[]> {
  if (routes.length === 0) return [];
  return (await guarded('routes', redis.hmget(keys.sick(queue), ...routes))).map(parsed);
}

/** Routes that are down, of all queues. */
export async function readAllDown(
  redis: Redis,
  keys: Pick<Keys, 'sick'>,
  names: Pick<PartnerNames, 'present'>,
): Promise<DownRoute[]> {
  const queues = ['handoff', 'outbound', 'failures'] as const;
  const found = await Promise.all(
    queues.map(async (queue) => {
      const routes = Object.entries(await guarded('routes', redis.hgetall(keys.sick(queue))));
      return routes.flatMap(([route, text]): DownRoute[] => {
        const kept = parsed(text);
        if (kept === undefined) return [];
        return [
          {
            queue,
            mailbox: null,
            destination: null,
            partner: null,
            ...kept,
            ...routeNames(queue, route, names),
          },
        ];
      });
    }),
  );
  return found.flat();
}

function parsed(text: string | null): Kept | undefined {
  if (text === null) return undefined;
  const kept: Kept = JSON.parse(text);
  return kept;
}

/** What a route leads to, by the names in the configuration. */
function routeNames(
  queue: QueueName,
  route: string,
  names: Pick<PartnerNames, 'present'>,
): { mailbox?: string; destination?: string; partner?: string } {
  if (queue === 'outbound') return { partner: names.present(route) };
  const [first = '', second = ''] = route.split('\n');
  if (queue !== 'failures') return { mailbox: first, destination: second };
  return first === 'outbound'
    ? { partner: names.present(second), destination: 'onSuspend' }
    : { mailbox: second, destination: 'onSuspend' };
}
