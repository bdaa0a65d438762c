/**
 * The console for people. Begin with `page.ts` (what a page is) and `pages/index.ts` (all of them); `app.ts` is what
 * happens to each request before its page. It holds no keys: what it shows and does are operations of the API.
 */
import { boundTo, Operations, Origins, setCertificate } from '../api/index.ts';
import { type Config, followTls, tlsAt } from '../config/index.ts';
import type { Log } from '../log.ts';
import { listenShared } from '../net/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { sealedValues } from '../redis/index.ts';
import { Logins, Provider, Seconds, UserRegistry } from '../user/index.ts';
import { createConsoleApp } from './app.ts';
import type { PageRoute } from './page.ts';
import { pages as allPages } from './pages/index.ts';
import { secondPages } from './second-pages.ts';

export interface Console {
  /** Returns the address. */
  listen(takeOver: boolean): Promise<string>;
  close(timeoutMs: number): Promise<void>;
}

export interface ConsoleFacts {
  config: Config;
  log: Log;
  queue: QueueRoom;
  /** Milliseconds since the epoch. */
  now?: () => number;
  pages?: readonly PageRoute[];
}

export async function createConsole({
  config,
  log,
  queue,
  now = Date.now,
  pages = allPages,
}: ConsoleFacts): Promise<Console> {
  const { host, port = 0, hostnames, trustedProxies, oidc } = config.console;
  const stored = { ...queue, folder: config.dataDir, log, now };
  const registry = await UserRegistry.open({ ...stored, oidc });
  const logins = new Logins({ ...stored, config, registry });
  const operations = await Operations.open({ config, queue, log, registry });
  const tls = config.console.tls && tlsAt(config.console.tls, new Date());
  const origins = new Origins({ name: 'console', host, hostnames, trustedProxies, tls: tls !== undefined });
  const { audit } = queue;
  const acts = { operations, seconds: new Seconds({ ...queue, now }), registry, audit, now };
  const app = await createConsoleApp({
    ...{ ...acts, config, log, queue, origins, logins, tls },
    pages: [...pages, ...secondPages(acts)],
    provider: oidc && new Provider({ ...queue, settings: oidc, now }),
    held: sealedValues(queue, 'console-held'),
  });
  const followed =
    config.console.tls &&
    tls &&
    followTls(config.console.tls, tls, {
      now: () => new Date(),
      apply(pair) {
        setCertificate(app.server, pair);
        log.info({}, 'the console uses another certificate from now on');
      },
      onTrouble: (err) => log.error({ err }, 'the certificate of the console could not be read again'),
    });
  registry.start();
  await operations.start();
  return {
    async listen(takeOver) {
      await listenShared(app.server, { host, port }, takeOver);
      return boundTo(app.server, host);
    },
    async close(timeoutMs) {
      const closed = new Promise<void>((resolve) => app.server.close(() => resolve()));
      operations.stop();
      app.server.closeIdleConnections();
      const late = setTimeout(() => app.server.closeAllConnections(), timeoutMs);
      await closed;
      clearTimeout(late);
      followed?.stop();
      registry.stop();
    },
  };
}
