import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { profilesPage } from '../../scripts/profiles.ts';
import { ourProfileSchema } from '../../src/config/profile-schema.ts';
import { missedByMessage, ownProfiles, ProfileBook, readCode, rulesAt } from '../../src/profile/index.ts';

/** Profile, rule, day, code of a message that holds it, and of one that misses it, with what was found. */
const cases: [string, string, string, string, string, string][] = [
  ['smime-3.2', 'content', '2026-11-30', 'iE3d:p1.r2048', 'iEdes-cbc:p1.r2048', 'des-cbc'],
  ['smime-3.2', 'content-aes', '2026-11-30', 'iE128c:p1.r2048', 'iE3d:p1.r2048', 'des-ede3-cbc'],
  ['smime-3.2', 'key-management', '2026-11-30', 'oE256c:o256.r2048', 'oE256c:e256.e256', 'ecdh-sha256'],
  ['smime-3.2', 'digest', '2026-11-30', 'iO:1_r.r2048', 'iO:md5_r.r2048', 'md5'],
  ['smime-3.2', 'digest-sha2', '2026-11-30', 'iO:256_r.r2048', 'iO:1_r.r2048', 'sha1'],
  ['smime-3.2', 'signature', '2026-11-30', 'iO:256_s.r2048', 'iO:256_e.e256', 'ecdsa'],
  ['smime-3.2', 'sign-key', '2026-11-30', 'iO:256_r.r1024', 'iO:256_r.r1023', 'an RSA key of 1023 bits'],
  ['smime-3.2', 'encrypt-key', '2026-11-30', 'oE256c:p1.r1024', 'oE256c:p1.r1023', 'an RSA key of 1023 bits'],
  ['smime-4.0', 'content', '2026-11-30', 'iE256c:p1.r2048', 'iE3d:p1.r2048', 'des-ede3-cbc'],
  ['smime-4.0', 'content-aead', '2026-11-30', 'iAcp:p1.r2048', 'iE256c:p1.r2048', 'aes-256-cbc'],
  ['smime-4.0', 'key-management', '2026-11-30', 'iE256c:x256.k256', 'iE256c:dh-sha1.h2048', 'dh-sha1'],
  ['smime-4.0', 'key-management-oaep', '2026-11-30', 'iE256c:o256.r2048', 'iE256c:p1.r2048', 'rsa-pkcs1'],
  ['smime-4.0', 'digest', '2026-11-30', 'iO:512_r.r2048', 'iO:1_r.r2048', 'sha1'],
  ['smime-4.0', 'signature', '2026-11-30', 'iO:512_d.k256', 'iO:256_dsa.d2048', 'dsa'],
  ['smime-4.0', 'sign-key', '2026-11-30', 'iO:256_r.r2048', 'iO:256_r.r2047', 'an RSA key of 2047 bits'],
  ['smime-4.0', 'encrypt-key', '2026-11-30', 'iE256c:p1.r2048', 'iE256c:p1.r2047', 'an RSA key of 2047 bits'],
  ['bsi-tr-03116-4', 'content', '2025-12-31', 'iE256c:o256.r3072', 'iE3d:o256.r3072', 'des-ede3-cbc'],
  ['bsi-tr-03116-4', 'content-gcm', '2026-01-01', 'iA256g:o256.r3072', 'iE256c:o256.r3072', 'aes-256-cbc'],
  ['bsi-tr-03116-4', 'key-management', '2026-11-30', 'iA256g:e256.e256', 'iA256g:p1.r3072', 'rsa-pkcs1'],
  ['bsi-tr-03116-4', 'digest', '2026-11-30', 'iO:512_e.e256', 'iO:1_e.e256', 'sha1'],
  ['bsi-tr-03116-4', 'signature', '2026-11-30', 'oO:256_s.r3072', 'oO:256_r.r3072', 'rsa'],
  ['bsi-tr-03116-4', 'signature-legacy', '2026-11-30', 'iO:256_r.r3072', 'iO:256_dsa.d3072', 'dsa'],
  ['bsi-tr-03116-4', 'signature-new', '2026-11-30', 'iO:256_e.e256', 'iO:256_r.r3072', 'rsa'],
  ['bsi-tr-03116-4', 'key-size', '2026-11-30', 'iO:256_e.e256', 'iO:256_e.e255', 'an EC key of 255 bits'],
  [
    'bsi-tr-02102',
    'key-management-term',
    '2032-01-01',
    'iE256c:ml-kem-768.x',
    'iE256c:o256.r4096',
    'rsa-oaep-sha256',
  ],
  [
    'bsi-tr-02102',
    'key-management-high',
    '2031-01-01',
    'iE256c:ml-kem-1024.x',
    'iE256c:e256.e256',
    'ecdh-sha256',
  ],
  ['bsi-tr-02102', 'signature-term', '2036-01-01', 'iO:512_m.x', 'iO:512_d.k448', 'eddsa'],
  ['bsi-tr-02102', 'signature-pkcs1', '2026-11-30', 'iO:256_s.r3072', 'iO:256_r.r3072', 'rsa'],
  ['bsi-tr-02102', 'key-size', '2026-11-30', 'iO:256_r.r3000', 'iO:256_r.r2999', 'an RSA key of 2999 bits'],
  [
    'edi-energy',
    'protection',
    '2026-11-30',
    'iE256c:o256.r2048/O:256_s.r2048',
    'iE256c:o256.r2048',
    'no signature',
  ],
  ['edi-energy', 'content', '2026-11-30', 'iA128g:o256.r2048', 'iA256g:o256.r2048', 'aes-256-gcm'],
  ['edi-energy', 'content-gcm', '2025-10-01', 'iA128g:o256.r2048', 'iE256c:o256.r2048', 'aes-256-cbc'],
  ['edi-energy', 'key-management', '2018-01-01', 'iE256c:o512.r2048', 'iE256c:p1.r2048', 'rsa-pkcs1'],
  ['edi-energy', 'signature', '2018-01-01', 'iO:256_s.r2048', 'iO:256_r.r2048', 'rsa'],
  ['edi-energy', 'digest', '2026-11-30', 'iO:256_s.r2048', 'iO:384_s.r2048', 'sha384'],
  [
    'direct',
    'protection',
    '2026-11-30',
    'iE128c:o256.r2048/D:256_r.r2048',
    'iD:256_r.r2048',
    'no encryption',
  ],
  ['direct', 'content', '2026-11-30', 'iE128c:o256.r2048', 'iE3d:o256.r2048', 'des-ede3-cbc'],
  ['direct', 'digest', '2026-11-30', 'iD:1_r.r2048', 'iD:md5_r.r2048', 'md5'],
  ['direct', 'digest-sha2', '2026-11-30', 'iD:256_r.r2048', 'iD:1_r.r2048', 'sha1'],
  ['direct', 'key-management', '2026-11-30', 'iE128c:o1.r2048', 'iE128c:p1.r2048', 'rsa-pkcs1'],
  ['as1', 'form', '2026-11-30', 'iD:256_r.r2048', 'iO:256_r.r2048', 'opaque'],
  [
    'as1',
    'order',
    '2026-11-30',
    'iE256c:p1.r2048/D:256_r.r2048',
    'iD:256_r.r2048/E256c:p1.r2048',
    'signature around encryption',
  ],
  ['as1', 'digest', '2026-11-30', 'iD:256_r.r2048', 'iD:1_r.r2048', 'sha1'],
  ['as1', 'content', '2026-11-30', 'iE256c:p1.r2048', 'iErc2-cbc:p1.r2048', 'rc2-cbc'],
  ['kim', 'protection', '2026-11-30', 'iA256g:e256.e256/O:256_e.e256', 'iO:256_e.e256', 'no encryption'],
  [
    'kim',
    'order',
    '2026-11-30',
    'iA256g:e256.e256/O:256_e.e256',
    'iO:256_e.e256/A256g:e256.e256/O:256_e.e256',
    'signature around encryption around signature',
  ],
  ['kim', 'form', '2026-11-30', 'iO:256_e.e256', 'iD:256_e.e256', 'detached'],
  ['kim', 'content', '2026-11-30', 'iA128g:e256.e256', 'iE256c:e256.e256', 'aes-256-cbc'],
  ['kim', 'key-family', '2026-07-01', 'iO:256_e.e256', 'iO:256_s.r2048', 'an RSA key'],
  ['kim', 'key-family-before', '2026-06-30', 'iA256g:e256.e256', 'iA256g:o256.r2048', 'an RSA key'],
  ['secon', 'content', '2026-11-30', 'iE256c:p1.r2048', 'iE128c:p1.r2048', 'aes-128-cbc'],
  ['secon', 'key-management', '2026-11-30', 'iE256c:o256.r4096', 'iE256c:e256.e256', 'ecdh-sha256'],
  ['secon', 'signature', '2026-11-30', 'iO:256_s.r4096', 'iO:256_e.e256', 'ecdsa'],
  ['secon', 'digest', '2026-11-30', 'iO:256_s.r4096', 'iO:512_s.r4096', 'sha512'],
  ['biztalk-classic', 'content', '2026-11-30', 'oE3d:p1.r2048', 'oE256c:p1.r2048', 'aes-256-cbc'],
  ['biztalk-classic', 'key-management', '2026-11-30', 'oE3d:p1.r2048', 'oE3d:o256.r2048', 'rsa-oaep-sha256'],
  ['biztalk-classic', 'signature', '2026-11-30', 'oO:1_r.r2048', 'oO:1_s.r2048', 'rsa-pss'],
  ['biztalk-classic', 'digest', '2026-11-30', 'oO:1_r.r2048', 'oO:256_r.r2048', 'sha256'],
  ['cabf-smime-br', 'key-size', '2026-11-30', 'iO:256_r.r2048', 'iO:256_r.r2047', 'an RSA key of 2047 bits'],
  ['cabf-smime-br', 'key-family', '2026-11-30', 'iO:256_m.x', 'iO:256_dsa.d2048', 'a DSA key'],
];

const book = new ProfileBook();

function missed(profile: string, at: string, code: string, dates?: ReadonlyMap<string, string>) {
  const found = book.get(profile) ?? assert.fail(profile);
  const seen = readCode(code) ?? assert.fail(code);
  return missedByMessage(rulesAt(found, new Date(`${at}T00:00:00Z`), dates), seen);
}

describe('profiles', () => {
  for (const profile of ownProfiles)
    it(`${profile.name} has the form of a profile`, () => {
      assert.deepEqual(ourProfileSchema.parse(profile), profile);
    });

  it('are found by name and former name, each name once', () => {
    assert.equal(book.get('default')?.name, 'smime-3.2');
    assert.equal(book.get('biztalk')?.name, 'biztalk-classic');
    assert.equal(book.get('constructor'), undefined);
    const names = ownProfiles.flatMap(({ name, aliases }) => [name, ...aliases]);
    assert.equal(new Set(names).size, names.length);
  });

  for (const [profile, id, at, met, miss, found] of cases)
    it(`${profile}/${id} (${citation(profile, id)}) is met and missed`, () => {
      assert.deepEqual(
        missed(profile, at, met).filter(({ rule }) => rule.id === id),
        [],
      );
      assert.deepEqual(
        missed(profile, at, miss)
          .filter(({ rule }) => rule.id === id)
          .map((each) => each.found),
        [found],
      );
    });

  it('have a case here for each rule about messages', () => {
    const judged = /^(?:content|key-management|digest|signature|protection|order|form|key-size|key-family)$/;
    const wanted = ownProfiles.flatMap(({ name, rules }) =>
      rules
        .filter(
          (rule) =>
            rule.level !== 'may' &&
            rule.issuedFrom === undefined &&
            judged.test(rule.about) &&
            !('uses' in rule && rule.uses.every((use) => use === 'ca')),
        )
        .map(({ id }) => `${name}/${id}`),
    );
    assert.deepEqual(cases.map(([name, id]) => `${name}/${id}`).sort(), wanted.sort());
  });

  it('hold a rule from its first day, and until the day before its last', () => {
    const ids = (at: string) => {
      const profile = book.get('bsi-tr-03116-4') ?? assert.fail();
      return rulesAt(profile, new Date(at))
        .map(({ rule }) => rule.id)
        .filter((id) => id.startsWith('content'));
    };
    assert.deepEqual(ids('2025-12-31T23:59:59.999Z'), ['content']);
    assert.deepEqual(ids('2026-01-01T00:00:00Z'), ['content-gcm']);
  });

  it('count an unverified rule as a should, until settings give it a day', () => {
    const gcm = (at: string, dates?: ReadonlyMap<string, string>) =>
      missed('edi-energy', at, 'iE256c:o256.r2048/O:256_s.r2048', dates).map(({ rule, level }) => [
        rule.id,
        level,
      ]);
    assert.deepEqual(gcm('2026-11-30'), [['content-gcm', 'should']]);
    const dates = new Map([['edi-energy/content-gcm', '2027-04-01']]);
    assert.deepEqual(gcm('2027-03-31', dates), []);
    assert.deepEqual(gcm('2027-04-01', dates), [['content-gcm', 'must']]);
  });

  it('judge only the direction that a rule is for', () => {
    assert.deepEqual(missed('biztalk-classic', '2026-11-30', 'iA256g:o256.r2048/O:256_s.r2048'), []);
  });

  it('are what docs/profiles.md says', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../docs/profiles.md'), 'utf8');
    assert.ok(page === profilesPage(), 'run: npm run docs:profiles');
  });
});

function citation(profile: string, id: string): string {
  const rule = book.get(profile)?.rules.find((each) => each.id === id);
  const { document, version, section } = rule?.source ?? assert.fail(`${profile}/${id}`);
  return `${document}, ${version}, ${section}`;
}
