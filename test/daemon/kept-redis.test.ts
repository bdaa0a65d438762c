/**
 * The private server that dies: how long it is waited before it is started again. The waits are recorded and not
 * waited.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import timers from 'node:timers/promises';
import { KeptRedis } from '../../src/daemon/kept-redis.ts';
import { createLog, type Log } from '../../src/log.ts';

it('is started again at once the first time, then after twice the wait up to 15 seconds, until it lived for ten', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sealpost-kept-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));
  let ahead = 0;
  const clock = performance.now.bind(performance);
  t.mock.method(performance, 'now', () => clock() + ahead);

  /** Waits since the server was found dead. */
  let waits: number[] = [];
  let deaths = 0;
  const log: Log = Object.assign(createLog('silent', 'test'), {
    error: (facts: { delayMs?: number }) => {
      if (facts.delayMs === undefined) return;
      deaths++;
      waits = [];
    },
  });
  const wait = timers.setTimeout;
  t.mock.method(
    timers,
    'setTimeout',
    async (ms: number, value: unknown, options?: { signal?: AbortSignal }) => {
      // the short ones ask whether it answers
      if (ms >= 250) waits.push(ms);
      return await wait(ms >= 250 ? 5 : ms, value, options);
    },
  );
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.reset();
    syncBuiltinESMExports();
  });

  const kept = await KeptRedis.start({ dataDir, log });
  t.after(() => kept.stop());
  const died = async (back: boolean) => {
    const [before, pid] = [deaths, kept.pid];
    process.kill(pid, 'SIGKILL');
    while (deaths === before) await wait(5);
    while (back && kept.pid === pid) await wait(5);
    return waits;
  };

  assert.equal((await died(true))[0], 250);
  const path = process.env.PATH;
  process.env.PATH = '/nonexistent';
  t.after(() => {
    process.env.PATH = path;
  });
  await died(false);
  while (waits.length < 8) await wait(5);
  process.env.PATH = path;
  assert.deepEqual(waits.slice(0, 8), [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  const gone = kept.pid;
  while (kept.pid === gone) await wait(5);
  assert.equal((await died(true))[0], 15_000, 'it lived for a moment only');
  ahead += 10_001;
  assert.equal((await died(true))[0], 250);
});
