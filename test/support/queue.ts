/** An open queue room on a test server, with the defaults of the schema. */
import { type Config, configSchema } from '../../src/config/schema.ts';
import { createLog } from '../../src/log.ts';
import { openQueue, type QueueRoom } from '../../src/queue/index.ts';

/** A configuration for a data folder and server; `settings` as a person would write them. */
export function testConfig(
  server: { url: string; dataDir: string },
  settings: Record<string, unknown> = {},
): Config {
  return configSchema.parse({
    dataDir: server.dataDir,
    ...settings,
    redis: { url: server.url, ...sub(settings.redis) },
  });
}

function sub(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}

export async function openTestQueue(
  server: { url: string; dataDir: string },
  settings: Record<string, unknown> = {},
): Promise<QueueRoom> {
  return await openQueue(testConfig(server, settings), { role: 'test', log: createLog('silent', 'test') });
}
