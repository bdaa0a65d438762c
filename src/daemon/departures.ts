/** Removes the heartbeats of killed or crashed processes, which could not do it themselves. */
import type { Config } from '../config/index.ts';
import type { Log } from '../log.ts';
import { connect, disconnect, ready, redisTarget } from '../redis/index.ts';
import { withdraw } from './presence.ts';
import type { RoleName } from './protocol.ts';

export class Departures {
  readonly #redis: Config['redis'];
  readonly #log: Log;
  readonly #pending = new Set<Promise<void>>();
  #stopped = false;

  constructor(redis: Config['redis'], log: Log) {
    this.#redis = redis;
    this.#log = log;
  }

  /** @param url of the private server, if `redis` has none */
  lost(role: RoleName, pid: number, url: string | undefined): void {
    if (this.#stopped) return;
    const work = this.#forget(role, pid, url)
      // Not worth a log line: the entries expire by themselves.
      .catch((err) => this.#log.debug({ err, role, pid }, 'its heartbeat was not removed'))
      .finally(() => this.#pending.delete(work));
    this.#pending.add(work);
  }

  /** From now on nothing is removed, because Redis ends as well. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when nothing is in progress. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /** A connection for this alone: processes die rarely, and the supervisor needs none otherwise. */
  async #forget(role: RoleName, pid: number, url: string | undefined): Promise<void> {
    const target = redisTarget(this.#redis, url ?? '');
    const redis = connect(target, 'producer', this.#log.child({}, { level: 'silent' }), 'supervisor');
    try {
      await ready(redis, target);
      await withdraw({ redis, prefix: this.#redis.prefix }, role, pid);
    } finally {
      await disconnect(redis);
    }
  }
}
