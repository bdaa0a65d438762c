/** What a command needs to connect to the servers of partners as the daemon does. */
import { type Config, readSecret } from '../config/index.ts';
import { createLog } from '../log.ts';
import { createRefreshTokens, Tokens } from '../oauth/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { sealedValues } from '../redis/index.ts';
import { createLookups, type Lookups, type SenderParts } from '../smtp/index.ts';
import { mayAnswer } from './queue.ts';

export interface Network {
  parts: Pick<SenderParts, 'dns' | 'sts'> & { tokens: Tokens };
  texts: Lookups['texts'];
  /** Undefined while the daemon does not run. */
  queue: QueueRoom | undefined;
  close(): Promise<void>;
}

/** With refresh tokens and policies of MTA-STS that the daemon keeps. Errors: `file-access`. */
export async function openNetwork(config: Config): Promise<Network> {
  const queue = await daemonQueue(config);
  const tokens = new Tokens({ readSecret, refreshTokens: queue && createRefreshTokens(queue) });
  // without the daemon, a policy is fetched, and forgotten
  const forgetful = { get: async () => undefined, put: async () => {} };
  const { dns, sts, texts, close } = createLookups(config, queue ? sealedValues(queue, 'sts') : forgetful);
  return {
    parts: { dns, sts, tokens },
    texts,
    queue,
    async close() {
      close();
      await queue?.close();
    },
  };
}

/** What is wrong with Redis is told by others. */
async function daemonQueue(config: Config): Promise<QueueRoom | undefined> {
  if (!(await mayAnswer(config))) return undefined;
  const { openQueue } = await import('../queue/index.ts');
  const log = createLog('silent', 'check');
  return await openQueue(config, { role: 'check', log, checkDurability: false }).catch(() => undefined);
}
