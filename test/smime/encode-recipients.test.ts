import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  decodeSync,
  type EncodeOptions,
  encodeSync,
  isEncryptionLayer,
  type Recipient,
} from '../../src/smime/index.ts';
import { content, mail, Setting } from '../interop/setting.ts';
import { missingOpenssl } from '../support/peers/identities.ts';
import type { EncryptionCase } from '../support/peers/types.ts';
import { ca, party } from './openssl.ts';

function recipientsOf(octets: Buffer): Recipient[] {
  const { verdict } = decodeSync(octets, { identities: [], trust: { anchors: [] }, at: new Date() });
  return verdict.layers.filter(isEncryptionLayer).flatMap(({ recipients }) => recipients);
}

describe('recipients of every kind in one message', { skip: missingOpenssl() }, () => {
  let setting: Setting;
  before(async () => {
    setting = await Setting.start();
  });
  after(() => setting.close());

  const kem = () =>
    ca.issue({
      commonName: 'kem',
      key: generateKeyPairSync('ml-kem-768'),
      keyUsage: ['keyEncipherment'],
    });

  it('have the key management of their key, and each opens it', () => {
    const names = [
      'rsa-2048',
      'rsa-4096',
      'dh-x942',
      'dh-pkcs3',
      'ec-p256',
      'ec-brainpool256',
      'x25519',
      'x448',
    ];
    const postQuantum = kem();
    for (const contentEncryption of ['aes-256-cbc', 'aes-256-gcm', 'des-ede3-cbc', 'chacha20-poly1305']) {
      const recipients = [...names.map((name) => setting.own(name).certificate), postQuantum.certificate];
      const encrypt: EncodeOptions = {
        recipients: [...recipients, ...recipients],
        contentEncryption,
        keyTransport: 'by-key-size',
      };
      const octets = encodeSync(mail, encrypt);
      assert.deepEqual(
        recipientsOf(octets)
          .map(({ keyEncryption }) => keyEncryption?.algorithm)
          .sort(),
        [
          'dhSinglePass-stdDH-hkdf-sha256',
          'dhSinglePass-stdDH-hkdf-sha512',
          'dhSinglePass-stdDH-sha256kdf',
          'dhSinglePass-stdDH-sha256kdf',
          'esdh',
          'esdh',
          'ml-kem-768',
          'rsa-oaep',
          'rsa-pkcs1',
        ],
        contentEncryption,
      );
      for (const identity of [...names.map((name) => setting.own(name)), postQuantum.identity]) {
        const found = decodeSync(octets, {
          identities: [identity],
          trust: { anchors: [] },
          at: new Date(),
        });
        assert.ok(found.content?.equals(content), `${identity.name}, ${contentEncryption}`);
      }
    }
  });

  it('are read by the peers, whatever the digests, with ML-KEM beside them', async (t) => {
    const ways: [EncodeOptions['keyTransport'], EncodeOptions['keyAgreementDigest']][] = [
      ['oaep-sha256', 'sha384'],
      ['oaep-sha512', 'sha512'],
      ['oaep-sha384', 'sha1'],
    ];
    for (const [keyTransport, keyAgreementDigest] of ways) {
      const recipients = ['rsa-2048', 'ec-p256', 'ec-p521', 'dh-x942'].map(
        (name) => setting.own(name).certificate,
      );
      const octets = encodeSync(mail, {
        recipients: [...recipients, kem().certificate],
        contentEncryption: 'aes-128-gcm',
        keyTransport,
        ...(keyAgreementDigest && { keyAgreementDigest }),
      });
      const openers = setting.installed(t).filter(({ name }) => ['OpenSSL', 'Bouncy Castle'].includes(name));
      assert.ok(openers.length > 0);
      for (const peer of openers) {
        const base = { type: 'encryption', id: '', stage: 'issue3', cipher: 'AES-128-GCM' } as const;
        const cases: EncryptionCase[] = [
          { ...base, recipient: 'rsa-2048', keyManagement: { kind: 'rsa-pkcs1' } },
          {
            ...base,
            recipient: 'ec-p521',
            keyManagement: { kind: 'ecdh', kdf: 'SHA-256', cofactor: false, wrap: 'AES-128' },
          },
          { ...base, recipient: 'dh-x942', keyManagement: { kind: 'dh', wrap: 'AES-128' } },
        ];
        for (const each of cases)
          assert.deepEqual(
            await peer.read(each, { form: 'mail', octets }),
            content,
            `${peer.name}: ${each.recipient}, ${keyTransport}`,
          );
      }
    }
  });
});

describe('a certificate that cannot be encrypted for', () => {
  const refusal = (recipients: EncodeOptions['recipients'], settings: EncodeOptions = {}) => {
    let caught: unknown;
    try {
      encodeSync(mail, {
        recipients,
        contentEncryption: 'aes-256-cbc',
        keyTransport: 'pkcs1',
        ...settings,
      });
    } catch (error) {
      caught = error;
    }
    assert.ok(caught instanceof Error && 'code' in caught);
    assert.equal(caught.code, 'encode-recipient');
    return caught.message;
  };

  it('is named, with what it lacks', () => {
    const signer = (key: 'rsa2048' | 'p256') =>
      party('signer@example.com', { key, keyUsage: ['digitalSignature', 'nonRepudiation'] }).certificate;
    assert.match(
      refusal([signer('rsa2048')]),
      /^CN=signer@example\.com, serial [0-9a-f]+ may not be encrypted for \(keyUsage is digitalSignature, nonRepudiation, without keyEncipherment\)/,
    );
    assert.match(refusal([signer('p256')]), /without keyAgreement/);
    assert.match(
      refusal([party('ed@example.com', { key: 'ed25519' }).certificate]),
      /a key of type ed25519, which cannot encrypt/,
    );
    const pss = ca.issue({
      commonName: 'pss',
      key: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
    });
    assert.match(refusal([pss.certificate]), /a key of type rsa-pss, which cannot encrypt/);
  });

  it('is named where its key is weaker than is asked for, signers alike', () => {
    const rsa = party('short@example.com');
    assert.match(refusal([rsa.certificate], { minimumRsaBits: 3072 }), /has 2048 bits; at least 3072/);
    const curve = party('curve@example.com', { key: 'p256' });
    assert.match(
      refusal([curve.certificate], { curves: ['secp384r1'] }),
      /is on prime256v1; allowed are secp384r1/,
    );
    assert.throws(
      () =>
        encodeSync(mail, {
          identity: rsa.identity,
          sign: 'opaque',
          signatureScheme: 'pkcs1',
          at: new Date(),
          minimumRsaBits: 3072,
        }),
      { code: 'encode-signer' },
    );
  });

  it('may be one without keyUsage', () => {
    const { certificate, identity } = party('any@example.com', { keyUsage: null });
    const encrypt = {
      recipients: [certificate],
      contentEncryption: 'aes-256-cbc',
      keyTransport: 'pkcs1',
    } as const;
    const found = decodeSync(encodeSync(mail, encrypt), {
      identities: [identity],
      trust: { anchors: [] },
      at: new Date(),
    });
    assert.ok(found.content?.equals(content));
  });
});
