import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { decodeSync, type EncodeOptions, encodeSync, isSignatureLayer } from '../../src/smime/index.ts';
import type { KeyPair } from '../support/ca.ts';
import { alice, ca, file, noOpenssl, openssl, options, party, verify } from './openssl.ts';

const at = new Date('2026-03-04T05:06:07Z');
const entity = Buffer.from('Content-Type: text/plain\r\n\r\nsigned by all kinds of keys\r\n');
const mail = Buffer.concat([Buffer.from('From: a@example.com\r\nSubject: x\r\n'), entity]);
const signing = (more: EncodeOptions): EncodeOptions => ({
  identity: alice.identity,
  sign: 'opaque',
  signatureScheme: 'pkcs1',
  at,
  ...more,
});
const micalgOf = (octets: Buffer) => /micalg=("[^"]*"|[^;]*);/.exec(octets.toString('latin1'))?.[1];

function signersOf(octets: Buffer) {
  const { verdict, content } = decodeSync(octets, options);
  assert.equal(verdict.error, null);
  assert.ok(content?.equals(entity));
  return verdict.layers.filter(isSignatureLayer).flatMap(({ signers }) => signers);
}

const own = (commonName: string, key: KeyPair) =>
  ca.issue({ commonName, email: `${commonName}@example.com`, key, keyUsage: ['digitalSignature'] }).identity;

describe('a key that brings its own digest', () => {
  const kinds: [string, KeyPair, string, string][] = [
    ['ed25519', generateKeyPairSync('ed25519'), 'sha512', 'sha-512'],
    ['ed448', generateKeyPairSync('ed448'), 'shake256', 'shake256'],
    ['ml-dsa-44', generateKeyPairSync('ml-dsa-44'), 'sha512', 'sha-512'],
    ['ml-dsa-65', generateKeyPairSync('ml-dsa-65'), 'sha512', 'sha-512'],
    ['ml-dsa-87', generateKeyPairSync('ml-dsa-87'), 'sha512', 'sha-512'],
  ];
  for (const [name, key, digest, micalg] of kinds) {
    it(`signs with it whatever the settings say: ${name}`, () => {
      const identity = own(name, key);
      for (const form of ['opaque', 'detached'] as const) {
        const octets = encodeSync(mail, {
          ...signing({ identity, sign: form, digest: 'sha256', signatureScheme: 'pss' }),
        });
        const [signer] = signersOf(octets);
        assert.deepEqual(
          [signer?.valid, signer?.signatureAlgorithm, signer?.digestAlgorithm],
          [true, name, digest],
        );
        if (form === 'detached') assert.equal(micalgOf(octets), micalg);
      }
    });
  }
});

describe('RSA keys', { skip: noOpenssl }, () => {
  const algorithms = (octets: Buffer) =>
    openssl(['cms', '-cmsout', '-print', '-noout'], octets)
      .toString()
      .match(/rsassaPss|rsaEncryption/g);

  it('that are for PSS alone sign with it', () => {
    const identity = own('pss', generateKeyPairSync('rsa-pss', { modulusLength: 2048 }));
    const octets = encodeSync(mail, signing({ identity }));
    assert.ok(verify(octets).equals(entity));
    assert.match(JSON.stringify(algorithms(octets)), /rsassaPss/);
  });

  it('sign with PSS where the certificate is signed with PSS, when told so', () => {
    const pssCa = ca.issueCa('PSS CA', { key: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }) });
    const byPss = pssCa.issue({ commonName: 'by-pss', email: 'by-pss@example.com', key: 'rsa2048' }).identity;
    for (const [identity, expected] of [
      [byPss, 'rsassaPss'],
      [alice.identity, 'rsaEncryption'],
    ] as const) {
      const octets = encodeSync(mail, signing({ identity, signatureScheme: 'as-certificate' }));
      assert.ok(verify(octets).equals(entity));
      const signer = signersOf(octets)[0];
      assert.equal(signer?.signatureAlgorithm, expected, identity.name);
    }
  });
});

describe('a signature', { skip: noOpenssl }, () => {
  const ec = party('ec@example.com', { key: 'p384' });

  it('of several signers is verified by openssl and here, the micalg lists each digest once', () => {
    const ed = own('ed-co-signer', generateKeyPairSync('ed25519'));
    for (const form of ['opaque', 'detached'] as const) {
      const both = encodeSync(mail, signing({ sign: form, coSigners: [ec.identity] }));
      assert.ok(verify(both).equals(entity), form);
      const three = encodeSync(mail, signing({ sign: form, coSigners: [ec.identity, ed] }));
      assert.deepEqual(
        signersOf(three).map(({ valid, trusted }) => valid && trusted),
        [true, true, true],
      );
      if (form === 'detached') {
        assert.equal(micalgOf(both), 'sha-256');
        assert.equal(micalgOf(three), '"sha-256,sha-512"');
      }
    }
  });

  it('says what its signer reads and which key answers are for', () => {
    const printed = (sign: EncodeOptions) =>
      openssl(['cms', '-cmsout', '-print', '-noout'], encodeSync(mail, sign)).toString();
    const text = printed(signing({}));
    for (const oid of ['S/MIME Capabilities', 'id-smime-aa-encrypKeyPref'])
      assert.ok(text.includes(oid), oid);
    assert.match(text, /aes-256-gcm[\s\S]*aes-256-cbc/);
    const onlySigns = party('only-signs@example.com', { keyUsage: ['digitalSignature'] });
    assert.doesNotMatch(printed(signing({ identity: onlySigns.identity })), /encrypKeyPref/);
    const other = party('answers@example.com');
    const named = printed(
      signing({ identity: onlySigns.identity, encryptionCertificate: other.certificate }),
    );
    const preference = named.slice(named.indexOf('encrypKeyPref'));
    const serial = other.certificate.serialHex.toUpperCase();
    assert.match(preference, new RegExp(`INTEGER +:${serial}\n`));
    assert.ok(named.includes('CN = answers@example.com') || named.includes('CN=answers@example.com'));
  });

  it('without certificates is verified only by who has them', () => {
    for (const form of ['opaque', 'detached'] as const) {
      const octets = encodeSync(mail, signing({ sign: form, addSigningCertificate: false }));
      assert.throws(() => verify(octets), /signer certificate not found/);
      assert.ok(verify(octets, ['-certfile', file(alice.certPem)]).equals(entity));
    }
  });

  it('with SHA-1 needs the word', () => {
    assert.throws(() => encodeSync(mail, signing({ digest: 'sha1' })), { code: 'encode-policy' });
    const octets = encodeSync(mail, signing({ digest: 'sha1', allowWeak: true, sign: 'detached' }));
    assert.equal(micalgOf(octets), 'sha-1');
    assert.ok(verify(octets).equals(entity));
  });
});
