import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { configSchema, type PartnerConfig } from '../../src/config/schema.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { type Judgement, judge } from '../../src/partner/policy.ts';
import { senderOf } from '../../src/partner/sender.ts';
import { weakness, withoutAead } from '../../src/partner/strength.ts';
import { keyTraits } from '../../src/pki/index.ts';
import {
  decodeSync,
  type EncodeOptions,
  encodeSync,
  isSignatureLayer,
  type Protection,
  protectionOf,
} from '../../src/smime/index.ts';
import { authorsOf } from '../partner/support.ts';
import { createTestCa, type Issued, type KeyPair } from '../support/ca.ts';
import { ca, alice as us } from './support.ts';

const at = new Date('2026-01-01T00:00:00Z');
const ec = (namedCurve: string): KeyPair => generateKeyPairSync('ec', { namedCurve });
const rsa = (modulusLength: number): KeyPair => generateKeyPairSync('rsa', { modulusLength });
const signer = (key: KeyPair | 'p256' | 'rsa2048', issuer = ca): Issued =>
  issuer.issue({ commonName: 'partner', email: 'p@p.example', key });

const config = configSchema.parse({
  partners: [{ name: 'p', addresses: ['p@p.example'] }],
});
const [partner] = config.partners;
assert.ok(partner);

interface Sent {
  from?: Issued;
  to?: Issued;
  contentEncryption?: Protection['contentEncryption'];
  digest?: Protection['digest'];
  unsigned?: boolean;
  plain?: boolean;
}

const strongSigner = signer('p256');

/** What is made of a message with a mailbox's `require`, and with a partner's. */
function judged(sent: Sent, require: string, trust = [ca.certificate]): [Judgement, Judgement] {
  const { from = strongSigner, to = us, contentEncryption = 'aes-256-gcm', digest } = sent;
  const protection = protectionOf('default', {
    contentEncryption,
    digest,
    minimumRsaBits: 512,
    sign: sent.unsigned === true ? 'none' : 'opaque',
  });
  const options: EncodeOptions = {
    ...protection,
    identity: sent.unsigned === true ? undefined : from.identity,
    recipients: sent.plain === true ? undefined : [to.certificate],
    allowWeak: true,
    at,
  };
  const mail = encodeSync(
    Buffer.from('From: p@p.example\r\nContent-Type: text/plain\r\n\r\nan order\r\n'),
    options,
  );
  const { verdict } = decodeSync(mail, { identities: [to.identity], trust: { anchors: trust }, at });
  assert.equal(verdict.status, 'ok', JSON.stringify(verdict.error));
  const authors = authorsOf('From: p@p.example');
  const signers = verdict.layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  const judgedBy = (own: PartnerConfig, words: typeof own.require) => {
    const directory = new PartnerDirectory([own]);
    const policy = { require: words, notSmime: 'suspend', strong } as const;
    return judge(verdict, policy, senderOf(directory, authors, signers), directory);
  };
  const { strong } = config;
  const words = require.split(' ').filter((word) => word !== '') as ('aead' | 'strong')[];
  const own = partner as PartnerConfig;
  return [judgedBy(own, words), judgedBy({ ...own, require: words }, [])];
}

function expect(sent: Sent, require: string, code: string, message?: RegExp, trust = [ca.certificate]): void {
  for (const judgement of judged(sent, require, trust)) {
    assert.equal('suspend' in judgement ? judgement.suspend : 'accept', code);
    if (message !== undefined) assert.match('message' in judgement ? judgement.message : '', message);
  }
}

describe('require: [strong]', () => {
  const smallRoot = createTestCa('Small Root', { key: rsa(1024) });
  const sha1Ca = ca.issueCa('SHA-1 below', { key: 'p256' });
  const cases: [why: string, sent: Sent, message: RegExp, trust?: (typeof ca.certificate)[]][] = [
    ['a signature with SHA-1', { digest: 'sha1' }, /signed-data: SHA-1/],
    ['an RSA-1024 signer', { from: signer(rsa(1024)) }, /RSA, DSA or DH key is below 2,048 bits/],
    ['a signer on secp112r1', { from: signer(ec('secp112r1')) }, /curve is below 224 bits/],
    ['a signer on sect113r1', { from: signer(ec('sect113r1')) }, /curve is below 224 bits/],
    ['a signer on sect193r1', { from: signer(ec('sect193r1')) }, /curve is below 224 bits/],
    ['3DES', { contentEncryption: 'des-ede3-cbc' }, /the cipher des-ede3-cbc/],
    ['DES', { contentEncryption: 'des-cbc' }, /DES has keys of 56 bits/],
    ['RC2', { contentEncryption: 'rc2-40-cbc' }, /RC2 is broken/],
    [
      'an own RSA-1024 key',
      { to: ca.issue({ commonName: 'old', key: rsa(1024) }) },
      /encrypted for a key \(rsa\) of 1024 bits; at least 2048/,
    ],
    [
      'an own key on secp112r1',
      { to: ca.issue({ commonName: 'old', key: ec('secp112r1') }) },
      /encrypted for a key \(ec\) of 112 bits; at least 224/,
    ],
    [
      'an issuer with RSA-1024',
      { from: signer('p256', smallRoot) },
      /key is below 2,048 bits/,
      [smallRoot.certificate],
    ],
    [
      'a certificate signed with SHA-1',
      { from: sha1Ca.issue({ commonName: 'partner', email: 'p@p.example', digest: 'sha1' }) },
      /signed with SHA-1/,
    ],
  ];
  for (const [why, sent, message, trust] of cases)
    it(`refuses ${why}, which passes without`, () => {
      expect(sent, '', 'accept', undefined, trust);
      expect(sent, 'strong', 'policy-weak', message, trust);
    });

  for (const [what, sent] of [
    ['AES-GCM and P-256', {}],
    ['AES-CBC and RSA-2048', { contentEncryption: 'aes-128-cbc', from: signer('rsa2048') }],
    ['the least: P-224', { from: signer(ec('secp224r1')) }],
    ['a curve that is in no table, but large', { from: signer(ec('sect283r1')) }],
    ['encryption alone', { unsigned: true }],
    ['a signature alone', { plain: true }],
  ] as [string, Sent][])
    it(`takes ${what}`, () => expect(sent, 'strong', 'accept'));

  it('an untrusted signer with a short key is refused as well', () => {
    const stranger = createTestCa('Nobody').issue({ commonName: 'x', key: ec('secp112r1') });
    expect({ from: stranger }, 'strong', 'policy-weak');
  });
});

describe('require: [aead]', () => {
  for (const contentEncryption of ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305'] as const)
    it(`takes ${contentEncryption}`, () => expect({ contentEncryption }, 'aead strong', 'accept'));

  it('refuses CBC, into which somebody without a key can turn GCM', () => {
    expect({ contentEncryption: 'aes-256-cbc' }, '', 'accept');
    expect({ contentEncryption: 'aes-256-cbc' }, 'aead', 'policy-aead', /enveloped-data with aes-256-cbc/);
  });

  it('refuses what is not encrypted at all', () => {
    expect({ plain: true }, '', 'accept');
    expect({ plain: true }, 'aead', 'policy-aead', /it is not encrypted/);
  });
});

describe('several layers and signers', () => {
  const gcm = { type: 'auth-enveloped-data', contentEncryption: { algorithm: 'aes-256-gcm' } };
  const cbc = { type: 'enveloped-data', contentEncryption: { algorithm: 'aes-256-cbc' } };
  const signed = (...keys: ({ family: string; bits: number | null } | null)[]) => ({
    type: 'signed-data',
    signers: keys.map((key) => ({ valid: true, key })),
  });
  const [strongKey, weakKey] = [256, 192].map((bits) => ({ family: 'ec', bits }));

  it('all of the encryption has to be authenticated', () => {
    assert.equal(withoutAead([gcm, signed(), gcm]), undefined);
    for (const layers of [
      [gcm, cbc],
      [cbc, gcm],
      [gcm, signed(), { ...gcm, type: 'encrypted-data' }],
    ])
      assert.match(withoutAead(layers) ?? '', /^it came as en/);
  });

  it('all signers whose signature is valid have to be strong', () => {
    assert.ok(strongKey && weakKey);
    const { strong } = config;
    assert.equal(weakness([signed(strongKey, strongKey)], strong), undefined);
    assert.match(weakness([signed(strongKey, weakKey)], strong) ?? '', /192 bits/);
    assert.match(weakness([signed(weakKey, strongKey)], strong) ?? '', /192 bits/);
    assert.match(weakness([signed(strongKey), gcm, signed(weakKey)], strong) ?? '', /192 bits/);
    const invalid = { type: 'signed-data', signers: [{ valid: false, key: weakKey }] };
    assert.equal(weakness([invalid], strong), undefined);
  });

  it('the sizes are those of the settings, the limit included', () => {
    const strong = { minimumRsaBits: 3072, minimumCurveBits: 384 };
    for (const [family, bits, taken] of [
      ['rsa', 3072, true],
      ['rsa', 3071, false],
      ['dsa', 2048, false],
      ['dh', 3072, true],
      ['ec', 384, true],
      ['ec', 383, false],
      ['okp', 256, false],
      ['okp', 448, true],
      ['rsa', null, false],
      ['other', null, true],
    ] as const)
      assert.equal(weakness([signed({ family, bits })], strong) === undefined, taken, `${family} ${bits}`);
  });

  it('weak words of any layer count, but for what revocation leaves open', () => {
    const { strong } = config;
    const open = 'it could not be determined whether a certificate was revoked';
    assert.equal(weakness([{ type: 'signed-data', weak: [open] }], strong), undefined);
    assert.match(
      weakness([gcm, { type: 'signed-data', weak: [open, 'MD5 is broken'] }], strong) ?? '',
      /MD5/,
    );
  });
});

describe('the size of a curve', () => {
  for (const [curve, least, most] of [
    ['secp112r1', 105, 112],
    ['secp160r1', 160, 160],
    ['sect113r1', 113, 120],
    ['sect163k1', 163, 168],
    ['secp192k1', 192, 192],
    ['secp224r1', 224, 224],
    ['prime256v1', 256, 256],
    ['sect571r1', 571, 576],
  ] as const)
    it(curve, () => {
      const { certificate } = signer(ec(curve));
      const { family, bits = 0 } = keyTraits(certificate.publicKeyInfo);
      assert.equal(family, 'ec');
      assert.ok(bits >= least && bits <= most, String(bits));
    });
});
