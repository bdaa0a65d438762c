import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import { Cursor, integer, octetString, oid, oids, parse, raw, tags } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { writeIssuerAndSerial } from '../../src/cms/certificate-identifier.ts';
import { encodeEnvelopedData } from '../../src/cms/index.ts';
import { type DecodeOptions, decode, type Verdict } from '../../src/smime/index.ts';
import { noOpenssl, openssl } from '../cms/support.ts';
import type { Issued } from '../support/ca.ts';
import { ca, entity, enveloped, options } from './support.ts';

const recipient = (name: string, privateKey: KeyObject): Issued =>
  ca.issue({
    commonName: name,
    key: { privateKey, publicKey: createPublicKey(privateKey) },
    keyUsage: ['keyAgreement'],
  });

/** KeyAgreeRecipientInfo with the originator's public key as the attacker writes it. */
function agreeInfo(to: Issued, agreement: string, publicKey: Buffer, wrapped = 24): Buffer {
  const { algorithm } = to.certificate.publicKeyInfo;
  const originatorKey = der.implicit(1, true, der.sequence(der.oid(algorithm)), der.bitString(publicKey));
  const wrap = der.sequence(der.oid('2.16.840.1.101.3.4.1.5'));
  const encryptedKey = der.sequence(
    writeIssuerAndSerial(to.certificate),
    der.octetString(Buffer.alloc(wrapped, 7)),
  );
  return der.implicit(
    1,
    true,
    der.integer(3),
    der.explicit(0, originatorKey),
    der.sequence(der.oid(agreement), wrap),
    der.sequence(encryptedKey),
  );
}

const attack = (to: Issued, agreement: string, publicKey: Buffer): Buffer =>
  enveloped({
    recipients: [agreeInfo(to, agreement, publicKey)],
    // with a tag, so that no random key leaves a padding by chance
    algorithm: der.sequence(
      der.oid(oids['aes-128-gcm']),
      der.sequence(der.octetString(Buffer.alloc(12, 1)), der.integer(16)),
    ),
    encrypted: Buffer.alloc(64, 2),
    mac: Buffer.alloc(16, 3),
  });

const own = (to: Issued): DecodeOptions => ({ ...options, identities: [to.identity] });

/** What every failure looks like: one that has nothing to do with the value itself, a wrong wrapped key. */
async function uniform(
  to: Issued,
  agreement: string,
  good: Buffer,
  values: Record<string, Buffer>,
): Promise<void> {
  const answer = ({ status, error, integrity, layers, content }: Verdict) =>
    JSON.stringify([status, error, integrity, layers.length, content]);
  const plain = await decode(attack(to, agreement, good), own(to));
  assert.equal(plain.verdict.error?.code, 'decrypt-failed');
  const expected = answer(plain.verdict);
  for (const [name, value] of Object.entries(values)) {
    for (let round = 0; round < 3; round++) {
      const { verdict } = await decode(attack(to, agreement, value), own(to));
      assert.equal(answer(verdict), expected, name);
    }
  }
}

/** p, q and the public value of an X9.42 key. */
function groupOf(privateKey: KeyObject): { p: bigint; g: bigint; q: bigint } {
  const info = new Cursor(parse(privateKey.export({ type: 'pkcs8', format: 'der' })));
  info.expect(tags.integer);
  const algorithm = new Cursor(info.expect(tags.sequence));
  assert.equal(oid(algorithm.expect(tags.oid)), oids.dhPublicNumber);
  const group = new Cursor(parse(raw(algorithm.next())));
  const [p, g, q] = [tags.integer, tags.integer, tags.integer].map((tag) => integer(group.expect(tag)));
  octetString(info.expect(tags.octetString));
  return { p: p ?? 0n, g: g ?? 0n, q: q ?? 0n };
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let bits = exponent, square = base % modulus; bits > 0n; bits >>= 1n) {
    if ((bits & 1n) === 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

const p256 = {
  p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
  b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
};
const coordinate = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
const point = (x: bigint, y: bigint): Buffer =>
  Buffer.concat([Buffer.from([4]), coordinate(x), coordinate(y)]);

/** A point of order 2 on the curve y^2 = x^3 - 3x + b' for some other b': its y is 0. */
const orderTwo = point(5n, 0n);

describe('S5: small subgroups and invalid curves (RFC 2785)', () => {
  it('X9.42 Diffie-Hellman: 0, 1, p-1, outside of the range or of the subgroup', {
    skip: noOpenssl,
  }, async () => {
    const privateKey = createPrivateKey(openssl('genpkey', '-algorithm', 'DHX', '-pkeyopt', 'dh_rfc5114:3'));
    const to = recipient('dh', privateKey);
    const { p, g, q } = groupOf(privateKey);
    // elements whose order divides the cofactor: h^q for any h
    const small = power(3n, q, p);
    assert.notEqual(power(small, q, p), 1n);
    await uniform(to, oids.esdh, der.integer(power(g, 12345n, p)), {
      zero: der.integer(0n),
      one: der.integer(1n),
      'p - 1': der.integer(p - 1n),
      p: der.integer(p),
      'p + 1': der.integer(p + 1n),
      negative: der.integer(-5n),
      'an element of a small subgroup': der.integer(small),
      'outside of the subgroup of order q': der.integer(3n),
      'far too large': der.integer(p ** 2n),
      'no INTEGER': der.octetString(Buffer.alloc(256, 1)),
      nothing: Buffer.alloc(0),
    });
  });

  it('ECDH: off the curve, infinity, order 2, out of range, other forms', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const to = recipient('ec', privateKey);
    const good = publicKey.export({ type: 'spki', format: 'der' }).subarray(-65);
    const flipped = Buffer.from(good);
    flipped[64] = (flipped[64] ?? 0) ^ 1;
    assert.notEqual((5n ** 3n - 15n + p256.b) % p256.p, 0n);
    await uniform(to, '1.3.132.1.11.1', good, {
      'off the curve': flipped,
      'the origin': point(0n, 0n),
      'order 2 on another curve': orderTwo,
      infinity: Buffer.from([0]),
      'infinity in the long form': Buffer.alloc(65),
      'x = p': point(p256.p, 1n),
      'all ones': Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 0xff)]),
      'compressed, without such a point': Buffer.concat([Buffer.from([2]), coordinate(5n)]),
      'too short': good.subarray(0, 40),
      'too long': Buffer.concat([good, Buffer.alloc(1)]),
      nothing: Buffer.alloc(0),
    });
  });

  it('X25519: points of small order, whose secret is zero', async () => {
    const to = recipient('x25519', generateKeyPairSync('x25519').privateKey);
    const other = generateKeyPairSync('x25519')
      .publicKey.export({ type: 'spki', format: 'der' })
      .subarray(-32);
    const hex = (digits: string) => Buffer.from(digits, 'hex');
    await uniform(to, '1.3.132.1.11.1', other, {
      zero: Buffer.alloc(32),
      one: hex(`01${'00'.repeat(31)}`),
      'order 8': hex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'),
      'order 8 too': hex('5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'),
      'p - 1': hex(`ec${'ff'.repeat(30)}7f`),
      p: hex(`ed${'ff'.repeat(30)}7f`),
      'too short': Buffer.alloc(31, 9),
      nothing: Buffer.alloc(0),
    });
  });

  it('keys in a certificate that nobody should compute with are refused when encrypting', () => {
    const spki = der.sequence(
      der.sequence(der.oid('1.2.840.10045.2.1'), der.oid('1.2.840.10045.3.1.7')),
      der.bitString(point(1n, 1n)),
    );
    assert.throws(() => createPublicKey({ key: spki, format: 'der', type: 'spki' }));
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const to = recipient('fine', privateKey);
    assert.ok(encodeEnvelopedData(entity, { recipients: [{ certificate: to.certificate }] }).length > 0);
  });
});
