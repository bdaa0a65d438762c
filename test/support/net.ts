import { randomInt } from 'node:crypto';
import { closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from '../../src/errors.ts';

/** What does not happen is a failure; how fast it happens is the machine's affair. Milliseconds. */
const patience = 300_000;

/** Waits until something listens on the port. */
export async function reachable(port: number, host = '127.0.0.1'): Promise<void> {
  for (const deadline = performance.now() + patience; performance.now() < deadline; ) {
    const ok = await new Promise<boolean>((resolve) => {
      const socket = connect(port, host, () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (ok) return;
    await sleep(20);
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** Waits until the condition holds; fails after two minutes. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + patience; performance.now() < deadline; ) {
    if (await condition()) return;
    await sleep(10);
  }
  throw new Error(`did not happen: ${what}`);
}

const claims = join(tmpdir(), 'sealpost-test-ports');
const claimed: string[] = [];

/**
 * A port that nobody listens on now: for a server that must come back on the same one after a kill. Until this process
 * ends, test files that run at the same time get others. Below 32,768, from where on the kernel gives any to whoever
 * asks, and above those of test/support/redis-nodes.ts.
 */
export const freePort = () => freePortOf(30_000, 2700);

export async function freePortOf(first: number, count: number): Promise<number> {
  mkdirSync(claims, { recursive: true });
  for (;;) {
    const port = first + randomInt(count);
    if (claim(join(claims, String(port))) && (await isFree(port))) return port;
  }
}

function claim(file: string): boolean {
  try {
    closeSync(openSync(file, 'wx'));
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    // Of a process that was killed. Another port is for now.
    const made = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - made > 6 * 3_600_000) rmSync(file, { force: true });
    return false;
  }
  if (claimed.length === 0)
    process.once('exit', () => {
      for (const each of claimed) rmSync(each, { force: true });
    });
  claimed.push(file);
  return true;
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}
