/** The HTTP listener: signed content URLs, health and metrics. Holds no private keys. */
import type { ServerResponse } from 'node:http';
import { createBoundedServer } from '../src/daemon/http-server.ts';
import { collectMetrics } from '../src/daemon/metrics.ts';
import { runRole } from '../src/daemon/role.ts';
import { createContentHandler, messageLimits, UrlSigner } from '../src/handoff/index.ts';
import type { Log } from '../src/log.ts';
import type { QueueRoom } from '../src/queue/index.ts';
import { listenShared } from '../src/smtp/listen.ts';
import { deliveryPieces, readResult } from './result.ts';

await runRole('http', async ({ config, log, queue, takeOver }) => {
  const { host, port = 0, publicUrl } = config.http;
  const signer = new UrlSigner(queue.deriveKey('content url'), publicUrl ?? `http://${host}:${port}`);
  const content = createContentHandler({
    signer,
    limits: messageLimits(config.limits),
    log,
    now: Date.now,
    async find(id) {
      const refs = await queue.flow.contentOf(id);
      if (!refs) return undefined;
      const { verdict, header, whole, pieces } = readResult(await queue.spool.read(refs.result));
      return {
        verdict,
        header,
        whole,
        content: () => queue.spool.open(refs.content),
        contentOctets: refs.content.octets,
        pieces: deliveryPieces(pieces, queue.spool),
      };
    },
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
