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
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { KnownConfigs, keptMost, knownConfigs, programStamp } from '../../src/config/known.ts';
import { readConfig } from '../../src/config/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-known-'));
after(() => rmSync(folder, { recursive: true }));
const text = 'dataDir: data\nsmtp: { listen: [{ port: 2525 }] }\n';
const file = join(folder, 'sealpost.yaml');
const { config } = readConfig(text, file);
assert.ok(config);

const program = { root: '/opt/sealpost', stamp: 'program' };

function kept(name: string): string {
  const place = join(folder, name);
  mkdirSync(place);
  new KnownConfigs(place, program).remember(file, text, config ?? assert.fail());
  return place;
}

describe('a configuration that was found right', () => {
  it('is what it was', () => {
    const place = kept('same');
    assert.deepEqual(new KnownConfigs(place, program).recall(file, text), config);
    const names = readdirSync(place);
    assert.equal(names.length, 1, 'no draft is left');
    assert.equal(statSync(join(place, names[0] ?? '')).mode & 0o777, 0o600);
  });

  for (const [what, stamp, name, now] of [
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
      const other = new KnownConfigs(place, { ...program, stamp });
      // as if both names had the same place
      const [first = ''] = readdirSync(place);
      const octets = readFileSync(join(place, first));
      other.remember(name, now, config);
      for (const each of readdirSync(place)) writeFileSync(join(place, each), octets);
      assert.equal(other.recall(name, now), undefined);
      assert.deepEqual(new KnownConfigs(place, program).recall(file, text), config);
    });

  it('is checked anew if what was kept is cut, or nothing can be kept', () => {
    const place = kept('cut');
    const [name = ''] = readdirSync(place);
    const octets = readFileSync(join(place, name));
    for (const length of [0, 10, 65, octets.length - 1]) {
      writeFileSync(join(place, name), octets.subarray(0, length));
      assert.equal(new KnownConfigs(place, program).recall(file, text), undefined, `${length} octets`);
    }
    const nowhere = new KnownConfigs(join(folder, 'none'), program);
    nowhere.remember(file, text, config);
    assert.equal(nowhere.recall(file, text), undefined);
    assert.ok(!existsSync(join(folder, 'none')));
    // a file stands where the folder should be
    const inFile = new KnownConfigs(join(place, name, 'below'), program);
    inFile.remember(file, text, config);
    assert.equal(inFile.recall(file, text), undefined);
  });

  it('gives the settings alone whatever the partner files are now, and never those of another text', () => {
    const place = kept('settings');
    const partners = join(folder, 'partners');
    mkdirSync(partners);
    after(() => rmSync(partners, { recursive: true, force: true }));
    writeFileSync(join(partners, 'acme.yaml'), 'name: broken: yaml');
    const known = new KnownConfigs(place, program);
    assert.equal(known.recall(file, text), undefined);
    assert.equal(known.recallSettings(file, text)?.dataDir, config.dataDir);
    assert.equal(known.recallSettings(file, `${text}\n`), undefined);
    const second = new KnownConfigs(place, { ...program, stamp: 'program 2' });
    assert.equal(second.recallSettings(file, text), undefined);
    rmSync(partners, { recursive: true });
  });

  it('is kept for a checkout and for a package, and neither evicts the other', () => {
    const place = kept('two');
    const checkout = new KnownConfigs(place, { root: '/home/dev/sealpost', stamp: 'other program' });
    assert.equal(checkout.recall(file, text), undefined);
    checkout.remember(file, text, config);
    for (const known of [checkout, new KnownConfigs(place, program)])
      assert.deepEqual(known.recall(file, text), config);
    // a new version replaces what the one before has kept
    new KnownConfigs(place, { ...program, stamp: 'version 2' }).remember(file, text, config);
    assert.equal(readdirSync(place).length, 2);
  });

  it('is one of a limited number: the least used ones go', () => {
    const place = join(folder, 'many');
    mkdirSync(place);
    const known = new KnownConfigs(place, program);
    const fileOf = (at: number) => join(folder, `${at}.yaml`);
    known.remember(fileOf(0), text, config);
    const [first = ''] = readdirSync(place);
    // used a month ago, then today
    utimesSync(join(place, first), 1_000_000, 1_000_000);
    assert.ok(known.recall(fileOf(0), text));
    const old = Date.now() / 1000 - 10;
    for (let at = 1; at < keptMost.files; at++) {
      const other = join(place, `config-${at.toString(16).padStart(16, '0')}.json`);
      writeFileSync(other, '');
      utimesSync(other, old, old);
    }
    known.remember(fileOf(1), text, config);
    assert.equal(readdirSync(place).length, keptMost.files);
    for (const at of [0, 1]) assert.ok(known.recall(fileOf(at), text), `${at}`);
  });

  it('is limited in octets, without what others keep in the same folder', () => {
    const place = kept('large');
    const others = ['config-mine.json', 'config.json', 'configuration'];
    for (const name of others) writeFileSync(join(place, name), '');
    const sizes = [keptMost.octets / 2, keptMost.octets / 2];
    for (const [at, size] of sizes.entries()) {
      const path = join(place, `config-${'0'.repeat(15)}${at}.json`);
      writeFileSync(path, '');
      truncateSync(path, size);
      utimesSync(path, at + 1, at + 1);
    }
    // a draft of a process that was killed
    writeFileSync(join(place, `config-${'0'.repeat(16)}.json.4711`), '');
    utimesSync(join(place, `config-${'0'.repeat(16)}.json.4711`), 0, 0);
    new KnownConfigs(place, program).remember(file, text, config);
    const left = readdirSync(place).filter((name) => !others.includes(name));
    assert.equal(left.length, 2, left.join());
    assert.ok(left.includes(`config-${'0'.repeat(15)}1.json`));
    assert.deepEqual(
      others.filter((name) => existsSync(join(place, name))),
      others,
    );
    assert.ok(new KnownConfigs(place, program).recall(file, text));
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
