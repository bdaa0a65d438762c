/**
 * The console for people. Begin with `page.ts` (what a page is) and `pages/index.ts` (all of them); `app.ts` is what
 * happens to each request before its page. It holds no keys: what it shows and does are operations of the API.
 */
import { Operations, Origins, type RunningServer, runServer } from '../api/index.ts';
import { type Config, tlsAt } from '../config/index.ts';
import type { Log } from '../log.ts';
import type { QueueRoom } from '../queue/index.ts';
import { sealedValues } from '../redis/index.ts';
import { Logins, Provider, Seconds, UserRegistry } from '../user/index.ts';
import { accountPages } from './account-pages.ts';
import { createConsoleApp } from './app.ts';
import type { PageRoute } from './page.ts';
import { pages as allPages } from './pages/index.ts';
import { secondPages } from './second-pages.ts';

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
}: ConsoleFacts): Promise<RunningServer> {
  const { host, hostnames, trustedProxies, oidc } = config.console;
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
    pages: [...pages, ...secondPages(acts), ...accountPages({ logins, registry })],
    provider: oidc && new Provider({ ...queue, settings: oidc, now }),
    held: sealedValues(queue, 'console-held'),
  });
  const running = runServer(app.server, {
    ...{ title: 'the console', settings: config.console, tls, log },
    stopAnswers: () => operations.stop(),
  });
  registry.start();
  await operations.start();
  return {
    listen: running.listen,
    async close(timeoutMs) {
      await running.close(timeoutMs);
      registry.stop();
    },
  };
}
