/** What comes with the package: its dependencies, and the Node that they and the daemon run on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import * as z from 'zod';

const root = resolve(import.meta.dirname, '../..');
const packages = z
  .object({
    packages: z.record(
      z.string(),
      z.object({
        engines: z.object({ node: z.string().optional() }).optional(),
        hasInstallScript: z.boolean().optional(),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))).packages;
const manifest = z
  .object({ allowScripts: z.record(z.string(), z.boolean()) })
  .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));

/** Whether a version, as numbers, is in a range of the forms that `engines` has; anything else is not. */
function isIn(version: [number, number], range: string): boolean {
  return range.split('||').some((part) => {
    const comparators = part
      .replaceAll(/([<>=^]) +/g, '$1')
      .trim()
      .split(/ +/);
    return comparators.every((each) => meets(version, each));
  });
}

function meets([major, minor]: [number, number], comparator: string): boolean {
  const match = /^(>=|\^|<|)v?(\d+)(?:\.(\d+|x))?(?:\.(?:\d+|x))?$/.exec(comparator);
  if (match === null) return false;
  const [, sign, wanted = '0', least = '0'] = match;
  const from = [Number(wanted), least === 'x' ? 0 : Number(least)] as const;
  const reached = major > from[0] || (major === from[0] && minor >= from[1]);
  if (sign === '<') return !reached;
  return sign === '>=' ? reached : major === from[0] && reached;
}

describe('the packages of the lock file', () => {
  it('can be installed by the npm of Node 20, 22 and 24 without a warning about the version', () => {
    const unfit = Object.entries(packages).flatMap(([name, { engines }]) =>
      (
        [
          [20, 19],
          [22, 12],
          [24, 7],
        ] as [number, number][]
      )
        .filter((version) => engines?.node !== undefined && !isIn(version, engines.node))
        .map((version) => `${name || 'sealpost'} on Node ${version.join('.')}: ${engines?.node}`),
    );
    assert.deepEqual(unfit, []);
  });

  it('run no script when they are installed, and package.json says so of each that has one', () => {
    const scripts = Object.entries(packages)
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => path.replace(/^.*node_modules\//, ''));
    assert.deepEqual(manifest.allowScripts, Object.fromEntries(scripts.map((name) => [name, false])));
  });
});

describe('bin/sealpost without a Node of its own', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-node-'));
  after(() => rmSync(folder, { recursive: true }));
  for (const each of ['bin', 'src', 'path']) mkdirSync(join(folder, each));
  copyFileSync(join(root, 'bin/sealpost'), join(folder, 'bin/sealpost'));
  writeFileSync(join(folder, 'src/cli.ts'), '');

  /** Runs it with a `node` program that reports this version, or without one. */
  function start(version: string | undefined): { status: number | null; stdout: string; stderr: string } {
    const node = join(folder, 'path/node');
    rmSync(node, { force: true });
    if (version !== undefined) {
      const script = `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; else echo started; fi\n`;
      writeFileSync(node, script, { mode: 0o755 });
    }
    for (const tool of ['dirname', 'readlink']) {
      const path = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim();
      writeFileSync(join(folder, 'path', tool), `#!/bin/sh\nexec ${path} "$@"\n`, { mode: 0o755 });
    }
    return spawnSync('/bin/sh', [join(folder, 'bin/sealpost')], {
      env: { PATH: join(folder, 'path') },
      encoding: 'utf8',
    });
  }

  it('runs on 24.7 and on what is newer', () => {
    for (const version of ['v24.7.0', 'v24.21.0', 'v26.0.0', 'v100.0.0'])
      assert.deepEqual([version, start(version).stdout], [version, 'started\n']);
  });

  it('refuses an older one, and says which it found and what to do', () => {
    for (const version of ['v24.6.0', 'v22.99.0', 'v20.20.2', 'v0.12.18']) {
      const { status, stdout, stderr } = start(version);
      assert.deepEqual([version, status, stdout], [version, 1, '']);
      assert.match(stderr, new RegExp(`^sealpost: this is Node\\.js ${version.slice(1)} \\(.*/path/node\\)`));
      assert.match(stderr, /version 24\.7 or later is needed; install one, or .* optional dependencies/);
    }
  });

  it('says that there is none', () => {
    const { status, stderr } = start(undefined);
    assert.deepEqual(
      [status, stderr],
      [1, 'sealpost: there is no Node.js here; install version 24.7 or later\n'],
    );
  });
});
