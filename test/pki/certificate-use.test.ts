/** What a certificate may be used for, by one table: path validation, encoder and partner rules must agree on it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { encryptionCertificates, ownIdentity } from '../../src/partner/certificates.ts';
import { isForMail, useFault } from '../../src/pki/certificate-use.ts';
import { type Certificate, validatePath } from '../../src/pki/index.ts';
import { decodeSync, encodeSync, isSignatureLayer } from '../../src/smime/index.ts';
import { entryOf, ownOf } from '../partner/support.ts';
import { createTestCa, type KeyPair } from '../support/ca.ts';

const ca = createTestCa('Uses');
const at = new Date('2026-06-01T00:00:00Z');
const mail = Buffer.from('Content-Type: text/plain\r\n\r\nx\r\n');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

const keys: Record<string, KeyPair> = {
  rsa,
  'rsa-pss': generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
  ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ed25519: generateKeyPairSync('ed25519'),
  ed448: generateKeyPairSync('ed448'),
  x25519: generateKeyPairSync('x25519'),
  x448: generateKeyPairSync('x448'),
  'ml-dsa-65': generateKeyPairSync('ml-dsa-65'),
  'ml-kem-768': generateKeyPairSync('ml-kem-768'),
};

const usages = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
];

/** By kind of key: the usages that allow encrypting, and those that allow signing. None at all where `[]`. */
const expected: Record<string, { encrypt: string[]; sign: string[] }> = {
  rsa: { encrypt: ['keyEncipherment'], sign: ['digitalSignature', 'nonRepudiation'] },
  'rsa-pss': { encrypt: [], sign: ['digitalSignature', 'nonRepudiation'] },
  ec: { encrypt: ['keyAgreement'], sign: ['digitalSignature', 'nonRepudiation'] },
  ed25519: { encrypt: [], sign: ['digitalSignature', 'nonRepudiation'] },
  ed448: { encrypt: [], sign: ['digitalSignature', 'nonRepudiation'] },
  x25519: { encrypt: ['keyAgreement'], sign: [] },
  x448: { encrypt: ['keyAgreement'], sign: [] },
  'ml-dsa-65': { encrypt: [], sign: ['digitalSignature', 'nonRepudiation'] },
  'ml-kem-768': { encrypt: ['keyEncipherment'], sign: [] },
};

const passes = (run: () => unknown): boolean => {
  try {
    run();
    return true;
  } catch {
    return false;
  }
};

/** What each reader of the table says of a use. */
function encrypts(certificate: Certificate): boolean[] {
  return [
    useFault(certificate, 'encrypt') === undefined,
    validatePath(certificate, { anchors: [ca.certificate], at, purpose: 'encrypt' }).trusted,
    passes(() => encryptionCertificates('acme', [entryOf(certificate)], at)),
    passes(() => encodeSync(mail, { recipients: [certificate] })),
  ];
}

function signs(certificate: Certificate, key: KeyPair): boolean[] {
  const identity = { certificate, privateKey: key.privateKey, chain: [], name: 'own' };
  return [
    useFault(certificate, 'sign') === undefined,
    validatePath(certificate, { anchors: [ca.certificate], at, purpose: 'sign' }).trusted,
    passes(() => ownIdentity('acme', 'own', [ownOf(identity)], 'sign', at)),
  ];
}

describe('what a certificate may be used for', () => {
  for (const [kind, key] of Object.entries(keys)) {
    it(`is the same for all who ask: ${kind}`, () => {
      const { encrypt, sign } = expected[kind] ?? { encrypt: [], sign: [] };
      const cases: [string[] | null, boolean, boolean][] = [
        // without keyUsage it may do what its key can
        [null, encrypt.length > 0, sign.length > 0],
        ...usages.map((each): [string[], boolean, boolean] => [
          [each],
          encrypt.includes(each),
          sign.includes(each),
        ]),
      ];
      for (const [keyUsage, canEncrypt, canSign] of cases) {
        const { certificate } = ca.issue({ commonName: `${kind} ${keyUsage}`, key, keyUsage });
        const about = `${kind} with ${keyUsage}`;
        assert.deepEqual(encrypts(certificate), Array(4).fill(canEncrypt), `encrypting for ${about}`);
        assert.deepEqual(signs(certificate, key), Array(3).fill(canSign), `signing with ${about}`);
      }
    });
  }

  it('is announced for answers only where keyUsage says so', () => {
    const announced = (key: KeyPair, keyUsage: string[] | null) => {
      const { identity } = ca.issue({ commonName: 'own', key, keyUsage });
      const { verdict } = decodeSync(encodeSync(mail, { identity, at }), {
        identities: [],
        trust: { anchors: [] },
        at,
      });
      const [layer] = verdict.layers.filter(isSignatureLayer);
      assert.equal(layer?.signers[0]?.valid, true);
      return layer.signers[0].encryptionKeyPreference !== null;
    };
    assert.equal(announced(rsa, ['digitalSignature', 'keyEncipherment']), true);
    assert.equal(announced(rsa, ['digitalSignature', 'keyAgreement']), false);
    assert.equal(announced(rsa, null), false);
  });

  it('has a usage of its own for certificates, lists and OCSP answers', () => {
    const uses = [
      ['issue', 'keyCertSign'],
      ['sign-lists', 'cRLSign'],
      ['sign-status', 'digitalSignature'],
    ] as const;
    for (const [use, needed] of uses)
      for (const usage of usages) {
        const { certificate } = ca.issue({ commonName: usage, keyUsage: [usage] });
        const fault = useFault(certificate, use);
        assert.equal(fault === undefined, usage === needed, `${use} with ${usage}`);
        if (fault !== undefined) assert.match(fault.message, new RegExp(`^may not .*without ${needed}`));
      }
  });

  it('is mail, by extKeyUsage, only where that is absent or names it', () => {
    const eku = (list: string[] | null) => isForMail(ca.issue({ commonName: 'eku', eku: list }).certificate);
    assert.deepEqual(
      [eku(null), eku(['1.3.6.1.5.5.7.3.4']), eku(['2.5.29.37.0']), eku(['1.3.6.1.5.5.7.3.1'])],
      [true, true, true, false],
    );
  });
});
