/** The HTTP listener: signed content URLs, health and metrics. Holds no private keys. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isLoopback, readSecret } from '../src/config/index.ts';
import { collectMetrics, probe, runRole } from '../src/daemon/index.ts';
import { createContentHandler, messageLimits } from '../src/handoff/index.ts';
import type { Log } from '../src/log.ts';
import { boundTo, createBoundedServer, listenShared } from '../src/net/index.ts';
import { contentUrls, readStoredContent } from '../src/pipeline/index.ts';
import type { QueueRoom } from '../src/queue/index.ts';

void runRole('http', async ({ config, log, queue, takeOver }) => {
  const { host, port = 0 } = config.http;
  const content = createContentHandler({
    signer: contentUrls({ ...config.http, port }, queue),
    limits: messageLimits(config.limits),
    log,
    now: Date.now,
    find: (id) => readStoredContent(id, queue),
  });
  const mayMeasure = measuringGuard(config.http.metricsToken && readSecret(config.http.metricsToken));
  const server = createBoundedServer((request, response) => {
    const path = request.url ?? '';
    // It answers, so its event loop runs. `/healthz` is the older name.
    if (path === '/livez' || path === '/healthz')
      return void response.writeHead(200, { 'Content-Type': 'text/plain' }).end('ok\n');
    if (path === '/readyz' || path === '/readyz?whole')
      return void showReady(response, () => probe(queue, config, path.endsWith('?whole')));
    if (path === '/metrics') {
      if (!mayMeasure(request)) return void response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end();
      return void showMetrics(queue, response, log);
    }
    void content(request, response);
  });
  await listenShared(server, { host, port }, takeOver);
  return {
    facts: { http: boundTo(server, host) },
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

/** This machine needs no token. Others need the right one, and get nothing if none is configured. */
function measuringGuard(token: string | undefined): (request: IncomingMessage) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = token === undefined || token === '' ? undefined : digest(token);
  return ({ socket, headers }) => {
    const forwarded = headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
    if (!forwarded && isLoopback((socket.remoteAddress ?? '').replace(/^::ffff:/, ''))) return true;
    const given = /^Bearer +([^ ]+) *$/i.exec(headers.authorization ?? '')?.[1];
    return expected !== undefined && given !== undefined && timingSafeEqual(digest(given), expected);
  };
}

async function showReady(
  response: ServerResponse,
  probed: () => Promise<{ ok: boolean; problems: string[] }>,
): Promise<void> {
  const { ok, problems } = await probed().catch(() => ({ ok: false, problems: ['Redis does not answer'] }));
  const lines = ok ? ['ok'] : problems;
  response.writeHead(ok ? 200 : 503, { 'Content-Type': 'text/plain' }).end(`${lines.join('\n')}\n`);
}
