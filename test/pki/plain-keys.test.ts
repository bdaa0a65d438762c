/** An RSA key in the usual form is told from its octets; every other form is left to OpenSSL, with the same answers. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { der, oids, parse } from '../../src/asn1/index.ts';
import { keyKindOf } from '../../src/pki/certificate-use.ts';
import { type Certificate, parseCertificate } from '../../src/pki/index.ts';
import { keyTraits, readPublicKeyInfo } from '../../src/pki/public-key.ts';
import { createTestCa } from '../support/ca.ts';

const { certificate } = createTestCa('Plain').issue({ commonName: 'plain', key: 'rsa2048' });
const { n, e } = certificate.publicKey.export({ format: 'jwk' });
const modulus = Buffer.concat([Buffer.alloc(1), Buffer.from(String(n), 'base64url')]);
const exponent = Buffer.from(String(e), 'base64url');
const integer = (octets: Buffer) => Buffer.concat([Buffer.from([2, 0x82]), lengthOf(octets), octets]);
const lengthOf = (octets: Buffer) => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(octets.length);
  return length;
};

function infoOf(
  key: Buffer,
  algorithm: string = oids.rsaEncryption,
  parameters: Buffer | undefined = der.nullValue(),
) {
  const identifier = parameters
    ? der.sequence(der.oid(algorithm), parameters)
    : der.sequence(der.oid(algorithm));
  return readPublicKeyInfo(parse(der.sequence(identifier, der.bitString(key))));
}

const numbers = (...octets: Buffer[]) => der.sequence(...octets);
const plain = numbers(integer(modulus), der.integer(65_537));

/** Asks for the kind of such a key, and tells how often it was loaded. */
function ask(publicKeyInfo: ReturnType<typeof infoOf>): { kind: string; loaded: number } {
  let loaded = 0;
  const odd: Certificate = Object.create(certificate, {
    publicKeyInfo: { value: publicKeyInfo },
    publicKey: {
      get() {
        loaded += 1;
        return createPublicKey({ key: publicKeyInfo.der, format: 'der', type: 'spki' });
      },
    },
  });
  try {
    return { kind: keyKindOf(odd), loaded };
  } catch {
    return { kind: 'unreadable', loaded };
  }
}

describe('the kind of an RSA key', () => {
  it('is told without loading it if the key has the usual form', () => {
    assert.deepEqual(ask(infoOf(plain)), { kind: 'rsa', loaded: 0 });
    assert.equal(keyTraits(parseCertificate(certificate.der).publicKeyInfo).isPlain, true);
  });

  const even = Buffer.from(modulus);
  even[even.length - 1] = 0;
  for (const [what, info] of [
    ['an even modulus', infoOf(numbers(integer(even), der.integer(65_537)))],
    ['an even exponent', infoOf(numbers(integer(modulus), der.integer(65_536)))],
    ['a negative modulus', infoOf(numbers(integer(modulus.subarray(1)), der.integer(65_537)))],
    ['a modulus of zero', infoOf(numbers(integer(Buffer.alloc(1)), der.integer(65_537)))],
    [
      'more zeros than needed',
      infoOf(numbers(integer(Buffer.concat([Buffer.alloc(1), modulus])), integer(exponent))),
    ],
    ['a third number', infoOf(numbers(integer(modulus), der.integer(65_537), der.integer(1)))],
    ['too large an exponent', infoOf(numbers(integer(modulus), integer(modulus)))],
    ['no parameters', infoOf(plain, oids.rsaEncryption, Buffer.alloc(0))],
    ['other parameters', infoOf(plain, oids.rsaEncryption, der.sequence())],
    ['a key for PSS alone', infoOf(plain, oids.rsassaPss)],
  ] as const)
    it(`is asked of OpenSSL for ${what}`, () => {
      assert.notEqual(keyTraits(info).isPlain, true);
      assert.equal(ask(info).loaded, 1);
    });
});
