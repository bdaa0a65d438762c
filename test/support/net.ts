import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What does not happen is a failure; how fast it happens is the machine's affair. Milliseconds. */
const patience = 120_000;

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

/** A port that nobody listens on now: for a server that must come back on the same one after a kill. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}
