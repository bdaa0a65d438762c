/**
 * A real redis-server of the harness: the daemon's own durable settings, on TCP besides the socket, to be killed at
 * will.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type PrivateServer, startPrivateServer } from '../../../src/redis/private-server.ts';
import { isAlive, kill } from '../../support/daemon.ts';
import { freePort } from '../../support/net.ts';

export interface FaultRedis {
  port: number;
  /** Straight to the server, past any proxy. */
  url: string;
  pid: number;
  dataDir: string;
  alive(): boolean;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again on its files. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** `folder`: the folder of its files (such as a small file system); it is not removed then. */
export async function startFaultRedis(
  settings: Record<string, string> = {},
  folder?: string,
): Promise<FaultRedis> {
  const dataDir = folder ?? mkdtempSync(join(tmpdir(), 'sealpost-faults-redis-'));
  const port = await freePort();
  const boot = () =>
    startPrivateServer(dataDir, { settings: { port: String(port), bind: '127.0.0.1', ...settings } });
  let server: PrivateServer = await boot();
  const killNow = () => kill(server.pid);
  process.once('exit', killNow);
  return {
    port,
    dataDir,
    get url() {
      return server.url;
    },
    get pid() {
      return server.pid;
    },
    alive: () => isAlive(server.pid),
    async kill() {
      killNow();
      while (isAlive(server.pid)) await sleep(5);
      await server.stop();
    },
    async start() {
      server = await boot();
    },
    async stop() {
      process.off('exit', killNow);
      if (isAlive(server.pid)) await server.stop();
      killNow();
      if (folder === undefined)
        rmSync(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
