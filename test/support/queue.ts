/** An open queue room on a test server, with the defaults of the schema. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { createLog } from '../../src/log.ts';
import { type IntakeResult, type OutboundEntry, openQueue, type QueueRoom } from '../../src/queue/index.ts';
import type { SpoolWriter } from '../../src/spool/index.ts';
import { startTestRedis, type TestRedis } from './redis.ts';

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
  now: () => number = Date.now,
): Promise<QueueRoom> {
  const log = createLog('silent', 'test');
  return await openQueue(testConfig(server, settings), { role: 'test', log, now });
}

/**
 * A Redis and an open queue for the tests of a suite or file, given to `use` before the first one. Both end with it.
 */
export function useTestQueue(
  use: (opened: { server: TestRedis; queue: QueueRoom }) => void,
  settings: Record<string, unknown> = {},
  now: () => number = Date.now,
): void {
  let server: TestRedis | undefined;
  let queue: QueueRoom | undefined;
  before(async () => {
    server = await startTestRedis();
    queue = await openTestQueue(server, settings, now);
    use({ server, queue });
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
  });
}

/** Puts one message to a partner on the queue. */
export async function commitOne(
  { intake }: Pick<QueueRoom, 'intake'>,
  writer: SpoolWriter,
  entry: OutboundEntry,
): Promise<IntakeResult> {
  const [result] = await intake.commitOutbound(writer, [entry]);
  assert.ok(result);
  return result;
}
