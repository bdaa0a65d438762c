import { createServer, type Server } from 'node:net';

/** Platforms on which two processes may listen on one port (Node: `reusePort`). */
const shared = ['linux', 'freebsd', 'aix'].includes(process.platform);

/**
 * Listens in such a way that the process that takes over at a reload can listen beside this one. With `takeOver` false,
 * the port must be free, because sharing it by accident would give half of the clients to another program. Rejects with
 * Node's error.
 */
export async function listenShared(
  server: Server,
  { host, port }: { host: string; port: number },
  takeOver: boolean,
): Promise<void> {
  if (shared && port !== 0 && !takeOver) {
    const probe = createServer();
    await listening(probe, { host, port });
    await new Promise((resolve) => probe.close(resolve));
  }
  await listening(server, { host, port, ...(shared ? { reusePort: true } : {}) });
}

/** The address on which a server listens. */
export function boundTo(server: Server, host: string): string {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') return host;
  const { address, port, family } = bound;
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}

function listening(
  server: Server,
  address: { host: string; port: number; reusePort?: boolean },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}
