/**
 * What each process on each machine keeps in Redis for a while: its heartbeat and its metrics. The names are in a set
 * of their own, because a SCAN would visit the keys of every message.
 */
import { hostname } from 'node:os';
import type { QueueRoom } from '../queue/index.ts';
import { type PresenceKind, presenceKinds } from '../redis/index.ts';
import type { RoleName } from './protocol.ts';

/** Distinguishes this process from others of its role. */
export const instance = instanceOf(process.pid);

function instanceOf(pid: number): string {
  return `${hostname()}:${pid}`;
}

/** Stores this process's value for `keptMs` milliseconds. */
export async function leave(
  queue: QueueRoom,
  kind: PresenceKind,
  role: RoleName,
  value: unknown,
  keptMs: number,
): Promise<void> {
  const key = keyOf(queue, kind, role, instance);
  await queue.redis.sadd(`${queue.prefix}:${kind}`, key);
  await queue.redis.set(key, JSON.stringify(value), 'PX', keptMs);
}

/** Removes the value of a process on this machine, when it ends or has ended. */
export async function withdraw(
  queue: Pick<QueueRoom, 'redis' | 'prefix'>,
  role: RoleName,
  pid: number,
): Promise<void> {
  for (const kind of presenceKinds) {
    const key = keyOf(queue, kind, role, instanceOf(pid));
    await queue.redis.del(key);
    await queue.redis.srem(`${queue.prefix}:${kind}`, key);
  }
}

/** The existing values, as JSON texts. Removes the names of processes that have died. */
export async function present(queue: QueueRoom, kind: PresenceKind): Promise<string[]> {
  const names = await queue.redis.smembers(`${queue.prefix}:${kind}`);
  if (names.length === 0) return [];
  const values = await queue.redis.mget(names);
  // A living process adds its name again with its next heartbeat.
  const gone = names.filter((_, index) => values[index] === null);
  if (gone.length > 0) await queue.redis.srem(`${queue.prefix}:${kind}`, gone);
  return values.filter((value) => value !== null);
}

function keyOf(
  { prefix }: Pick<QueueRoom, 'prefix'>,
  kind: PresenceKind,
  role: RoleName,
  of: string,
): string {
  return `${prefix}:${kind}:${role}:${of}`;
}
