import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { build } from 'esbuild';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-loader-'));
const cache = join(folder, 'cache');
const kept = join(cache, 'code-main');
const log = join(folder, 'v8.log');

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

interface Ran {
  status: number | null;
  said: string;
  /** Names of the functions of `part.cjs` that were compiled. */
  compiled: string[];
}

function run(more: { call?: string; args?: string[]; env?: NodeJS.ProcessEnv; flags?: string[] } = {}): Ran {
  const { call = "start('main.cjs', 'main')", args = [], env = {}, flags = [] } = more;
  rmSync(log, { force: true });
  write('run.cjs', `require('./loader.cjs').${call};`);
  const record = ['--log-function-events', `--logfile=${log}`, '--no-logfile-per-isolate'];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...record, ...flags, 'run.cjs', ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: cache, ...env },
    encoding: 'utf8',
  });
  const lines = readFileSync(log, 'utf8')
    .split('\n')
    .map((line) => line.split(','));
  const part = lines.find(([what, , path]) => what === 'script-details' && path?.endsWith('/part.cjs'))?.[1];
  const compiled = lines.filter(
    ([what, event, script]) => what === 'function' && event === 'full-parse' && script === part,
  );
  return {
    status,
    said: stdout + stderr,
    compiled: compiled.map((line) => line.at(-1) ?? '').filter(Boolean),
  };
}

describe('the loader of the bundle', () => {
  after(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    rmSync(cache, { recursive: true, force: true });
    write('main.cjs', 'const part = require("./part.cjs"); require("node:fs").writeSync(1, part.used(3));');
    write(
      'part.cjs',
      'exports.used = function used(n) { return String(n + 1); }; exports.idle = function idle() { return 0; };',
    );
    await build({
      entryPoints: [join(import.meta.dirname, '../../scripts/bundle/loader.ts')],
      outfile: join(folder, 'loader.cjs'),
      define: { BUILD: '"first"' },
      format: 'cjs',
      platform: 'node',
    });
  });

  it('keeps compiled code with the functions that were called, for us alone', () => {
    assert.deepEqual(run(), { status: 0, said: '4', compiled: ['used'] });
    assert.equal(statSync(kept).mode & 0o777, 0o600);
    const { ino } = statSync(kept);
    assert.deepEqual(run(), { status: 0, said: '4', compiled: [] });
    // all was there: it is not written again
    assert.equal(statSync(kept).ino, ino);
  });

  it('adds files that were not needed before, and forgets none', () => {
    write('main.cjs', 'if (process.argv[2]) require("node:fs").writeSync(1, require("./part.cjs").used(3));');
    assert.deepEqual(run(), { status: 0, said: '', compiled: [] });
    assert.deepEqual(run({ args: ['part'] }), { status: 0, said: '4', compiled: ['used'] });
    assert.deepEqual(run(), { status: 0, said: '', compiled: [] });
    assert.deepEqual(run({ args: ['part'] }), { status: 0, said: '4', compiled: [] });
  });

  it('runs what a file says now, also if it is as long as before', () => {
    run();
    write('part.cjs', readFileSync(join(folder, 'part.cjs'), 'utf8').replace('n + 1', 'n + 2'));
    utimesSync(join(folder, 'part.cjs'), new Date(), new Date(Date.now() + 5000));
    assert.deepEqual(run(), { status: 0, said: '5', compiled: ['used'] });
    assert.deepEqual(run(), { status: 0, said: '5', compiled: [] });
  });

  for (const [what, broken] of [
    ['damaged', (octets: Buffer) => octets.fill(0, octets.length - 200, octets.length - 100)],
    ['cut', (octets: Buffer) => octets.subarray(0, octets.length - 64)],
    ['empty', () => Buffer.alloc(0)],
    [
      'of another build',
      (octets: Buffer) => Buffer.from(octets.toString('latin1').replace('"first ', '"other '), 'latin1'),
    ],
  ] as const)
    it(`does not use what is ${what}, and makes it anew`, () => {
      run();
      writeFileSync(kept, broken(readFileSync(kept)));
      assert.deepEqual(run(), { status: 0, said: '4', compiled: ['used'] });
      assert.deepEqual(run(), { status: 0, said: '4', compiled: [] });
    });

  it('compiles again what V8 refuses, because its flags are others', () => {
    run();
    assert.deepEqual(run({ flags: ['--no-opt'] }), { status: 0, said: '4', compiled: ['used'] });
    assert.deepEqual(run({ flags: ['--no-opt'] }), { status: 0, said: '4', compiled: [] });
  });

  it('keeps nothing of a run that failed', () => {
    write('main.cjs', 'require("./part.cjs").used(3); process.exitCode = 1;');
    assert.equal(run().status, 1);
    assert.deepEqual(run(), { status: 1, said: '', compiled: ['used'] });
  });

  for (const [what, env] of [
    ['without a folder', { NODE_COMPILE_CACHE: '' }],
    ['with caches turned off', { NODE_DISABLE_COMPILE_CACHE: '1' }],
    ['with a folder that cannot be', { NODE_COMPILE_CACHE: join(folder, 'main.cjs') }],
  ] as const)
    it(`works ${what}`, () => {
      assert.deepEqual(run({ env }), { status: 0, said: '4', compiled: ['used'] });
      assert.deepEqual(run({ env }), { status: 0, said: '4', compiled: ['used'] });
    });

  it('keeps code of each command by itself, and no name that is none', () => {
    const call = "startCommand('main.cjs')";
    write('main.cjs', 'process.exitCode = process.argv[2] === "wrong" ? 2 : 0;');
    const names = () =>
      readdirSync(cache)
        .filter((name) => name.startsWith('code-'))
        .sort();
    for (const word of ['send', '../send', 'wrong', '--version']) run({ call, args: [word] });
    assert.deepEqual(names(), ['code-main', 'code-main-send']);
  });
});
