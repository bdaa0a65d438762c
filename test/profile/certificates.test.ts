/** Each rule of a profile that certificates show, met and missed by real ones. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import { missedByCertificate, ownProfiles, ProfileBook, rulesAt } from '../../src/profile/index.ts';
import { createTestCa, type IssueOptions } from '../support/ca.ts';

const book = new ProfileBook();
const day = 86_400_000;
const ecdsa = createTestCa('EC Root');
const pss = createTestCa('PSS Root', { key: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }) });
const small = createTestCa('Small Root', { key: 'rsa2048' });
const large = createTestCa('Large Root', { key: 'rsa3072' });
const brainpool = generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' });
const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });

/** Valid from a day for so many days, both ends included. */
const of = (from: string, days: number): IssueOptions => {
  const notBefore = new Date(`${from}T00:00:00Z`);
  return { notBefore, notAfter: new Date(notBefore.getTime() + days * day - 1000), key: 'rsa2048' };
};
const usual = of('2026-01-01', 365);
type Issue = [authority: ReturnType<typeof createTestCa>, options: IssueOptions];

const cases: [profile: string, rule: string, met: Issue, missed: Issue, found: RegExp][] = [
  [
    'bsi-tr-03116-4',
    'key-size',
    [ecdsa, { ...usual, key: 'rsa3072' }],
    [ecdsa, usual],
    /an RSA key of 2048 bits/,
  ],
  [
    'bsi-tr-03116-4',
    'curve',
    [ecdsa, { ...usual, key: brainpool }],
    [ecdsa, { ...usual, key: koblitz }],
    /secp256k1/,
  ],
  ['bsi-tr-02102', 'key-size', [ecdsa, { ...usual, key: 'p256' }], [ecdsa, usual], /an RSA key of 2048 bits/],
  ['edi-energy', 'certificate-signature', [pss, usual], [ecdsa, usual], /signed with ecdsa/],
  ['kim', 'key-family', [ecdsa, { ...usual, key: 'p256' }], [ecdsa, usual], /an RSA key/],
  [
    'cabf-smime-br',
    'validity',
    [ecdsa, of('2025-07-15', 825)],
    [ecdsa, of('2025-07-15', 826)],
    /valid for 826 days/,
  ],
  [
    'cabf-smime-br',
    'validity-legacy',
    [ecdsa, of('2025-07-14', 1185)],
    [ecdsa, of('2025-07-14', 1186)],
    /valid for 1186 days/,
  ],
  [
    'cabf-smime-br',
    'key-size',
    [large, usual],
    [ecdsa, { ...usual, key: generateKeyPairSync('rsa', { modulusLength: 1024 }) }],
    /an RSA key of 1024 bits/,
  ],
  [
    'cabf-smime-br',
    'curve',
    [ecdsa, { ...usual, key: 'p384' }],
    [ecdsa, { ...usual, key: brainpool }],
    /brainpoolP256r1/,
  ],
  [
    'cabf-smime-br',
    'ca-key-size',
    [large, of('2027-09-15', 365)],
    [small, of('2027-09-15', 365)],
    /an RSA key of 2048 bits/,
  ],
  [
    'cabf-smime-br',
    'extended-key-usage',
    [ecdsa, { ...usual, eku: ['1.3.6.1.5.5.7.3.4'] }],
    [ecdsa, { ...usual, eku: ['1.3.6.1.5.5.7.3.2'] }],
    /no such extended key usage/,
  ],
  [
    'cabf-smime-br',
    'extended-key-usage-strict',
    [ecdsa, { ...of('2027-07-01', 365), eku: ['1.3.6.1.5.5.7.3.4', '1.3.6.1.5.5.7.3.2'] }],
    [ecdsa, { ...of('2027-07-01', 365), eku: ['1.3.6.1.5.5.7.3.4', '1.3.6.1.5.5.7.3.1'] }],
    /extended key usage 1\.3\.6\.1\.5\.5\.7\.3\.1/,
  ],
];

function missed(
  profile: string,
  [authority, options]: Issue,
  use: 'sign' | 'encrypt' = 'encrypt',
): Map<string, string> {
  const { certificate } = authority.issue(options);
  const rules = rulesAt(book.get(profile) ?? assert.fail(profile), new Date('2027-10-01'));
  const place = { use, direction: 'outbound', issuers: [authority.certificate] } as const;
  return new Map(missedByCertificate(rules, certificate, place).map(({ rule, found }) => [rule.id, found]));
}

describe('certificates', () => {
  for (const [profile, rule, met, miss, found] of cases)
    it(`meet and miss ${profile}/${rule}`, () => {
      assert.equal(missed(profile, met).get(rule), undefined);
      assert.match(missed(profile, miss).get(rule) ?? 'nothing', found);
    });

  it('issued before a rule are not judged by it', () => {
    assert.equal(missed('cabf-smime-br', [ecdsa, of('2025-07-14', 900)]).has('validity'), false);
    assert.equal(missed('cabf-smime-br', [small, of('2027-09-14', 365)]).has('ca-key-size'), false);
    assert.equal(missed('edi-energy', [ecdsa, of('2018-12-31', 4000)]).has('certificate-signature'), false);
  });

  it('meet and miss cabf-smime-br/certificate-signature', () => {
    const profile = book.get('cabf-smime-br') ?? assert.fail();
    const rules = rulesAt(profile, new Date('2027-10-01')).filter(
      ({ rule }) => rule.id === 'certificate-signature',
    );
    const { certificate } = pss.issue(usual);
    // no authority here signs with DSA
    const algorithm = { ...certificate.signatureAlgorithm, oid: oids.dsaWithSha256 };
    const other = Object.create(certificate, { signatureAlgorithm: { value: algorithm } });
    const place = { use: 'sign', direction: 'inbound', issuers: [] } as const;
    assert.deepEqual(missedByCertificate(rules, certificate, place), []);
    assert.deepEqual(
      missedByCertificate(rules, other, place).map(({ found }) => found),
      ['signed with dsa'],
    );
  });

  it('are judged for their use alone', () => {
    const rules = rulesAt(book.get('kim') ?? assert.fail(), new Date('2026-06-30'));
    const { certificate } = ecdsa.issue(usual);
    const found = (use: 'sign' | 'encrypt') =>
      missedByCertificate(rules, certificate, { use, direction: 'outbound', issuers: [] }).map(
        ({ rule }) => rule.id,
      );
    assert.deepEqual([found('sign'), found('encrypt')], [[], ['key-family-before']]);
  });

  it('have a case here for each rule that only they show', () => {
    const only = ownProfiles.flatMap(({ name, rules }) =>
      rules
        .filter(
          (rule) =>
            /^(?:curve|validity|certificate-signature|extended-key-usage)$/.test(rule.about) ||
            ('uses' in rule && rule.issuedFrom !== undefined),
        )
        .map(({ id }) => `${name}/${id}`),
    );
    const there = new Set(cases.map(([profile, rule]) => `${profile}/${rule}`));
    there.add('cabf-smime-br/certificate-signature');
    assert.deepEqual(
      only.filter((each) => !there.has(each)),
      [],
    );
  });
});
