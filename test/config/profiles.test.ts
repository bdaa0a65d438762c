import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { parse } from 'yaml';
import { profilesPage } from '../../scripts/profiles.ts';
import { restoreConfig, storeConfig } from '../../src/config/index.ts';
import { openConfig, readConfig } from '../../src/config/load.ts';
import { profileBook } from '../../src/config/profile-rules.ts';
import { protectionOf } from '../../src/smime/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-profiles-'));
const profiles = join(folder, 'profiles');
after(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  rmSync(profiles, { recursive: true, force: true });
  mkdirSync(profiles);
});

const facts = 'version: "1"\ntitle: Ours\nabout: For us.\n';
const rule = `rules:
  - { id: key-size, level: must, about: key-size, uses: [sign], minimum: { rsa: 4096 }, says: Long.,
      source: { document: Letter, version: "1", section: "2" } }
`;
const write = (name: string, text: string) => writeFileSync(join(profiles, name), text);

function configOf(more = '', partner = '') {
  return `profiles: { folder: profiles, ${more} }
partners:
  - { name: acme, addresses: [edi@acme.example], encrypt: false, sign: none, route: { host: mx.acme.example }, ${partner} }
`;
}
const file = join(folder, 'sealpost.yaml');
const open = (more = '', partner = '') => openConfig(file, configOf(more, partner)).config;
const problems = (more = '', partner = '') =>
  readConfig(configOf(more, partner), file)
    .problems.filter(({ severity }) => severity === 'error')
    .map(({ message }) => message);

describe("an operator's profiles", () => {
  it('are found beside those of the package, and reach the roles with the configuration', () => {
    write('ours.yaml', `name: ours\n${facts}${rule}`);
    const config = open();
    for (const each of [config, restoreConfig(storeConfig(config))]) {
      const book = profileBook(each);
      assert.equal(book.get('ours')?.rules[0]?.id, 'key-size');
      assert.equal(book.get('edi-energy')?.title, 'EDI@Energy');
    }
    assert.equal(profileBook(openConfig(file, '').config).get('ours'), undefined);
  });

  it('may be built on another: a rule of the same id replaces its rule, a setting its setting', () => {
    write('a.yaml', `name: ours\nextends: bsi-tr-03116-4\noutbound: { digest: sha512 }\n${facts}${rule}`);
    write('b.yaml', `name: stricter\nextends: ours\noutbound: { headerProtection: true }\n${facts}`);
    const book = profileBook(open());
    const base = book.get('bsi-tr-03116-4')?.rules ?? assert.fail();
    const own = book.get('ours')?.rules ?? assert.fail();
    assert.equal(own.length, base.length);
    assert.deepEqual(
      own.filter(({ id }) => id === 'key-size').map(({ says }) => says),
      ['Long.'],
    );
    const [partner] = open('', 'profile: stricter').partners;
    assert.ok(partner);
    const protection = protectionOf(partner.preset, partner);
    assert.equal(protection.digest, 'sha512');
    assert.equal(protection.headerProtection, true);
    // these are in no setting, and come with the preset
    assert.equal(protection.curves?.length, 6);
  });

  it('give way to the settings of a partner', () => {
    write('ours.yaml', `name: ours\noutbound: { digest: sha512, sign: detached }\n${facts}`);
    const [partner] = open('', 'profile: ours, digest: sha384').partners;
    assert.ok(partner);
    const { digest, sign } = protectionOf(partner.preset, { ...partner, sign: undefined });
    assert.deepEqual([digest, sign], ['sha384', 'opaque']);
    const [plain] = open('', 'profile: kim').partners;
    assert.equal(plain && protectionOf(plain.preset, plain).contentEncryption, 'aes-256-gcm');
  });

  const wrong: [string, string, RegExp][] = [
    ['YAML', 'name: [', /a\.yaml: /],
    ['a missing setting', 'name: ours\n', /a\.yaml: version: /],
    ['an unknown demand', `name: ours\n${facts}rules: [{ about: colour }]`, /rules\.0\.about/],
    [
      'a day that is none',
      `name: ours\n${facts}${rule.replace('level: must', 'level: must, from: "2027-02-30"')}`,
      /rules\.0\.from: write a day/,
    ],
    [
      'two rules of one id',
      `name: ours\n${facts}${rule}${rule.replace('rules:\n', '')}`,
      /two rules have the same id/,
    ],
    ['a name of the package', `name: kim\n${facts}`, /another profile named kim/],
    ['a former name', `name: ours\naliases: [biztalk]\n${facts}`, /another profile named biztalk/],
    ['nothing to be built on', `name: ours\nextends: nobody\n${facts}`, /no profile nobody before it/],
    ['a setting of no partner', `name: ours\noutbound: { curves: [x] }\n${facts}`, /outbound: /],
  ];
  for (const [what, text, message] of wrong)
    it(`are refused with ${what}`, () => {
      write('a.yaml', text);
      const [found = ''] = problems();
      assert.match(found, message);
    });

  it('are refused without their folder', () => {
    rmSync(profiles, { recursive: true });
    assert.match(problems().join(), /the folder of profiles cannot be read/);
    mkdirSync(profiles);
    assert.deepEqual(readdirSync(profiles), []);
    assert.deepEqual(problems(), []);
  });

  it('may be as docs/profiles.md shows', () => {
    const [, example = ''] = /```yaml\n(.*?)```/s.exec(profilesPage()) ?? [];
    write('example.yaml', example);
    const { name } = parse(example);
    assert.equal(profileBook(open('', `profile: ${name}`)).get(name)?.extends, 'edi-energy');
  });
});

describe('settings that name profiles', () => {
  it('name one that exists, and only one way', () => {
    assert.match(problems('', 'profile: nobody').join(), /there is no profile nobody/);
    assert.match(problems('', 'profile: kim, preset: secon').join(), /replaces preset/);
    assert.deepEqual(problems('', 'profile: biztalk-classic, preset: biztalk, allowWeak: true'), []);
  });

  it('give a day to a rule that exists and has none in a source', () => {
    assert.deepEqual(problems('dates: { edi-energy/content-gcm: "2027-04-01" }'), []);
    assert.match(problems('dates: { edi-energy/nothing: "2027-04-01" }').join(), /names no rule/);
    assert.match(problems('dates: { kim/key-family: "2027-04-01" }').join(), /is in the source/);
    assert.equal(problems('dates: { edi-energy/content-gcm: "2027-02-30" }').length, 1);
  });
});
