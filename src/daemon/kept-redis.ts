/**
 * The private Redis server of a daemon, kept running. If it dies (killed, out of memory, disk full), it is restarted on
 * its files, with a growing delay. Until it is back, senders get 451 and workers wait.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '../files.ts';
import type { Log } from '../log.ts';
import { type PrivateServer, startPrivateServer } from '../redis/index.ts';

const lookMs = 250;
const firstDelayMs = 250;
const maxDelayMs = 15_000;
/** A server that ran this long resets its backoff. */
const steadyMs = 10_000;

export interface KeptRedisOptions {
  dataDir: string;
  log: Log;
}

export class KeptRedis {
  readonly url: string;
  readonly #options: KeptRedisOptions;
  #server: PrivateServer;
  #stopping = new AbortController();
  #keeping: Promise<void>;

  private constructor(server: PrivateServer, options: KeptRedisOptions) {
    this.url = server.url;
    this.#server = server;
    this.#options = options;
    this.#keeping = this.#keep();
  }

  /** Errors: those of `startPrivateServer`, for the first start only. */
  static async start(options: KeptRedisOptions): Promise<KeptRedis> {
    const { dataDir, log } = options;
    return new KeptRedis(await startPrivateServer(dataDir, { log }), options);
  }

  get pid(): number {
    return this.#server.pid;
  }

  /** Stops the server unless another daemon shares it. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#keeping;
    await this.#server.stop();
  }

  async #keep(): Promise<void> {
    const { log } = this.#options;
    let delayMs = firstDelayMs;
    let startedAt = performance.now();
    while (await this.#waited(lookMs)) {
      if (isAlive(this.#server.pid)) continue;
      if (performance.now() - startedAt > steadyMs) delayMs = firstDelayMs;
      log.error({ redis: this.#server.pid, delayMs }, 'the private redis server ended; starting it again');
      // Closes the connection that marks our use of the server; a new start opens its own.
      await this.#server.stop();
      while (await this.#waited(delayMs)) {
        delayMs = Math.min(delayMs * 2, maxDelayMs);
        if (await this.#startAgain()) break;
      }
      startedAt = performance.now();
    }
  }

  async #startAgain(): Promise<boolean> {
    const { dataDir, log } = this.#options;
    try {
      this.#server = await startPrivateServer(dataDir, { log });
      return true;
    } catch (err) {
      log.error({ err }, 'the private redis server could not be started again');
      return false;
    }
  }

  /** False if it is to stop. */
  async #waited(ms: number): Promise<boolean> {
    const { signal } = this.#stopping;
    await sleep(ms, undefined, { signal }).catch(() => undefined);
    return !signal.aborted;
  }
}
