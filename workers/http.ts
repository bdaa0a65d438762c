/** The HTTP listener: signed content URLs, health and metrics. Holds no private keys. */
import { readSecret } from '../src/config/index.ts';
import { collectMetrics, loadMonitoring, probe, runRole } from '../src/daemon/index.ts';
import { createContentHandler, messageLimits } from '../src/handoff/index.ts';
import { boundTo, createBoundedServer, listenShared } from '../src/net/index.ts';
import { contentUrls, readStoredContent } from '../src/pipeline/index.ts';

void runRole('http', async ({ config, log, queue, takeOver }) => {
  const { host, port = 0, metricsToken } = config.http;
  const content = createContentHandler({
    signer: contentUrls({ ...config.http, port }, queue),
    limits: messageLimits(config.limits),
    log,
    now: Date.now,
    find: (id) => readStoredContent(id, queue),
  });
  const monitoring = await loadMonitoring({
    token: metricsToken && readSecret(metricsToken),
    probe: (whole) => probe(queue, config, whole),
    measure: () => collectMetrics(queue),
    log,
  });
  const answer: typeof content = async (request, response) => {
    if (!(await monitoring(request, response))) await content(request, response);
  };
  const server = createBoundedServer((request, response) => void answer(request, response));
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
