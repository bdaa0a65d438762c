/**
 * A real redis-server for tests: the daemon's own private server in a temporary folder, append-only with fsync always.
 *
 *     const server = await startTestRedis();
 *     after(() => server.stop());
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type PrivateServer, startPrivateServer } from '../../src/redis/private-server.ts';

export interface TestRedis {
  /** unix:// URL for `redis.url` of a configuration. */
  readonly url: string;
  readonly pid: number;
  /** Temporary data folder; the server's files are in `redis/` below it. */
  readonly dataDir: string;
  /** kill -9, as a crash. */
  kill(): Promise<void>;
  /** Starts it again on the same files. */
  start(): Promise<void>;
  /** Stops the server and removes the folder. */
  stop(): Promise<void>;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Starts a server; `settings` are lines of redis.conf, such as `{ maxmemory: '20mb' }`. */
export async function startTestRedis(settings: Record<string, string> = {}): Promise<TestRedis> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sealpost-test-'));
  const boot = () => startPrivateServer(dataDir, { settings: { 'repl-diskless-sync': 'no', ...settings } });
  let server: PrivateServer = await boot();
  const killNow = () => {
    if (alive(server.pid)) process.kill(server.pid, 'SIGKILL');
  };
  process.once('exit', killNow);
  // A runner that gives up ends the test with SIGTERM, which alone would leave the server behind.
  process.once('SIGTERM', () => process.exit(1));
  return {
    get url() {
      return server.url;
    },
    get pid() {
      return server.pid;
    },
    dataDir,
    async kill() {
      killNow();
      while (alive(server.pid)) await sleep(5);
      await server.stop();
    },
    async start() {
      server = await boot();
    },
    async stop() {
      process.off('exit', killNow);
      await server.stop();
      killNow();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
