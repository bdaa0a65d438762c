import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { isAlive } from '../files.ts';
import type { Log } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
import { lifetimes } from '../redis/index.ts';
import { checkWatch } from './checks.ts';
import { publishMetrics } from './metrics.ts';
import { leave, present, withdraw } from './presence.ts';
import { aliveEveryMs, type RoleName, tellSupervisor } from './protocol.ts';

const everyMs = 5_000;

export interface Heartbeat {
  role: string;
  host: string;
  pid: number;
  /** Whose numbers process ids are (pid_namespaces(7)); absent where the system does not say, and of older versions. */
  space?: string;
  /** Milliseconds since the epoch. */
  at: number;
  /** Why this process accepts nothing new; null if it does. */
  refusing: string | null;
  /** What currently fails, such as a mailbox that cannot be read. */
  troubles: Trouble[];
}

export interface Trouble {
  /** What fails: "mailbox orders". */
  what: string;
  /** Milliseconds since the epoch. */
  since: number;
  why: string;
  /** Name of the mailbox that is not read. */
  mailbox?: string;
  /** It is an alert in its own right already, of a certificate. */
  certificate?: true;
}

/**
 * Writes this process's heartbeat to Redis every 5 seconds; it expires 20 seconds after the last one. The supervisor
 * gets a separate sign of life, so that an unavailable Redis does not look like a hanging process. `stop` removes the
 * heartbeat.
 */
export function startHeartbeat(
  queue: QueueRoom,
  role: RoleName,
  log: Log,
  troubles: () => Trouble[] = () => [],
): { stop(): Promise<void> } {
  let failed = false;
  const watchChecks = checkWatch(queue, (id) => tellSupervisor({ type: 'check', id }));
  const beat = async () => {
    try {
      const refusing = queue.intake.refusal()?.message ?? null;
      const value: Heartbeat = {
        role,
        host: hostname(),
        pid: process.pid,
        ...(space !== undefined && { space }),
        at: Date.now(),
        refusing,
        troubles: troubles(),
      };
      await leave(queue, 'alive', role, value, lifetimes.presence);
      await publishMetrics(queue, role, lifetimes.presence);
      await watchChecks();
      failed = false;
    } catch (error) {
      if (!failed) log.warn({ err: error }, 'Redis does not take the sign of life');
      failed = true;
    }
  };
  let beating = beat();
  const timer = setInterval(() => {
    beating = beat();
  }, everyMs);
  const watch = setInterval(() => tellSupervisor({ type: 'alive' }), aliveEveryMs);
  return {
    async stop() {
      clearInterval(timer);
      clearInterval(watch);
      // A pending heartbeat would bring back what is removed here.
      await beating;
      await withdraw(queue, role, process.pid).catch(() => undefined);
    },
  };
}

const space = spaceOf();

/** Containers may share the name of a host, and each has processes of the same numbers. */
function spaceOf(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}

/** Whether the process of a heartbeat has ended since, as far as this machine can tell. */
function hasEnded(beat: Heartbeat): boolean {
  if (beat.host !== hostname() || space === undefined || beat.space !== space) return false;
  return !isAlive(beat.pid);
}

/** The processes with a heartbeat in the last 20 seconds; of this machine, those that run. */
export async function readHeartbeats(queue: QueueRoom): Promise<Heartbeat[]> {
  const beats = (await present(queue, 'alive')).map((text): Heartbeat => JSON.parse(text));
  const found = beats.filter((beat) => !hasEnded(beat));
  return found.sort((a, b) => a.role.localeCompare(b.role) || a.pid - b.pid);
}
