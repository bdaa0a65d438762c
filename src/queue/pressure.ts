/**
 * Checks every two seconds whether there is room for more: memory of Redis, free disk space, and how full the queues
 * are. Accepted messages need memory and disk to continue. So nothing new is accepted before either runs out, and
 * messages are accepted again when there is clearly more room.
 */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Redis } from 'ioredis';
import { hasCode, SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { gauge } from '../metrics.ts';
import { guarded } from '../redis/index.ts';
import type { Keys } from './keys.ts';

/** Seconds after which a refused sender should try again. */
const retryAfterSeconds = 60;
const lookEveryMs = 2000;
/** Memory: percentage points below the limit at which the refusal ends. Disk: share of the limit above it. */
const memoryMargin = 5;
const diskMargin = 0.25;
const diskShare = 0.05;

const memoryUsed = gauge('redis_memory_octets', 'Memory that Redis uses, as this process saw it last.');
const memoryLimit = gauge('redis_memory_limit_octets', 'maxmemory of Redis, else the memory of its machine.');
const diskFree = gauge('disk_free_octets', 'Free space of the disk with the spool folder, for this process.');
const diskLimit = gauge('disk_limit_octets', 'Free space below which this process accepts nothing new.');
const refusing = gauge('refusing', '1 if nothing new is accepted for this reason, else 0.', ['what']);

export type PressureKind = 'memory' | 'disk' | 'store' | 'depth' | 'octets';

export interface PressureParts {
  redis: Redis;
  keys: Keys;
  log: Log;
  /** Folder whose disk is watched; the nearest existing parent if it does not exist yet. */
  folder: string;
  /** Percent of the memory. */
  redisMemory: number;
  /** Octets. */
  diskFree: number;
  /** Why the store of large messages cannot be used now. Called at each check. */
  store: () => SealpostError | null;
}

/** The error for new arrivals. */
export function queueFull(what: string): SealpostError {
  return new SealpostError('queue-full', `${what}: nothing new is accepted now`, {
    hint: `try again in ${retryAfterSeconds} seconds; sealpost health shows what waits`,
  });
}

export class Pressure {
  #parts: PressureParts;
  #state: { what: PressureKind; message: string } | null = null;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(parts: PressureParts) {
    this.#parts = parts;
  }

  /** Why nothing new is accepted, as of the last check. */
  refusal(): SealpostError | null {
    return this.#state ? queueFull(this.#state.message) : null;
  }

  what(): PressureKind | null {
    return this.#state?.what ?? null;
  }

  /** Checks now, and from now on every two seconds. */
  async start(): Promise<void> {
    await this.look();
    this.#timer = setInterval(() => void this.look(), lookEveryMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** An arrival was refused by a limit that only Redis counts. */
  lookSoon(): void {
    if (this.#timer) void this.look();
  }

  /** Checks everything. Does not throw: if Redis is unreachable, the intake reports it itself. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((err: unknown) => this.#parts.log.debug({ err }, 'could not check memory and disk'))
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const [memory, disk] = await Promise.all([this.#memory(), this.#disk()]);
    const next = memory ?? disk ?? this.#store();
    const before = this.#state;
    this.#state = next;
    for (const what of ['memory', 'disk', 'store'] as const)
      refusing.set({ what }, next?.what === what ? 1 : 0);
    if (next && before?.what !== next.what)
      this.#parts.log.warn({ what: next.what }, `${next.message}: nothing new is accepted`);
    if (!next && before)
      this.#parts.log.info({ what: before.what }, 'there is room again: messages are accepted');
  }

  async #memory(): Promise<{ what: 'memory'; message: string } | null> {
    const { redis, redisMemory } = this.#parts;
    const info = await guarded('memory', redis.info('memory'));
    const value = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    const used = value('used_memory');
    const limit = value('maxmemory') || value('total_system_memory');
    memoryUsed.set(used);
    memoryLimit.set(limit);
    if (limit === 0) return null;
    const mark = this.#state?.what === 'memory' ? redisMemory - memoryMargin : redisMemory;
    const percent = (100 * used) / limit;
    if (percent < mark) return null;
    return {
      what: 'memory',
      message: `Redis uses ${Math.floor(percent)} percent of its memory (limits.redisMemory)`,
    };
  }

  #store(): { what: 'store'; message: string } | null {
    const trouble = this.#parts.store();
    return trouble && { what: 'store', message: trouble.message };
  }

  async #disk(): Promise<{ what: 'disk'; message: string } | null> {
    const { bavail, bsize, blocks } = await statfsOf(this.#parts.folder);
    const free = bavail * bsize;
    diskFree.set(free);
    const low = Math.min(this.#parts.diskFree, blocks * bsize * diskShare);
    diskLimit.set(low);
    const mark = this.#state?.what === 'disk' ? low * (1 + diskMargin) : low;
    if (free >= mark) return null;
    return { what: 'disk', message: `the disk of ${this.#parts.folder} is nearly full (limits.diskFree)` };
  }
}

async function statfsOf(folder: string): Promise<{ bavail: number; bsize: number; blocks: number }> {
  try {
    return await statfs(folder);
  } catch (error) {
    if (!hasCode(error, 'ENOENT') || dirname(folder) === folder) throw error;
    return await statfsOf(dirname(folder));
  }
}
