import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as z from 'zod';

const measured = z.array(
  z.object({
    name: z.string(),
    status: z.string(),
    code: z.string().nullable(),
    spent: z.number(),
    produced: z.number(),
  }),
);
const report = z.object({ bombs: measured, megabytes: z.number(), idle: z.number() });

/** The heap that the child may have at most, in MB: decoding none of these may need more. */
const heap = 64;

describe('S10, S12: bombs, in a process with a heap of 64 MB', () => {
  const child = spawnSync(
    process.execPath,
    ['--openssl-legacy-provider', `--max-old-space-size=${heap}`, join(import.meta.dirname, 'run-bombs.ts')],
    { encoding: 'utf8', timeout: 120_000 },
  );

  it('the process survives all of them', () => {
    assert.equal(child.status, 0, child.stderr.slice(-500));
  });

  const { bombs, megabytes, idle } =
    child.status === 0 ? report.parse(JSON.parse(child.stdout)) : { bombs: [], megabytes: 0, idle: 0 };
  for (const { name, status, code, spent, produced } of bombs) {
    // counted, not timed: the bench `worst-cost` shows the times
    it(`${name}: ${code ?? status} for little work`, (context) => {
      assert.equal(status, 'failed');
      assert.notEqual(code, 'internal');
      assert.ok(spent < 400_000, `${spent} units`);
      assert.ok(produced < 24 << 20, `${produced} octets`);
      context.diagnostic(`${Math.round(spent)} units`);
    });
  }

  it('and holds little memory', (context) => {
    context.diagnostic(`${bombs.length} bombs; ${idle} MB before, at most ${megabytes} MB`);
    assert.ok(bombs.length >= 20);
    assert.ok(megabytes - idle < 200, `${idle} MB before, ${megabytes} MB at most`);
  });
});
