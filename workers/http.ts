/** The HTTP listener: signed content URLs, health and metrics. Holds no private keys. */
import type { ServerResponse } from 'node:http';
import { collectMetrics, runRole } from '../src/daemon/index.ts';
import { createContentHandler, messageLimits } from '../src/handoff/index.ts';
import type { Log } from '../src/log.ts';
import { createBoundedServer, listenShared } from '../src/net/index.ts';
import { contentUrls, readStoredContent } from '../src/pipeline/index.ts';
import type { QueueRoom } from '../src/queue/index.ts';

await runRole('http', async ({ config, log, queue, takeOver }) => {
  const { host, port = 0 } = config.http;
  const content = createContentHandler({
    signer: contentUrls({ ...config.http, port }, queue),
    limits: messageLimits(config.limits),
    log,
    now: Date.now,
    find: (id) => readStoredContent(id, queue),
  });
  const server = createBoundedServer((request, response) => {
    const path = request.url ?? '';
    if (path === '/healthz')
      return void response.writeHead(200, { 'Content-Type': 'text/plain' }).end('ok\n');
    if (path === '/metrics') return void showMetrics(queue, response, log);
    void content(request, response);
  });
  await listenShared(server, { host, port }, takeOver);
  const address = server.address();
  const bound =
    typeof address === 'object' && address ? `${address.address}:${address.port}` : `${host}:${port}`;
  return {
    facts: { http: bound },
    drain: (timeoutMs) =>
      new Promise((resolve) => {
        server.close(() => resolve());
        setTimeout(() => server.closeAllConnections(), timeoutMs).unref();
        server.closeIdleConnections();
      }),
  };
});

async function showMetrics(queue: QueueRoom, response: ServerResponse, log: Log): Promise<void> {
  try {
    const { contentType, text } = await collectMetrics(queue);
    response.writeHead(200, { 'Content-Type': contentType }).end(text);
  } catch (err) {
    log.warn({ err }, 'metrics could not be collected');
    response.writeHead(503).end();
  }
}
