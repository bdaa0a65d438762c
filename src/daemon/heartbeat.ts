import { hostname } from 'node:os';
import type { Log } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
import { publishMetrics } from './metrics.ts';
import { aliveEveryMs, type FromRole, type RoleName } from './protocol.ts';

const everyMs = 5_000;
const keptMs = 20_000;

export interface Heartbeat {
  role: string;
  host: string;
  pid: number;
  /** Milliseconds since the epoch. */
  at: number;
}

/**
 * Writes this process's sign of life into Redis every 5 seconds; it is gone 20 seconds after the last. The supervisor
 * gets one of its own, so that Redis being away does not look like a process that hangs.
 */
export function startHeartbeat(queue: QueueRoom, role: RoleName, log: Log): { stop(): void } {
  const key = `${queue.prefix}:alive:${role}:${hostname()}:${process.pid}`;
  let failed = false;
  const beat = async () => {
    try {
      const value: Heartbeat = { role, host: hostname(), pid: process.pid, at: Date.now() };
      await queue.redis.set(key, JSON.stringify(value), 'PX', keptMs);
      await publishMetrics(queue, role, keptMs);
      failed = false;
    } catch (error) {
      if (!failed) log.warn({ err: error }, 'Redis does not take the sign of life');
      failed = true;
    }
  };
  void beat();
  const timer = setInterval(beat, everyMs);
  const alive: FromRole = { type: 'alive' };
  const watch = setInterval(() => process.connected && process.send?.(alive), aliveEveryMs);
  return {
    stop() {
      clearInterval(timer);
      clearInterval(watch);
      queue.redis.del(key).catch(() => undefined);
    },
  };
}

/** The processes that gave a sign of life in the last 20 seconds. */
export async function readHeartbeats(queue: QueueRoom): Promise<Heartbeat[]> {
  const found: Heartbeat[] = [];
  let cursor = '0';
  do {
    const [next, keys] = await queue.redis.scan(cursor, 'MATCH', `${queue.prefix}:alive:*`, 'COUNT', 500);
    cursor = next;
    for (const key of keys) {
      const value = await queue.redis.get(key);
      if (value) found.push(JSON.parse(value));
    }
  } while (cursor !== '0');
  return found.sort((a, b) => a.role.localeCompare(b.role) || a.pid - b.pid);
}
