/** Configurations that were found right before: used for the same text, file and program, and for nothing else. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { KnownConfigs, knownConfigs, programStamp } from '../../src/config/known.ts';
import { readConfig } from '../../src/config/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-known-'));
after(() => rmSync(folder, { recursive: true }));
const text = 'dataDir: data\nsmtp: { listen: [{ port: 2525 }] }\n';
const file = join(folder, 'sealpost.yaml');
const { config } = readConfig(text, file);
assert.ok(config);

function kept(name: string): string {
  const place = join(folder, name);
  mkdirSync(place);
  new KnownConfigs(place, 'program').remember(file, text, config ?? assert.fail());
  return place;
}

describe('a configuration that was found right', () => {
  it('is what it was', () => {
    const place = kept('same');
    assert.deepEqual(new KnownConfigs(place, 'program').recall(file, text), config);
    const names = readdirSync(place);
    assert.equal(names.length, 1, 'no draft is left');
    assert.equal(statSync(join(place, names[0] ?? '')).mode & 0o777, 0o600);
  });

  for (const [what, program, name, now] of [
    ['another program', 'program 2', file, text],
    ['a changed text', 'program', file, `${text}\n`],
    [
      'the same text in another folder, where its paths lead elsewhere',
      'program',
      join(folder, 'x', 'sealpost.yaml'),
      text,
    ],
  ] as const)
    it(`is not known to ${what}`, () => {
      const place = kept(what.replaceAll(' ', '-'));
      // as if both names had the same place
      for (const each of readdirSync(place)) {
        const octets = readFileSync(join(place, each));
        for (let at = 0; at < 256; at++)
          writeFileSync(join(place, `config-${at.toString(16).padStart(2, '0')}.json`), octets);
      }
      assert.equal(new KnownConfigs(place, program).recall(name, now), undefined);
      assert.deepEqual(new KnownConfigs(place, 'program').recall(file, text), config);
    });

  it('is checked anew if what was kept is cut, or nothing can be kept', () => {
    const place = kept('cut');
    const [name = ''] = readdirSync(place);
    const octets = readFileSync(join(place, name));
    for (const length of [0, 10, 65, octets.length - 1]) {
      writeFileSync(join(place, name), octets.subarray(0, length));
      assert.equal(new KnownConfigs(place, 'program').recall(file, text), undefined, `${length} octets`);
    }
    const nowhere = new KnownConfigs(join(folder, 'none'), 'program');
    nowhere.remember(file, text, config);
    assert.equal(nowhere.recall(file, text), undefined);
    assert.ok(!existsSync(join(folder, 'none')));
  });

  it('gives the settings alone whatever the partner files are now, and never those of another text', () => {
    const place = kept('settings');
    const partners = join(folder, 'partners');
    mkdirSync(partners);
    after(() => rmSync(partners, { recursive: true, force: true }));
    writeFileSync(join(partners, 'acme.yaml'), 'name: broken: yaml');
    const known = new KnownConfigs(place, 'program');
    assert.equal(known.recall(file, text), undefined);
    assert.equal(known.recallSettings(file, text)?.dataDir, config.dataDir);
    assert.equal(known.recallSettings(file, `${text}\n`), undefined);
    assert.equal(new KnownConfigs(place, 'program 2').recallSettings(file, text), undefined);
    rmSync(partners, { recursive: true });
  });

  it('takes one of 256 places, however many there are', () => {
    const place = join(folder, 'many');
    mkdirSync(place);
    const known = new KnownConfigs(place, 'program');
    for (let at = 0; at < 400; at++) known.remember(join(folder, `${at}.yaml`), text, config);
    assert.ok(readdirSync(place).length <= 256);
  });

  it('is kept only beside compiled code', () => {
    assert.equal(knownConfigs({}), undefined);
    assert.equal(knownConfigs({ NODE_COMPILE_CACHE: folder, NODE_DISABLE_COMPILE_CACHE: '1' }), undefined);
    assert.ok(knownConfigs({ NODE_COMPILE_CACHE: folder }));
  });
});

describe('the program that checked it', () => {
  const root = join(folder, 'program');
  mkdirSync(join(root, 'src/config'), { recursive: true });
  mkdirSync(join(root, 'dist'));
  writeFileSync(join(root, 'package.json'), '{"version":"1"}');
  writeFileSync(join(root, 'src/config/rules.ts'), 'rules');

  it('is another one when a file of the source changes, even in its octets alone', () => {
    const before = programStamp(root, true);
    assert.equal(programStamp(root, true), before);
    utimesSync(join(root, 'src/config/rules.ts'), 1, 1);
    const touched = programStamp(root, true);
    assert.notEqual(touched, before);
    writeFileSync(join(root, 'src/config/rules.ts'), 'other');
    const changed = programStamp(root, true);
    assert.notEqual(changed, touched);
    writeFileSync(join(root, 'src/more.ts'), '');
    assert.notEqual(programStamp(root, true), changed);
  });

  it('is another one with another version, compiled or not', () => {
    const before = [programStamp(root, true), programStamp(join(root, 'dist'), false)];
    writeFileSync(join(root, 'package.json'), '{"version":"2"}');
    assert.notEqual(programStamp(root, true), before[0]);
    assert.notEqual(programStamp(join(root, 'dist'), false), before[1]);
  });
});
