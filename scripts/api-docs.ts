/**
 * Writes docs/openapi.json and docs/api.md from the routes in src/api: `npm run docs:api`. A test fails when a file is
 * not what this writes.
 */
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describeApi } from '../src/api/index.ts';
import { configSchema } from '../src/config/schema.ts';
import { createLog } from '../src/log.ts';
import { openQueue } from '../src/queue/index.ts';
import { startPrivateServer } from '../src/redis/private-server.ts';
import { apiPage, type Document } from './api-page.ts';

const file = (name: string) => resolve(import.meta.dirname, '../docs', name);

/** The generated files, by name. */
export function pagesOf(document: object): Record<string, string> {
  const text = `${JSON.stringify(document, null, 2)}\n`;
  const read: Document = JSON.parse(text);
  return { 'openapi.json': text, 'api.md': apiPage(read) };
}

if (import.meta.main) {
  const dataDir = await mkdtemp(join(tmpdir(), 'sealpost-docs-'));
  const server = await startPrivateServer(dataDir);
  try {
    const config = configSchema.parse({ dataDir, redis: { url: server.url } });
    const log = createLog('silent', 'docs');
    const queue = await openQueue(config, { role: 'docs', log });
    const document = await describeApi({ config, log, queue });
    for (const [name, text] of Object.entries(pagesOf(document))) writeFileSync(file(name), text);
    await queue.close();
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
