/** Negative vectors in the manner of Project Wycheproof, made here: each is right but for one thing. */
import assert from 'node:assert/strict';
import {
  constants,
  createHash,
  generateKeyPairSync,
  privateEncrypt,
  publicEncrypt,
  randomBytes,
  sign,
} from 'node:crypto';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { type DigestInfo, digestByName } from '../../src/cms/algorithms.ts';
import { mgf1, oaepDecrypt, xor } from '../../src/cms/oaep.ts';
import { verifyPss } from '../../src/cms/pss.ts';
import { readSignatureAlgorithm, signedOctets, verifySignature } from '../../src/cms/signature.ts';

const info = (name: string): DigestInfo => {
  const found = digestByName.get(name);
  assert.ok(found);
  return found;
};
const message = Buffer.from('an order');
const digestOf = (name: string) => createHash(name).update(message).digest();
const pairOf = (bits: number) => generateKeyPairSync('rsa', { modulusLength: bits });
/** 2,041 bits: PSS then has a whole octet of zero in front. */
const [key, odd] = [pairOf(2048), pairOf(2041)];

const raw = (encoded: Buffer, pair = key) =>
  privateEncrypt({ key: pair.privateKey, padding: constants.RSA_NO_PADDING }, encoded);

describe('RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.2)', () => {
  const algorithm = readSignatureAlgorithm({ oid: oids.rsaEncryption, parameters: undefined });
  const sha256 = info('sha256');
  const check = (encoded: Buffer) =>
    verifySignature(key.publicKey, algorithm, sha256, signedOctets(message), raw(encoded));
  const digestInfo = (oid: string, hash: Buffer, ...parameters: Buffer[]) =>
    der.sequence(der.sequence(der.oid(oid), ...parameters), der.octetString(hash));
  /** 00 01 FF .. FF 00 T */
  function padded(
    t: Buffer,
    change: { type?: number; fill?: number; separator?: number; tail?: Buffer } = {},
  ) {
    const tail = change.tail ?? Buffer.alloc(0);
    const fill = Buffer.alloc(256 - 3 - t.length - tail.length, change.fill ?? 0xff);
    return Buffer.concat([
      Buffer.from([0, change.type ?? 1]),
      fill,
      Buffer.from([change.separator ?? 0]),
      t,
      tail,
    ]);
  }
  const hash = digestOf('sha256');
  const right = digestInfo(oids.sha256, hash, der.nullValue());

  it('takes both encodings that there are', () => {
    assert.equal(check(padded(right)), 'ok');
    assert.equal(check(padded(digestInfo(oids.sha256, hash))), 'ok');
  });

  const long = Buffer.from(right);
  const cases: [string, Buffer][] = [
    ['garbage before the DigestInfo', padded(Buffer.concat([Buffer.from('garbage'), right]))],
    ['garbage behind the DigestInfo', padded(right, { tail: randomBytes(20) })],
    [
      'garbage inside, behind the hash',
      padded(
        der.sequence(
          der.sequence(der.oid(oids.sha256), der.nullValue()),
          der.octetString(hash),
          der.octetString(randomBytes(8)),
        ),
      ),
    ],
    ['garbage in the parameters', padded(digestInfo(oids.sha256, hash, der.octetString(randomBytes(8))))],
    ['a foreign OID', padded(digestInfo('1.2.3.4', hash, der.nullValue()))],
    ['the OID of another digest', padded(digestInfo(oids.sha512, hash, der.nullValue()))],
    ['the OID of a digest of the same length', padded(digestInfo(oids['sha3-256'], hash, der.nullValue()))],
    ['the hash alone', padded(hash)],
    ['a shortened hash', padded(digestInfo(oids.sha256, hash.subarray(0, 31), der.nullValue()))],
    ['another hash', padded(digestInfo(oids.sha256, randomBytes(32), der.nullValue()))],
    [
      'a length in BER',
      padded(Buffer.concat([Buffer.from([0x30, 0x81, long.length - 2]), right.subarray(2)])),
    ],
    ['block type 2', padded(right, { type: 2 })],
    ['block type 0', padded(right, { type: 0 })],
    ['a padding of other octets', padded(right, { fill: 0xfe })],
    ['no zero behind the padding', padded(right, { separator: 0xff })],
  ];
  for (const [what, encoded] of cases)
    it(`refuses ${what}`, () => assert.equal(check(encoded), 'signature-mismatch'));

  it('refuses a signature of another length', () => {
    const signature = raw(padded(right));
    const verify = (octets: Buffer) =>
      verifySignature(key.publicKey, algorithm, sha256, signedOctets(message), octets);
    assert.equal(verify(signature), 'ok');
    for (const octets of [
      Buffer.concat([Buffer.alloc(1), signature]),
      Buffer.concat([signature, Buffer.alloc(1)]),
      signature.subarray(1),
      Buffer.alloc(0),
      Buffer.alloc(256),
    ])
      assert.equal(verify(octets), 'signature-mismatch');
  });

  it('refuses a signature whose leading zero was left out, which OpenSSL takes for the same number', () => {
    const small = pairOf(1024);
    // one signature in 256 begins with a zero
    for (let at = 0; at < 10_000; at++) {
      const octets = Buffer.from(`order ${at}`);
      const signature = sign('sha256', octets, small.privateKey);
      if (signature[0] !== 0) continue;
      const verify = (candidate: Buffer) =>
        verifySignature(small.publicKey, algorithm, sha256, signedOctets(octets), candidate);
      assert.equal(verify(signature), 'ok');
      assert.equal(verify(signature.subarray(1)), 'signature-mismatch');
      return;
    }
    assert.fail('no signature begins with a zero');
  });
});

interface PssChange {
  /** What replaces the required zeros. */
  padding?: (zeros: Buffer) => void;
  separator?: number;
  trailer?: number;
  salt?: number;
  mgf?: string;
  hash?: (hash: Buffer) => void;
  /** Set after masking. */
  top?: number;
  leading?: number;
}

/** EMSA-PSS (RFC 8017 section 9.1.1), as somebody with the key can make it wrong. */
function pss(bits: number, digest: DigestInfo, change: PssChange = {}): Buffer {
  const size = Math.ceil((bits - 1) / 8);
  const salt = randomBytes(change.salt ?? digest.octets);
  const hash = createHash(digest.node)
    .update(Buffer.alloc(8))
    .update(digestOf(digest.node))
    .update(salt)
    .digest();
  change.hash?.(hash);
  const zeros = Buffer.alloc(size - digest.octets - salt.length - 2);
  change.padding?.(zeros);
  const block = Buffer.concat([zeros, Buffer.from([change.separator ?? 1]), salt]);
  xor(block, mgf1(info(change.mgf ?? digest.name), hash, block.length));
  const unused = 8 * size - (bits - 1);
  block[0] = ((block[0] ?? 0) & (0xff >> unused)) | (change.top ?? 0);
  const encoded = Buffer.concat([block, hash, Buffer.from([change.trailer ?? 0xbc])]);
  return Buffer.concat([Buffer.alloc(Math.ceil(bits / 8) - size, change.leading ?? 0), encoded]);
}

describe('RSASSA-PSS (RFC 8017 section 9.1.2)', () => {
  const sha256 = info('sha256');
  const check = (change: PssChange, pair = key, bits = 2048, saltLength = 32, mgf = 'sha256') =>
    verifyPss(pair.publicKey, digestOf('sha256'), raw(pss(bits, sha256, change), pair), {
      digest: sha256,
      mgfDigest: info(mgf),
      saltLength,
    });

  it('takes what is right, also with another MGF1 digest and where a whole octet is unused', () => {
    assert.equal(check({}), true);
    assert.equal(check({ mgf: 'sha1' }, key, 2048, 32, 'sha1'), true);
    assert.equal(check({}, odd, 2041), true);
    assert.equal(check({ salt: 0 }, key, 2048, 0), true);
    assert.equal(check({ salt: 222 }, key, 2048, 222), true);
  });

  const cases: [string, PssChange][] = [
    ['the first octet before the salt not zero', { padding: (zeros) => zeros.writeUInt8(1, 0) }],
    ['an octet before the salt not zero', { padding: (zeros) => zeros.writeUInt8(1, 100) }],
    [
      'the last octet before the separator not zero',
      { padding: (zeros) => zeros.writeUInt8(0x80, zeros.length - 1) },
    ],
    ['an earlier 01 among the zeros', { padding: (zeros) => zeros.writeUInt8(1, zeros.length - 1) }],
    ['00 in place of 01', { separator: 0 }],
    ['02 in place of 01', { separator: 2 }],
    ['81 in place of 01', { separator: 0x81 }],
    ['another trailer', { trailer: 0xcc }],
    ['a shorter salt', { salt: 31 }],
    ['a longer salt', { salt: 33 }],
    ['no salt', { salt: 0 }],
    ['another MGF1 digest', { mgf: 'sha1' }],
    ['a changed hash', { hash: (hash) => hash.writeUInt8((hash[0] ?? 0) ^ 1, 0) }],
  ];
  for (const [what, change] of cases) it(`refuses ${what}`, () => assert.equal(check(change), false));

  it('refuses a bit that is set where the modulus has none', () => {
    // until the number is below the modulus
    const refused = (one: () => boolean) => {
      for (let round = 0; round < 200; round++) {
        try {
          return assert.equal(one(), false);
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error;
        }
      }
      assert.fail('no number was below the modulus');
    };
    refused(() => check({ top: 0x80 }));
    refused(() => check({ leading: 1 }, odd, 2041));
  });

  it('refuses a salt that the modulus has no room for', () => {
    assert.equal(check({}, key, 2048, 223), false);
    assert.equal(check({}, key, 2048, 2048), false);
  });
});

interface OaepChange {
  first?: number;
  labelHash?: (hash: Buffer) => void;
  padding?: (zeros: Buffer) => void;
  separator?: number;
}

describe('RSAES-OAEP with another MGF1 digest (RFC 8017 section 7.1.2)', () => {
  const digest = info('sha256');
  // without 01 in its place, one in the key itself would do
  const contentKey = Buffer.alloc(32, 7);
  const label = Buffer.from('label');
  function encrypted(
    { first = 0, labelHash, padding, separator = 1 }: OaepChange = {},
    mgf = 'sha1',
  ): Buffer {
    const hash = createHash('sha256').update(label).digest();
    labelHash?.(hash);
    const zeros = Buffer.alloc(256 - 2 * 32 - 2 - contentKey.length);
    padding?.(zeros);
    const block = Buffer.concat([hash, zeros, Buffer.from([separator]), contentKey]);
    const seed = randomBytes(32);
    xor(block, mgf1(info(mgf), seed, block.length));
    xor(seed, mgf1(info(mgf), block, seed.length));
    const encoded = Buffer.concat([Buffer.from([first]), seed, block]);
    return publicEncrypt({ key: key.publicKey, padding: constants.RSA_NO_PADDING }, encoded);
  }
  const open = (octets: Buffer, mgf = 'sha1', given = label) =>
    oaepDecrypt(key.privateKey, octets, { digest, mgfDigest: info(mgf), label: given });

  it('opens what is right', () => {
    assert.deepEqual(open(encrypted()), contentKey);
    assert.deepEqual(open(encrypted({}, 'sha512'), 'sha512'), contentKey);
    assert.deepEqual(open(encrypted({}, 'sha256'), 'sha256'), contentKey);
  });

  const flip = (at: number) => (octets: Buffer) => octets.writeUInt8((octets[at] ?? 0) ^ 1, at);
  const cases: [string, OaepChange][] = [
    ['the first octet of the label hash', { labelHash: flip(0) }],
    ['the last octet of the label hash', { labelHash: flip(31) }],
    ['a first octet of 1', { first: 1 }],
    ['an octet among the zeros', { padding: (zeros) => zeros.writeUInt8(2, 5) }],
    ['the last of the zeros', { padding: (zeros) => zeros.writeUInt8(0xff, zeros.length - 1) }],
    ['no 01', { separator: 0, padding: (zeros) => zeros.fill(0) }],
    ['02 in place of 01', { separator: 2 }],
  ];
  for (const [what, change] of cases)
    it(`refuses: ${what}`, () => {
      assert.throws(() => open(encrypted(change)), { message: 'decoding error' });
    });

  it('refuses another MGF1 digest and another label', () => {
    assert.throws(() => open(encrypted({}, 'sha512')));
    assert.throws(() => open(encrypted({}, 'sha256')));
    assert.throws(() => open(encrypted({}, 'sha1'), 'sha256'));
    assert.throws(() => open(encrypted(), 'sha1', Buffer.alloc(0)), { message: 'decoding error' });
  });
});
