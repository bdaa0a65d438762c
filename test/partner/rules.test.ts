/** Each rule of a policy: what meets it, and what falls just short of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Evidence, matchesPattern, shortfallsOf } from '../../src/partner/rules.ts';
import type { Layer, Verdict } from '../../src/smime/index.ts';
import { configOf } from '../pipeline/support.ts';

const strong = { minimumRsaBits: 2048, minimumCurveBits: 224 };
const at = Date.parse('2026-06-01T12:00:00Z');

/** A policy as a person writes it. */
function policyOf(yaml: string) {
  const { mailboxes } = configOf(
    `mailboxes:\n  - { name: a, addresses: [a@own.example], destinations: [{ type: directory, path: /a }], policy: ${yaml} }`,
  );
  const policy = mailboxes[0]?.policy;
  assert.ok(policy);
  return policy;
}

type Signer = Extract<Layer, { signers: unknown }>['signers'][number];
const signer = (changes: Partial<Signer> = {}): Signer => ({
  identifier: { keyIdentifier: '' },
  key: { family: 'rsa', bits: 3072 },
  ...{ subject: null, issuer: null, serialNumber: null, thumbprint: 'aa', emails: [] },
  ...{ notBefore: null, notAfter: null, digestAlgorithm: 'sha256', signatureAlgorithm: 'rsassaPss' },
  signingTime: '2026-06-01T11:00:00.000Z',
  ...{ valid: true, trusted: true, chain: [], reason: null, message: null },
  revocation: { status: 'not-checked', source: null, thisUpdate: null, ageSeconds: null, message: null },
  ...{ signingCertificates: [], smimeCapabilities: [], encryptionKeyPreference: null },
  ...{ receiptRequest: null, countersignatures: [] },
  ...changes,
});
const signed = (...signers: Signer[]): Layer => ({
  ...{
    type: 'signed-data',
    digestAlgorithms: ['sha256'],
    signers,
    certificates: 1,
    lineEnds: null,
    weak: [],
  },
});
const encrypted = (
  algorithm = 'aes-256-gcm',
  type: 'auth-enveloped-data' | 'enveloped-data' = 'auth-enveloped-data',
  by: { way?: string; bits?: number; family?: 'rsa' | 'ec' } = {},
): Layer => ({
  type,
  contentEncryption: { algorithm, oid: '1.2', keyBits: 256, keyDerived: false },
  recipients: [
    {
      kind: by.family === 'ec' ? 'key-agreement' : 'key-transport',
      identifier: null,
      keyEncryption: { algorithm: by.way ?? 'rsa-oaep', oid: '1.2', parameters: {} },
      matched: {
        ...{ identity: 'own', thumbprint: 'cc' },
        key: { family: by.family ?? 'rsa', bits: by.bits ?? 3072 },
      },
    },
  ],
  ...{ originatorCertificates: [], weak: [] },
});

const noHeaders: Verdict['headers'] = {
  ...{ protection: 'none', signed: false, encrypted: false, fields: [], differences: [], legacyDisplay: [] },
};

type Given = Partial<Omit<Evidence, 'verdict'>> & Partial<Evidence['verdict']>;

function evidenceOf({ layers = [], ...given }: Given): Evidence {
  const isEncrypted = layers.some((layer) => 'recipients' in layer);
  const signers = layers.flatMap((layer) => ('signers' in layer ? layer.signers : []));
  const signature =
    signers.length === 0
      ? 'none'
      : signers.some(({ valid }) => !valid)
        ? 'invalid'
        : signers.every(({ trusted }) => trusted)
          ? 'valid'
          : 'untrusted';
  const { headers = noHeaders, encrypted = isEncrypted, ...rest } = given;
  return {
    verdict: { encrypted, signature: given.signature ?? signature, headers, layers },
    ...{ sender: { by: 'signature' }, subject: null, attachments: [], receivedAt: at, strong },
    ...rest,
  };
}

const codes = (yaml: string, given: Given) =>
  shortfallsOf([policyOf(yaml)], evidenceOf(given)).map(({ code }) => code);

const good = { layers: [encrypted(), signed(signer())] };

const cases: [why: string, policy: string, given: Given, expected: string[]][] = [
  ['nothing is asked for', '{}', {}, []],
  ['encrypted', '{ require: [encrypted] }', good, []],
  ['not encrypted', '{ require: [encrypted] }', {}, ['policy-encrypted']],
  ['signed', '{ require: [signed] }', good, []],
  [
    'signed by somebody who is not trusted',
    '{ require: [signed] }',
    { layers: [signed(signer({ trusted: false }))] },
    [],
  ],
  ['not signed', '{ require: [signed] }', {}, ['policy-signed']],
  ['not signed', '{ require: [signed] }', { layers: [encrypted()] }, ['policy-signed']],
  [
    'signed wrongly',
    '{ require: [signed] }',
    { layers: [signed(signer({ valid: false }))] },
    ['policy-signed'],
  ],
  ['trusted', '{ require: [trusted] }', good, []],
  [
    'not trusted',
    '{ require: [trusted] }',
    { layers: [signed(signer({ trusted: false }))] },
    ['policy-trusted'],
  ],
  ['trusted is required, and nobody signed', '{ require: [trusted] }', {}, ['policy-trusted']],
  ['bound', '{ require: [bound] }', good, []],
  ['by its address alone', '{ require: [bound] }', { ...good, sender: { by: 'address' } }, ['policy-bound']],
  ['in conflict', '{ require: [bound] }', { ...good, sender: { by: 'conflict' } }, ['policy-bound']],
  ['aead', '{ require: [aead] }', good, []],
  ['CBC', '{ require: [aead] }', { layers: [encrypted('aes-256-cbc', 'enveloped-data')] }, ['policy-aead']],
  [
    'CBC within GCM',
    '{ require: [aead] }',
    { layers: [encrypted(), encrypted('aes-256-cbc', 'enveloped-data')] },
    ['policy-aead'],
  ],
  ['aead is required, and it is not encrypted', '{ require: [aead] }', {}, ['policy-aead']],
  ['strong', '{ require: [strong] }', good, []],
  [
    'a weak key',
    '{ require: [strong] }',
    { layers: [encrypted(), signed(signer({ key: { family: 'rsa', bits: 1024 } }))] },
    ['policy-weak'],
  ],
  [
    'a protected header',
    '{ require: [header-protection] }',
    { ...good, headers: { ...noHeaders, protection: 'rfc9788-cipher', encrypted: true } },
    [],
  ],
  [
    'a header that stands inside without a mark',
    '{ require: [header-protection] }',
    { ...good, headers: { ...noHeaders, protection: 'unmarked', encrypted: true } },
    ['policy-header-protection'],
  ],
  [
    'a protected header under a wrong signature',
    '{ require: [header-protection] }',
    { layers: [signed(signer({ valid: false }))], headers: { ...noHeaders, protection: 'rfc9788-clear' } },
    ['policy-header-protection'],
  ],
  ['an RSA signer of the minimum', '{ signing: { minimumRsaBits: 3072 } }', good, []],
  ['an RSA signer below', '{ signing: { minimumRsaBits: 3073 } }', good, ['policy-key-size']],
  ['no minimum for this family', '{ signing: { minimumCurveBits: 384 } }', good, []],
  [
    'a curve below',
    '{ signing: { minimumCurveBits: 384 } }',
    { layers: [signed(signer({ key: { family: 'ec', bits: 256 } }))] },
    ['policy-key-size'],
  ],
  ['a digest of the list', '{ signing: { digests: [sha256, sha512] } }', good, []],
  ['another digest', '{ signing: { digests: [sha512] } }', good, ['policy-algorithm']],
  ['PSS', '{ signing: { schemes: [rsa-pss] } }', good, []],
  [
    'PKCS#1 v1.5',
    '{ signing: { schemes: [rsa-pss] } }',
    { layers: [signed(signer({ signatureAlgorithm: 'sha256WithRSAEncryption' }))] },
    ['policy-algorithm'],
  ],
  [
    'the size of the signer says nothing of the recipient',
    '{ encryption: { minimumRsaBits: 3072 } }',
    { layers: [encrypted(), signed(signer({ key: { family: 'rsa', bits: 1024 } }))] },
    [],
  ],
  [
    'encrypted for a small key',
    '{ encryption: { minimumRsaBits: 3072 } }',
    { layers: [encrypted('aes-256-gcm', 'auth-enveloped-data', { bits: 2048 })] },
    ['policy-key-size'],
  ],
  ['a cipher of the list', '{ encryption: { ciphers: [aes-256-gcm] } }', { layers: [encrypted()] }, []],
  [
    'another cipher,',
    '{ encryption: { ciphers: [aes-256-gcm] } }',
    { layers: [encrypted(), encrypted('aes-128-gcm')] },
    ['policy-algorithm'],
  ],
  [
    'RSA with PKCS#1 v1.5',
    '{ encryption: { keyEncryption: [rsa-oaep, key-agreement] } }',
    { layers: [encrypted('aes-256-gcm', 'auth-enveloped-data', { way: 'rsa-pkcs1' })] },
    ['policy-algorithm'],
  ],
  [
    'ECDH',
    '{ encryption: { keyEncryption: [rsa-oaep, key-agreement] } }',
    { layers: [encrypted('aes-256-gcm', 'auth-enveloped-data', { family: 'ec', bits: 256 })] },
    [],
  ],
  ['signed just in time', '{ signingTime: { maxAge: 1h } }', good, []],
  [
    'signed a second too long ago',
    '{ signingTime: { maxAge: 1h } }',
    { ...good, receivedAt: at + 1000 },
    ['policy-signing-time'],
  ],
  [
    'signed ten minutes ahead',
    '{ signingTime: { maxAge: 1h } }',
    { layers: [signed(signer({ signingTime: '2026-06-01T12:10:00.000Z' }))] },
    [],
  ],
  [
    'signed ten minutes and a second ahead',
    '{ signingTime: { maxAge: 1h } }',
    { layers: [signed(signer({ signingTime: '2026-06-01T12:10:01.000Z' }))] },
    ['policy-signing-time'],
  ],
  [
    'signed without a time',
    '{ signingTime: { maxAge: 1h } }',
    { layers: [signed(signer({ signingTime: null }))] },
    ['policy-signing-time'],
  ],
  ['no signature, and so no time', '{ signingTime: { maxAge: 1h } }', {}, ['policy-signing-time']],
  [
    'of two signers one is too late',
    '{ signingTime: { maxAge: 1h } }',
    { layers: [signed(signer(), signer({ signingTime: '2026-05-01T12:00:00.000Z' }))] },
    ['policy-signing-time'],
  ],
];

const file = (name: string, contentType = 'application/octet-stream') => ({ name, contentType });
const attachmentCases: [why: string, rules: string, Given, number][] = [
  ['as many as asked for', '{ minimum: 1, maximum: 1 }', { attachments: [file('a')] }, 0],
  ['one too many', '{ minimum: 1, maximum: 1 }', { attachments: [file('a'), file('b')] }, 1],
  ['one too few', '{ minimum: 1 }', { attachments: [] }, 1],
  ['a type of the list', '{ types: [Application/Octet-Stream] }', { attachments: [file('a')] }, 0],
  ['a type of a group', '{ types: [text/*] }', { attachments: [file('a', 'text/xml')] }, 0],
  ['a type that begins alike', '{ types: [text/*] }', { attachments: [file('a', 'textual/xml')] }, 1],
  [
    'a name of a pattern',
    '{ names: ["UTILMD_*_########_*.txt"] }',
    { attachments: [file('UTILMD_A_20260601_1.txt')] },
    0,
  ],
  [
    'a letter for a digit',
    '{ names: ["UTILMD_*_########_*.txt"] }',
    { attachments: [file('UTILMD_A_2026060x_1.txt')] },
    1,
  ],
  ['one of two names is wrong', '{ names: ["*.txt"] }', { attachments: [file('a.txt'), file('b.TXT')] }, 1],
  [
    'the subject is the name',
    '{ subjectIsName: true }',
    { attachments: [file('a.txt')], subject: 'a.txt' },
    0,
  ],
  ['the subject is another', '{ subjectIsName: true }', { attachments: [file('a.txt')], subject: 'a' }, 1],
  ['neither subject nor name', '{ subjectIsName: true }', { attachments: [file('')], subject: '' }, 1],
  ['parts that cannot be read', '{ maximum: 1 }', { attachments: undefined }, 1],
];

describe('rules of a policy', () => {
  for (const [why, policy, given, expected] of cases)
    it(`${why}: ${expected.join(', ') || 'nothing'}`, () => assert.deepEqual(codes(policy, given), expected));

  for (const [why, rules, given, count] of attachmentCases)
    it(`attachments: ${why}`, () =>
      assert.deepEqual(
        codes(`{ attachments: ${rules} }`, given),
        Array.from({ length: count }, () => 'policy-attachments'),
      ));

  it('say nothing that can be read in the message', () => {
    const policy = policyOf(
      '{ attachments: { maximum: 1, types: [text/x], names: ["b"], subjectIsName: true } }',
    );
    const secret = 'Kündigung.pdf';
    const found = shortfallsOf(
      [policy],
      evidenceOf({ attachments: [file(secret, 'x/secret'), file(secret)], subject: secret }),
    );
    assert.equal(found.length, 4);
    assert.doesNotMatch(JSON.stringify(found), /ndigung|secret/);
  });

  it('count from each policy, with what becomes of it there', () => {
    const policies = [
      policyOf('{ require: [encrypted], shortfall: pass }'),
      policyOf('{ require: [signed], shortfall: refuse }'),
    ];
    const found = shortfallsOf(policies, evidenceOf({})).map(({ code, fate }) => [code, fate]);
    assert.deepEqual(found, [
      ['policy-encrypted', 'pass'],
      ['policy-signed', 'refuse'],
    ]);
  });
});

describe('patterns of names', () => {
  for (const [pattern, name, expected] of [
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a*b*c', 'aXbXbXc', true],
    ['a*b*c', 'aXbXbX', false],
    ['*.txt', '.txt', true],
    ['?', 'ä', true],
    ['?', '😀', true],
    ['#', '٣', false],
    ['a.c', 'abc', false],
    ['**a', 'bca', true],
  ] as const)
    it(`${JSON.stringify(pattern)} ${expected ? 'matches' : 'does not match'} ${JSON.stringify(name)}`, () =>
      assert.equal(matchesPattern(name, pattern), expected));
});
