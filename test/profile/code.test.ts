import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { codeOf, readCode } from '../../src/profile/index.ts';
import type { Used } from '../../src/smime/index.ts';

const signature = {
  layer: 'signature' as const,
  form: 'opaque' as const,
  signers: [{ digest: 'sha256', scheme: 'rsa', key: { family: 'rsa', bits: 2048 } }],
};
const encryption = {
  layer: 'encryption' as const,
  type: 'enveloped-data' as const,
  cipher: 'aes-256-cbc',
  keys: [{ management: 'rsa-pkcs1', key: { family: 'rsa', bits: 2048 } }],
};
const usual: Used = { layers: [encryption, signature], headerProtection: false };

describe('the code of what protected a message', () => {
  it('is small, and is what stands in stored records', () => {
    assert.equal(codeOf('inbound', usual), 'iE256c:p1.r2048/O:256_r.r2048');
    assert.equal(codeOf('outbound', { ...usual, headerProtection: true }), 'oE256c:p1.r2048/O:256_r.r2048+h');
    assert.equal(codeOf('inbound', undefined), '');
  });

  const cases: [string, Used][] = [
    ['iE256c:p1.r2048/O:256_r.r2048', usual],
    [
      'oA256g:o256.r4096:e256.e256/D:512_s.r3072+h',
      {
        layers: [
          {
            ...encryption,
            type: 'auth-enveloped-data',
            cipher: 'aes-256-gcm',
            keys: [
              { management: 'rsa-oaep-sha256', key: { family: 'rsa', bits: 4096 } },
              { management: 'ecdh-sha256', key: { family: 'ec', bits: 256 } },
            ],
          },
          {
            ...signature,
            form: 'detached',
            signers: [{ digest: 'sha512', scheme: 'rsa-pss', key: { family: 'rsa', bits: 3072 } }],
          },
        ],
        headerProtection: true,
      },
    ],
    [
      'iN1.2.840.99:password/Z/G/O:1.2.3_1.2.4:sha3-256_e.e:shake256_d.k448',
      {
        layers: [
          {
            ...encryption,
            type: 'encrypted-data',
            cipher: '1.2.840.99',
            keys: [{ management: 'password', key: null }],
          },
          { layer: 'compression' },
          { layer: 'digest' },
          {
            ...signature,
            signers: [
              { digest: '1.2.3', scheme: '1.2.4', key: null },
              { digest: 'sha3-256', scheme: 'ecdsa', key: { family: 'ec', bits: null } },
              { digest: 'shake256', scheme: 'eddsa', key: { family: 'okp', bits: 448 } },
            ],
          },
        ],
        headerProtection: false,
      },
    ],
    [
      'iEml:ml-kem-768.x/O:1_r.r1024',
      {
        layers: [
          {
            ...encryption,
            cipher: 'ml',
            keys: [{ management: 'ml-kem-768', key: { family: 'other', bits: null } }],
          },
          {
            ...signature,
            signers: [{ digest: 'sha1', scheme: 'rsa', key: { family: 'rsa', bits: 1024 } }],
          },
        ],
        headerProtection: false,
      },
    ],
  ];
  for (const [code, used] of cases)
    it(`${code} is written and read`, () => {
      const direction = code.startsWith('i') ? ('inbound' as const) : ('outbound' as const);
      assert.equal(codeOf(direction, used), code);
      assert.deepEqual(readCode(code), { direction, claimed: false, used });
    });

  it('says whether the partner is only claimed', () => {
    const code = codeOf('inbound', usual, true);
    assert.equal(code, 'cE256c:p1.r2048/O:256_r.r2048');
    assert.deepEqual(readCode(code), { direction: 'inbound', claimed: true, used: usual });
    assert.equal(codeOf('outbound', usual, true)[0], 'o');
  });

  it('names each kind of key once, and four at most', () => {
    const same = Array.from({ length: 9 }, () => encryption.keys[0] ?? assert.fail());
    assert.equal(
      codeOf('outbound', { ...usual, layers: [{ ...encryption, keys: same }] }),
      'oE256c:p1.r2048',
    );
    const other = [1, 2, 3, 4, 5].map((bits) => ({ management: 'rsa-pkcs1', key: { family: 'rsa', bits } }));
    assert.equal(
      codeOf('outbound', { ...usual, layers: [{ ...encryption, keys: other }] }),
      'oE256c:p1.r1:p1.r2:p1.r3:p1.r4',
    );
  });

  it('is not kept if a sender makes it longer than 200 characters', () => {
    const layers = (count: number) =>
      Array.from({ length: count }, () => ({ layer: 'compression' as const }));
    assert.equal(codeOf('inbound', { layers: layers(100), headerProtection: false }).length, 200);
    assert.equal(codeOf('inbound', { layers: layers(101), headerProtection: false }), '');
  });

  for (const code of ['', 'x', 'iQ256', 'i', '*', 'iE256c/'])
    it(`${JSON.stringify(code)} says nothing`, () => assert.equal(readCode(code), undefined));
});
