/**
 * What each process of each machine leaves in Redis for a while: its sign of life, its metrics. The names are in a set
 * of their own, since a SCAN would look at the keys of every message.
 */
import { hostname } from 'node:os';
import type { QueueRoom } from '../queue/index.ts';
import { type PresenceKind, presenceKinds } from '../queue/lifetimes.ts';
import type { RoleName } from './protocol.ts';

/** This process among those of its role. */
export const instance = instanceOf(process.pid);

function instanceOf(pid: number): string {
  return `${hostname()}:${pid}`;
}

/** Leaves this process's value for `keptMs` milliseconds. */
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

/** Takes away what a process of this machine has left, when it ends or has ended. */
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

/** The values that are there, as JSON texts. Forgets the names of processes that have ended without a word. */
export async function present(queue: QueueRoom, kind: PresenceKind): Promise<string[]> {
  const names = await queue.redis.smembers(`${queue.prefix}:${kind}`);
  if (names.length === 0) return [];
  const values = await queue.redis.mget(names);
  // Who lives puts its name back with its next sign.
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
