import assert from 'node:assert/strict';
import { createCipheriv, createHmac, hkdfSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { oids, parse, readAlgorithm } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { cipherKey, freshEncryption, readContentEncryption } from '../../src/cms/ciphers.ts';
import { encodeEnvelopedData } from '../../src/cms/index.ts';
import { agreementByName, deriveKek } from '../../src/cms/key-derivation.ts';
import { keyWrapByName } from '../../src/cms/key-wrap.ts';
import { decodeSync, encodeSync, isEncryptionLayer, protectionOf } from '../../src/smime/index.ts';
import { enveloped } from '../attacks/support.ts';
import { createTestCa } from '../support/ca.ts';
import { envelopedHead, readCms } from './support.ts';

const hex = (text: string) => Buffer.from(text, 'hex');

/** HKDF by hand (RFC 5869) with HMAC alone. */
function hkdf(digest: string, salt: Buffer, ikm: Buffer, info: Buffer, octets: number): Buffer {
  const prk = createHmac(digest, salt).update(ikm).digest();
  let block: Buffer = Buffer.alloc(0);
  const blocks: Buffer[] = [];
  for (let count = 1; blocks.length * prk.length < octets; count++) {
    block = createHmac(digest, prk)
      .update(block)
      .update(info)
      .update(Buffer.from([count]))
      .digest();
    blocks.push(block);
  }
  return Buffer.concat(blocks).subarray(0, octets);
}

describe('HKDF for X25519 and X448 (RFC 8418 section 2.2)', () => {
  const secret = hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
  const ukm = hex('0102030405060708090a0b0c0d0e0f10');
  const wrap = keyWrapByName('aes-256-wrap');
  // ECC-CMS-SharedInfo, octet by octet: AES-256 wrap, the ukm or nothing, 256 bits
  const wrapInfo = '300b060960864801650304012d';
  const withUkm = hex(`3029${wrapInfo}a0120410${ukm.toString('hex')}a206040400000100`);
  const withoutUkm = hex(`3015${wrapInfo}a206040400000100`);

  for (const [name, digest, octets] of [
    ['dhSinglePass-stdDH-hkdf-sha256', 'sha256', 32],
    ['dhSinglePass-stdDH-hkdf-sha384', 'sha384', 48],
    ['dhSinglePass-stdDH-hkdf-sha512', 'sha512', 64],
  ] as const)
    it(`${digest}: the ukm is the salt, and without one the salt is zeros`, () => {
      const info = agreementByName.get(name);
      assert.ok(info);
      const inputs = { secret, wrap, wrapEncoded: wrap.encoded };
      assert.deepEqual(deriveKek(info, { ...inputs, ukm }), hkdf(digest, ukm, secret, withUkm, 32));
      assert.deepEqual(
        deriveKek(info, { ...inputs, ukm: undefined }),
        hkdf(digest, Buffer.alloc(octets), secret, withoutUkm, 32),
      );
    });

  it('the same by a calculation of python', () => {
    const info = agreementByName.get('dhSinglePass-stdDH-hkdf-sha256');
    assert.ok(info);
    const kek = deriveKek(info, { secret, wrap, wrapEncoded: wrap.encoded, ukm });
    assert.equal(kek.toString('hex'), 'a4bf1990f97fcb448a905f620211975665fb9e74d3bc36081fa500604c1bb449');
  });
});

describe('X9.63 with a ukm (RFC 5753 section 7.2)', () => {
  it('by a calculation of python', () => {
    const info = agreementByName.get('dhSinglePass-stdDH-sha256kdf');
    const wrap = keyWrapByName('aes-256-wrap');
    assert.ok(info);
    const kek = deriveKek(info, {
      secret: hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'),
      wrap,
      wrapEncoded: wrap.encoded,
      ukm: hex('0102030405060708090a0b0c0d0e0f10'),
    });
    assert.equal(kek.toString('hex'), 'e7c799e783aed1b278ce0bf8703228cd2ee95a81c7adfb1e548e54f6dad95bf9');
  });
});

describe('content keys derived from the algorithm (RFC 9709)', () => {
  const ca = createTestCa('Derivation Root');
  const bob = ca.issue({ commonName: 'bob', key: 'rsa2048' });
  const content = Buffer.from('an order');
  const read = (octets: Buffer) => readCms([octets], { identities: [bob.identity] });

  it('gives what appendix A of the RFC has', () => {
    const inner = '301d06096086480165030401020410651f722ffd512c52fe072e507d72b377';
    const outer = hex(`302c060b2a864886f70d010910031f${inner}`);
    const encryption = readContentEncryption(readAlgorithm(parse(outer)));
    assert.equal(encryption.name, 'aes-128-cbc');
    assert.equal(
      cipherKey(encryption, hex('c702e7d0a9e064b09ba55245fb733cf3')).toString('hex'),
      '9cd102c52f1e19ece8729b35bfeceb50',
    );
  });

  for (const name of ['aes-256-cbc', 'aes-128-gcm', 'chacha20-poly1305', 'des-ede3-cbc', 'rc2-40-cbc'])
    it(`round trip with ${name}: the facts are those of the inner algorithm`, () => {
      const options = { contentEncryption: name, allowWeak: true };
      const recipients = [{ certificate: bob.certificate }];
      const plain = read(encodeEnvelopedData(content, { ...options, recipients }));
      const derived = read(encodeEnvelopedData(content, { ...options, recipients, deriveKey: true }));
      assert.deepEqual(derived.content, content);
      const heads = [derived, plain].map(({ head }) => envelopedHead(head));
      assert.equal(heads[0]?.encryption.keyDerived, true);
      assert.deepEqual({ ...heads[0]?.encryption, keyDerived: false }, heads[1]?.encryption);
      assert.deepEqual(heads[0]?.weak, heads[1]?.weak);
    });

  it('is written for a partner that has deriveKey, and stands in the verdict', () => {
    for (const deriveKey of [true, undefined]) {
      const options = { ...protectionOf('default', { deriveKey }), recipients: [bob.certificate] };
      const mail = encodeSync(Buffer.from('Content-Type: text/plain\r\n\r\nan order\r\n'), options);
      const { verdict } = decodeSync(mail, {
        identities: [bob.identity],
        trust: { anchors: [] },
        at: new Date(),
      });
      const [layer] = verdict.layers.filter(isEncryptionLayer);
      assert.equal(verdict.status, 'ok');
      assert.equal(layer?.contentEncryption?.keyDerived, deriveKey === true);
      assert.equal(layer?.contentEncryption?.algorithm, 'aes-256-cbc');
    }
  });

  it('is not opened with the transported key itself, nor with that of another identifier', () => {
    const fresh = freshEncryption('aes-256-cbc', { deriveKey: true });
    const other = freshEncryption('aes-256-cbc', { deriveKey: true });
    assert.notDeepEqual(cipherKey(fresh.encryption, fresh.key), fresh.key);
    assert.notDeepEqual(cipherKey(fresh.encryption, fresh.key), cipherKey(other.encryption, fresh.key));
    const info = fresh.encryption.derivation;
    assert.ok(info);
    const salt = Buffer.from('The Cryptographic Message Syntax');
    assert.deepEqual(
      cipherKey(fresh.encryption, fresh.key),
      Buffer.from(hkdfSync('sha256', fresh.key, salt, info, 32)),
    );
  });

  /** AES-256-CBC under a transported key, with an algorithm identifier of our choice. */
  function message(algorithm: Buffer, mac?: Buffer): Buffer {
    const key = Buffer.alloc(32, 1);
    const encrypted = createCipheriv('aes-256-cbc', key, Buffer.alloc(16)).update(Buffer.alloc(32));
    return enveloped({ recipients: [], algorithm, encrypted, ...(mac && { mac }) });
  }
  const wrapped = (inner: Buffer) => der.sequence(der.oid(oids['cek-hkdf-sha256']), inner);
  const cbc = der.sequence(der.oid(oids['aes-256-cbc']), der.octetString(Buffer.alloc(16)));
  const gcm = der.sequence(der.oid(oids['aes-256-gcm']), der.sequence(der.octetString(Buffer.alloc(12))));

  for (const [what, octets, code] of [
    ['AEAD inside EnvelopedData', message(wrapped(gcm)), 'decrypt-policy'],
    ['CBC inside AuthEnvelopedData', message(wrapped(cbc), Buffer.alloc(16)), 'cms-malformed'],
    ['a derivation inside a derivation', message(wrapped(wrapped(cbc))), 'cms-unsupported'],
    ['no algorithm inside', message(der.sequence(der.oid(oids['cek-hkdf-sha256']))), 'cms-malformed'],
    ['no sequence inside', message(wrapped(der.octetString(cbc))), 'cms-malformed'],
    [
      'an unknown algorithm inside',
      message(wrapped(der.sequence(der.oid('1.2.3.4'), der.nullValue()))),
      'cms-unsupported',
    ],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.throws(() => read(octets), { code });
    });
});
