/** What `npm run mutants` reports about a test, and that it leaves nothing behind. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type Ended, endOf } from '../../scripts/mutants/exits.ts';
import { Brood } from '../../scripts/mutants/processes.ts';
import { isAlive } from '../support/daemon.ts';
import { until } from '../support/messages.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sealpost-mutants-')));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('the end of a test', { skip: process.platform !== 'linux' }, () => {
  /** Starts a shell as a test would be started; resolves with the process that it wrote the number of. */
  async function start(name: string, script: string): Promise<{ brood: Brood; left: number }> {
    const temporary = join(folder, name);
    mkdirSync(temporary);
    const file = join(temporary, 'pid');
    const brood = new Brood('sh', ['-c', script], temporary, {
      cwd: folder,
      stdio: 'ignore',
      env: { ...process.env, TMPDIR: temporary },
    });
    const left = await until(async () => {
      try {
        return Number(readFileSync(file, 'utf8')) || undefined;
      } catch {
        return undefined;
      }
    });
    return { brood, left };
  }

  // As a private redis-server: a session of its own, nothing of the environment left, and its parent gone.
  const sleeper = `setsid env -i sh -c 'echo $$ > "$1/pid"; cd "$2"; exec sleep 600' sh "$TMPDIR"`;

  it('is that of what works in its folder, whatever became of parents and environment', async () => {
    const { brood, left } = await start('folder', `${sleeper} "$TMPDIR" & wait $!`);
    assert.ok(isAlive(left));
    brood.child.kill('SIGKILL');
    await brood.end();
    assert.equal(isAlive(left), false);
  });

  it('is that of what descends from it, wherever that works', async () => {
    const { brood, left } = await start('descends', `${sleeper} / & wait $!`);
    assert.ok(isAlive(left));
    await brood.end();
    assert.equal(isAlive(left), false);
  });

  it('is not that of others', async () => {
    const other = await start('other', `${sleeper} "$TMPDIR" & wait $!`);
    const { brood, left } = await start('oth', `${sleeper} "$TMPDIR" & wait $!`);
    await brood.end();
    assert.deepEqual([isAlive(left), isAlive(other.left)], [false, true]);
    await other.brood.end();
    assert.equal(isAlive(other.left), false);
  });
});

describe('what a test says of a mutant', () => {
  const head = `import assert from 'node:assert/strict';\nimport { it, describe, before } from 'node:test';\n`;
  const cases: [string, Ended, string][] = [
    ['passes', 'passed', `it('a', () => {}); it('b', { skip: true }, () => {});`],
    ['fails', 'failed', `it('a', () => {}); it('b', () => assert.equal(1, 2));`],
    ['throws', 'failed', `it('a', () => { throw new TypeError('x'); });`],
    ['cannot prepare', 'failed', `describe('a', () => { before(() => assert.fail()); it('b', () => {}); });`],
    ['names what is missing', 'broken', `it('a', () => nowhere());`],
    ['imports a missing module', 'broken', `it('a', () => import('./nowhere.ts'));`],
    ['does not load', 'broken', `import './nowhere.ts'; it('a', () => {});`],
    [
      'takes too long',
      'late',
      `it('a', { timeout: 5 }, () => new Promise((done) => setTimeout(done, 999)));`,
    ],
    ['has nothing', 'nothing', ''],
    ['skips all', 'nothing', `describe('a', () => { it('b', { skip: true }, () => {}); });`],
  ];
  for (const [what, expected, text] of cases)
    it(`that ${what}: ${expected}`, () => {
      const file = join(folder, `${what.replaceAll(' ', '-')}.ts`);
      writeFileSync(file, head + text);
      const reporter = join(import.meta.dirname, '../../scripts/mutants/first-failure.ts');
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const args = [`--test-reporter=${reporter}`, '--test-reporter-destination=stdout', file];
      const { status } = spawnSync(process.execPath, args, { stdio: 'ignore', env });
      assert.equal(endOf(status), expected);
    });
});
