/** The cache of compiled code in a home: a folder for each program, without what is no longer used. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { makeWorld } from '../support/world.ts';

const bin = resolve(import.meta.dirname, '../../bin');
const day = 86_400_000;

interface Options {
  own: string;
  now: number;
  removals?: number;
  limits?: { unused: number; programs: number; files: number };
}
const { pruneCache }: { pruneCache(folder: string, options: Options): boolean } = createRequire(
  import.meta.url,
)(join(bin, 'prune-cache.cjs'));

const world = makeWorld();
after(() => world.remove());
const now = Date.now();

let made = 0;
/** A cache with programs of so many files, last used so many days ago. */
function cacheOf(programs: Record<string, { files: number; days: number }>): string {
  const folder = join(world.folder, `cache${made++}`);
  mkdirSync(folder);
  for (const [name, { files, days }] of Object.entries(programs)) {
    const inner = name.startsWith('program-') ? join(folder, name, 'v24.21.0-x64-1') : join(folder, name);
    mkdirSync(inner, { recursive: true });
    for (let at = 0; at < files; at++) writeFileSync(join(inner, `${at}`), 'code');
    const used = (now - days * day) / 1000;
    utimesSync(join(folder, name), used, used);
  }
  return folder;
}

describe('the cache of compiled code', () => {
  it('forgets what nobody has started for a month', () => {
    const folder = cacheOf({
      'program-own': { files: 3, days: 90 },
      'program-29': { files: 3, days: 29 },
      'program-31': { files: 3, days: 31 },
      'v24.7.0-x64-402a0558-0': { files: 3, days: 31 },
      'v24.21.0-x64-402a0558-0': { files: 3, days: 1 },
    });
    const done = pruneCache(folder, { own: join(folder, 'program-own'), now });
    assert.equal(done, true);
    assert.deepEqual(readdirSync(folder).sort(), [
      'program-29',
      'program-own',
      'pruned',
      'v24.21.0-x64-402a0558-0',
    ]);
    assert.equal(readdirSync(join(folder, 'program-own/v24.21.0-x64-1')).length, 3);
  });

  it('is limited in programs and in files, and the least used ones go first', () => {
    const folder = cacheOf({
      'program-own': { files: 2, days: 20 },
      'program-a': { files: 2, days: 1 },
      'program-b': { files: 4, days: 2 },
      'program-c': { files: 2, days: 3 },
      'program-d': { files: 1, days: 4 },
    });
    const own = join(folder, 'program-own');
    // b is one file too large for the rest, c just fits, and d is one program too many
    pruneCache(folder, { own, now, limits: { unused: 30 * day, programs: 4, files: 6 } });
    assert.deepEqual(readdirSync(folder).sort(), ['program-a', 'program-c', 'program-own', 'pruned']);
    pruneCache(folder, { own, now, limits: { unused: 30 * day, programs: 4, files: 1 } });
    assert.deepEqual(readdirSync(folder), ['pruned'], 'too large by itself');
  });

  it('is cleaned a little at each start, and not at once', () => {
    const folder = cacheOf({
      'program-own': { files: 1, days: 0 },
      'program-old': { files: 10, days: 40 },
    });
    const own = join(folder, 'program-own');
    const left = () => readdirSync(folder, { recursive: true }).filter((name) => name.includes('old')).length;
    // ten files and the two folders around them
    for (const [expected, isDone] of [
      [7, false],
      [2, false],
      [0, true],
    ]) {
      assert.equal(pruneCache(folder, { own, now, removals: 5 }), isDone);
      assert.equal(left(), expected);
      assert.equal(existsSync(join(folder, 'pruned')), isDone);
    }
  });

  it('removes links without following them, and touches nothing that is not its own', () => {
    const folder = cacheOf({ 'program-own': { files: 1, days: 0 }, 'program-old': { files: 1, days: 40 } });
    const outside = join(world.folder, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'precious'), '');
    symlinkSync(outside, join(folder, 'program-link'));
    symlinkSync(outside, join(folder, 'program-old/link'));
    utimesSync(join(folder, 'program-old'), 1, 1);
    for (const name of ['notes.txt', 'v24', 'config-00.json', 'config-0f.json.4711'])
      writeFileSync(join(folder, name), '');
    mkdirSync(join(folder, 'other'));
    assert.equal(pruneCache(folder, { own: join(folder, 'program-own'), now }), true);
    assert.deepEqual(readdirSync(folder).sort(), ['notes.txt', 'other', 'program-own', 'pruned', 'v24']);
    assert.deepEqual(readdirSync(outside), ['precious']);
  });
});

describe('a start', () => {
  const home = join(world.folder, 'home');
  const cache = join(home, '.cache/sealpost');
  mkdirSync(home);
  const stub = world.file(
    'home.cjs',
    `require('node:os').userInfo = () => ({ homedir: ${JSON.stringify(home)} });\n`,
  );
  /** What the environment of the roles would have, for a program that is installed there. */
  function start(where: string): string {
    const { NODE_COMPILE_CACHE: _, ...env } = process.env;
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [
        '--require',
        stub,
        '--require',
        join(where, 'bin/compile-cache.cjs'),
        '--print',
        'process.env.NODE_COMPILE_CACHE',
      ],
      { env, encoding: 'utf8' },
    );
    assert.equal(stderr, '');
    return stdout.trim();
  }
  const places = ['package', 'checkout'].map((name) => join(world.folder, name));
  for (const place of places) cpSync(bin, join(place, 'bin'), { recursive: true });

  it('gives each installation a folder of its own, which nobody else may write to', () => {
    const [one = '', other = ''] = places.map(start);
    assert.notEqual(one, other);
    for (const folder of [one, other]) {
      assert.ok(folder.startsWith(`${cache}/program-${process.version}-`), folder);
      assert.equal(statSync(folder).mode & 0o777, 0o700);
      assert.ok(readdirSync(folder).some((name) => name.startsWith(process.version)));
    }
    assert.equal(start(places[0] ?? ''), one);
  });

  it('marks its folder as used, and looks for others once a day', () => {
    const [place = ''] = places;
    const own = start(place);
    const ago = (days: number) => (Date.now() - days * day) / 1000;
    const old = join(cache, 'program-old');
    mkdirSync(old);
    utimesSync(old, ago(40), ago(40));
    utimesSync(own, ago(2), ago(2));
    start(place);
    assert.ok(existsSync(old), 'looked for today already');
    assert.ok(lstatSync(own).mtimeMs > Date.now() - day);
    utimesSync(join(cache, 'pruned'), ago(2), ago(2));
    start(place);
    assert.ok(!existsSync(old));
    assert.ok(lstatSync(join(cache, 'pruned')).mtimeMs > Date.now() - day);
  });

  it('starts without a cache in a folder that others may write to', () => {
    const [place = ''] = places;
    const own = start(place);
    spawnSync('chmod', ['0777', own]);
    assert.equal(start(place), 'undefined');
    spawnSync('chmod', ['0700', own]);
    assert.equal(start(place), own);
  });
});
