/** What opening a content key refuses: each vector is right but for one thing, and the inner step is asked itself. */
import assert from 'node:assert/strict';
import {
  createCipheriv,
  createHash,
  createPrivateKey,
  createSign,
  ECDH,
  generateKeyPairSync,
  generatePrimeSync,
  pbkdf2Sync,
  randomBytes,
} from 'node:crypto';
import { describe, it } from 'node:test';
import { oids, parse, readAlgorithm } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { Budget } from '../../src/budget.ts';
import { writeAttribute } from '../../src/cms/attributes.ts';
import { writeIssuerAndSerial } from '../../src/cms/certificate-identifier.ts';
import { type ContentEncryption, freshEncryption, readContentEncryption } from '../../src/cms/ciphers.ts';
import { agreeWithCofactor } from '../../src/cms/cofactor.ts';
import { contentKey } from '../../src/cms/content-key.ts';
import { agree, agreeEphemeral } from '../../src/cms/diffie-hellman.ts';
import { des3Wrap, keyWrapByName, rc2Wrap } from '../../src/cms/key-wrap.ts';
import { Rc2Cbc } from '../../src/cms/rc2.ts';
import { readPassword } from '../../src/cms/recipients/password.ts';
import type { PublicKeyInfo } from '../../src/pki/public-key.ts';
import { createTestCa } from '../support/ca.ts';
import { readCms } from './support.ts';

type Cbc = (iv: Buffer, octets: Buffer) => Buffer;

describe('RFC 3217 key wraps', () => {
  const kek = Buffer.alloc(24, 5);
  const rc2Kek = Buffer.alloc(16, 5);
  const secondIv = Buffer.from('4adda22c79e82105', 'hex');
  const des3: Cbc = (iv, octets) =>
    createCipheriv('des-ede3-cbc', kek, iv).setAutoPadding(false).update(octets);
  const rc2: Cbc = (iv, octets) =>
    new Rc2Cbc('encrypt', rc2Kek, 128, iv).setAutoPadding(false).update(octets);
  const checksum = (octets: Buffer) => createHash('sha1').update(octets).digest().subarray(0, 8);
  /** Both encryptions, over octets that need not fit their checksum. */
  function wrapped(cbc: Cbc, octets: Buffer, change: (checksum: Buffer) => void = () => undefined): Buffer {
    const sum = Buffer.from(checksum(octets));
    change(sum);
    const iv = randomBytes(8);
    return cbc(secondIv, Buffer.concat([iv, cbc(iv, Buffer.concat([octets, sum]))]).reverse());
  }
  const key = randomBytes(24);
  const lengthed = (length: number, octets: number) =>
    Buffer.concat([Buffer.from([length]), Buffer.alloc(octets - 1, 9)]);

  it('opens what is right', () => {
    assert.deepEqual(des3Wrap.unwrap(kek, wrapped(des3, key)), key);
    assert.deepEqual(rc2Wrap(128).unwrap(rc2Kek, wrapped(rc2, lengthed(16, 24))), Buffer.alloc(16, 9));
    assert.deepEqual(rc2Wrap(128).unwrap(rc2Kek, wrapped(rc2, lengthed(5, 8))), Buffer.alloc(5, 9));
  });

  for (let at = 0; at < 8; at++)
    it(`refuses a checksum that differs in octet ${at}`, () => {
      const change = (sum: Buffer) => sum.writeUInt8((sum[at] ?? 0) ^ 1, at);
      assert.throws(() => des3Wrap.unwrap(kek, wrapped(des3, key, change)), { message: 'bad checksum' });
      assert.throws(() => rc2Wrap(128).unwrap(rc2Kek, wrapped(rc2, lengthed(16, 24), change)), {
        message: 'bad checksum',
      });
    });

  it('refuses what is short or not of whole blocks', () => {
    for (const octets of [0, 8, 16, 23, 25, 41])
      assert.throws(() => des3Wrap.unwrap(kek, Buffer.alloc(octets)), { message: 'bad length' });
  });

  for (const [what, length, octets] of [
    ['more than there is', 24, 24],
    ['much more', 255, 24],
    ['a padding of 8', 15, 24],
    ['a padding of 23', 0, 24],
  ] as const)
    it(`RC2: refuses a length of ${what}`, () => {
      assert.throws(() => rc2Wrap(128).unwrap(rc2Kek, wrapped(rc2, lengthed(length, octets))), {
        message: 'bad length',
      });
    });
  it('RC2: takes paddings up to 7, and a key that fills its blocks', () => {
    for (const length of [16, 23])
      assert.equal(rc2Wrap(128).unwrap(rc2Kek, wrapped(rc2, lengthed(length, 24))).length, length);
  });
});

describe('AES key wraps (RFC 3394, RFC 5649)', () => {
  for (const name of ['aes-128-wrap', 'aes-256-wrap', 'aes-128-wrap-pad', 'aes-256-wrap-pad']) {
    it(`${name}: opens its own, and nothing else: no octets, too few, one changed`, () => {
      const wrap = keyWrapByName(name);
      const kek = randomBytes(wrap.keyOctets);
      const wrapped = wrap.wrap(kek, Buffer.alloc(16, 9));
      assert.deepEqual(wrap.unwrap(kek, wrapped), Buffer.alloc(16, 9));
      for (const octets of [0, 1, 8, 15, 16, 23]) {
        assert.throws(() => wrap.unwrap(kek, Buffer.alloc(octets)));
        assert.throws(() => wrap.unwrap(kek, wrapped.subarray(0, octets)));
      }
      const changed = Buffer.from(wrapped);
      changed[3] = (changed[3] ?? 0) ^ 1;
      assert.throws(() => wrap.unwrap(kek, changed));
    });
  }
});

describe('PWRI-KEK (RFC 3211 section 2.3.2)', () => {
  const password = Buffer.from('open sesame');
  const salt = Buffer.alloc(8, 3);
  const iv = Buffer.alloc(16, 4);
  const kek = pbkdf2Sync(password, salt, 2, 32, 'sha1');
  const cbc: Cbc = (start, octets) =>
    createCipheriv('aes-256-cbc', kek, start).setAutoPadding(false).update(octets);
  const secret = Buffer.alloc(16, 0x5a);

  function opened(octets: Buffer, wrap = (inner: Buffer) => cbc(inner.subarray(-16), inner), iterations = 2) {
    const element = der.implicit(
      3,
      true,
      der.integer(0),
      der.implicit(
        0,
        true,
        der.oid(oids.pbkdf2),
        der.sequence(der.octetString(salt), der.integer(iterations)),
      ),
      der.sequence(
        der.oid(oids['pwri-kek']),
        der.sequence(der.oid(oids['aes-256-cbc']), der.octetString(iv)),
      ),
      der.octetString(wrap(cbc(iv, octets))),
    );
    const [recipient] = readPassword(parse(element));
    const keys = { identities: [], passwords: [{ name: 'ours', password }] };
    return recipient?.find(keys, new Budget())?.recover();
  }
  const block = (length: number, check = [0xa5, 0xa5, 0xa5]) =>
    Buffer.concat([Buffer.from([length, ...check]), secret, Buffer.alloc(12, 1)]);

  it('opens what is right, to the last octet', () => {
    assert.deepEqual(opened(block(16)), secret);
    assert.equal(opened(block(28))?.length, 28);
    assert.equal(opened(block(3))?.length, 3);
  });
  for (const at of [0, 1, 2])
    it(`refuses a check octet ${at} that does not fit`, () => {
      const check = [0xa5, 0xa5, 0xa5];
      check[at] = 0xa4;
      assert.equal(opened(block(16, check)), undefined);
    });
  for (const length of [0, 1, 2, 29, 255])
    it(`refuses a length of ${length} in 32 octets`, () => assert.equal(opened(block(length)), undefined));
  it('refuses what is short or not of whole blocks', () => {
    assert.equal(
      opened(block(16), (inner) => inner.subarray(0, 16)),
      undefined,
    );
    assert.equal(
      opened(block(16), (inner) => Buffer.concat([inner, Buffer.alloc(1)])),
      undefined,
    );
    assert.equal(
      opened(block(16), () => Buffer.alloc(0)),
      undefined,
    );
  });
  it('has no key after no iterations, which is an answer and not an error; one is enough to try', () => {
    for (const iterations of [0, 1]) assert.equal(opened(block(16), undefined, iterations), undefined);
  });
});

describe('the padding of RC2 in CBC mode', () => {
  const [key, iv] = [Buffer.alloc(16, 1), Buffer.alloc(8, 2)];
  function decrypted(block: number[]): Buffer {
    const octets = new Rc2Cbc('encrypt', key, 128, iv).setAutoPadding(false).update(Buffer.from(block));
    const cipher = new Rc2Cbc('decrypt', key, 128, iv);
    return Buffer.concat([cipher.update(octets), cipher.final()]);
  }
  it('takes 1 to 8 octets', () => {
    for (let count = 1; count <= 8; count++) {
      const block = [...Array(8 - count).fill(0xee), ...Array(count).fill(count)];
      assert.equal(decrypted(block).length, 8 - count);
    }
  });
  for (const [what, block] of [
    ['no padding', [1, 2, 3, 4, 5, 6, 7, 0]],
    ['a padding of 9', [9, 9, 9, 9, 9, 9, 9, 9]],
    ['a padding of 255', [255, 255, 255, 255, 255, 255, 255, 255]],
    ['a first octet of the padding that differs', [1, 1, 1, 1, 1, 2, 3, 3]],
    ['an octet in the middle that differs', [8, 8, 8, 7, 8, 8, 8, 8]],
  ] as const)
    it(`refuses ${what}`, () => assert.throws(() => decrypted([...block]), { message: 'bad decrypt' }));
  it('refuses what ends within a block', () => {
    for (const octets of [0, 7, 9]) {
      const cipher = new Rc2Cbc('decrypt', key, 128, iv);
      cipher.update(Buffer.alloc(octets));
      assert.throws(() => cipher.final(), { message: 'wrong final block length' });
    }
  });
});

describe('cofactor ECDH on secp112r2, whose cofactor is 4 (SEC 1 section 3.3.2)', () => {
  const p = 0xdb7c2abf62e35e668076bead208bn;
  const a = 0x6127c24c05f38a0aaaf65c0ef02cn;
  const order = 0x36df0aafd8b8d7597ca10520d04bn;
  type Point = readonly [x: bigint, y: bigint] | undefined;
  const mod = (value: bigint) => ((value % p) + p) % p;
  function power(base: bigint, exponent: bigint): bigint {
    let result = 1n;
    for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = (b * b) % p)
      if (e & 1n) result = (result * b) % p;
    return result;
  }
  function add(left: Point, right: Point): Point {
    if (left === undefined || right === undefined) return left ?? right;
    const [[x1, y1], [x2, y2]] = [left, right];
    if (x1 === x2 && mod(y1 + y2) === 0n) return undefined;
    const slope =
      x1 === x2 ? (3n * x1 * x1 + a) * power(2n * y1, p - 2n) : mod(y2 - y1) * power(mod(x2 - x1), p - 2n);
    const x = mod(slope * slope - x1 - x2);
    return [x, mod(slope * (x1 - x) - y1)];
  }
  function times(point: Point, factor: bigint): Point {
    let [result, square]: [Point, Point] = [undefined, point];
    for (let rest = factor; rest > 0n; rest >>= 1n, square = add(square, square))
      if (rest & 1n) result = add(result, square);
    return result;
  }
  /** The points of x = 1, 2, 3 ..., each with what n times it is: infinity in the subgroup alone. */
  const points: { octets: Buffer; point: Point; inside: boolean; small: boolean }[] = [];
  for (let x = 1; points.length < 24; x++) {
    const compressed = Buffer.concat([Buffer.from([2]), Buffer.alloc(13), Buffer.from([x])]);
    try {
      const octets = ECDH.convertKey(compressed, 'secp112r2') as Buffer;
      const point: Point = [BigInt(x), BigInt(`0x${octets.subarray(15).toString('hex')}`)];
      const small = times(point, 4n) === undefined;
      points.push({ octets, point, inside: times(point, order) === undefined, small });
    } catch {
      // no point has this x
    }
  }
  const own = generateKeyPairSync('ec', { namedCurve: 'secp112r2' });
  const text = own.privateKey.export({ type: 'sec1', format: 'der' }).toString('hex');
  // ECPrivateKey ::= SEQUENCE { version 1, privateKey OCTET STRING of 14 octets, ... } (RFC 5915)
  const privateNumber = BigInt(`0x${/020101040e(.{28})/.exec(text)?.[1]}`);

  it('agrees for the points in the subgroup and for no other', () => {
    assert.ok(points.some(({ inside }) => inside));
    assert.ok(points.some(({ inside, small }) => !inside && !small));
    for (const { octets, point, inside } of points) {
      const agree = () => agreeWithCofactor(own.privateKey, 'secp112r2', octets);
      // four times what ECDH without the cofactor gives, as the other side computes it
      if (inside) assert.equal(BigInt(`0x${agree().toString('hex')}`), times(point, 4n * privateNumber)?.[0]);
      // OpenSSL 3.5 sees it first; an older one does not, and then our own comparison is what refuses it
      else assert.throws(agree);
    }
  });
});

describe("Diffie-Hellman's public values (RFC 2631 section 2.1.5)", () => {
  /** p = 2q + 1, and g = 4 generates the squares. */
  const p = generatePrimeSync(512, { safe: true, bigint: true });
  const q = (p - 1n) / 2n;
  const algorithm = der.sequence(
    der.oid(oids.dhPublicNumber),
    der.sequence(der.integer(p), der.integer(4n), der.integer(q)),
  );
  const privateKey = createPrivateKey({
    key: der.sequence(der.integer(0), algorithm, der.octetString(der.integer(q - 12345n))),
    format: 'der',
    type: 'pkcs8',
  });
  const parameters = der.sequence(der.integer(p), der.integer(4n), der.integer(q));
  const recipient = (y: bigint): PublicKeyInfo => ({
    algorithm: oids.dhPublicNumber,
    parameters,
    key: der.integer(y),
    der: der.sequence(algorithm, der.bitString(der.integer(y))),
  });

  for (const [what, y] of [
    ['-1', -1n],
    ['0', 0n],
    ['1', 1n],
    ['p - 1', p - 1n],
    ['p', p],
    ['p + 4', p + 4n],
  ] as const)
    it(`${what} is out of range, when decrypting and when encrypting`, () => {
      assert.throws(() => agree(privateKey, der.integer(y)), { message: 'public value out of range' });
      assert.throws(() => agreeEphemeral(recipient(y), randomBytes), {
        code: 'encode-recipient',
        message: /out of range/,
      });
    });
  it('the least and the greatest are in range, and judged by their subgroup', () => {
    // of y and -y one is a square, as p = 3 (mod 4)
    for (const [one, other] of [
      [2n, p - 2n],
      [3n, p - 3n],
    ] as const) {
      const outcomes = [one, other].map((y) => {
        try {
          return agree(privateKey, der.integer(y)).length;
        } catch (error) {
          return (error as Error).message;
        }
      });
      assert.deepEqual(outcomes.sort(), [64, 'public value outside the subgroup']);
      assert.equal(agreeEphemeral(recipient(one), randomBytes).secret.length, 64);
    }
  });
});

describe('the parameters of content ciphers', () => {
  const nonce = (octets: number, icv?: number) =>
    der.sequence(der.octetString(Buffer.alloc(octets)), ...(icv === undefined ? [] : [der.integer(icv)]));
  const read = (id: string, parameters: Buffer) =>
    readContentEncryption(readAlgorithm(parse(der.sequence(der.oid(id), parameters))));
  const refused = (id: string, parameters: Buffer, what: string) =>
    assert.throws(() => read(id, parameters), { code: 'cms-malformed', message: /the parameters of/ }, what);

  for (const [name, ivOctets] of [
    ['aes-128-cbc', 16],
    ['aes-256-cbc', 16],
    ['des-ede3-cbc', 8],
    ['rc2-cbc', 8],
    ['chacha20-poly1305', 12],
  ] as const)
    it(`${name}: an IV of ${ivOctets} octets and no other`, () => {
      assert.equal(read(oids[name], der.octetString(Buffer.alloc(ivOctets))).iv.length, ivOctets);
      for (const octets of [0, ivOctets - 1, ivOctets + 1, 2 * ivOctets])
        refused(oids[name], der.octetString(Buffer.alloc(octets)), `${octets} octets`);
    });

  it('RC2 with a version: an IV of 8 octets and no other', () => {
    const versioned = (octets: number) =>
      der.sequence(der.integer(58), der.octetString(Buffer.alloc(octets)));
    assert.equal(read(oids['rc2-cbc'], versioned(8)).effectiveBits, 128);
    for (const octets of [0, 7, 9, 16]) refused(oids['rc2-cbc'], versioned(octets), `${octets} octets`);
  });

  it('GCM: a nonce of 12 or 16 octets, a tag of 12 to 16', () => {
    const gcm = oids['aes-256-gcm'];
    assert.equal(read(gcm, nonce(12)).tagOctets, 12);
    for (const octets of [12, 16]) assert.equal(read(gcm, nonce(octets, 16)).iv.length, octets);
    for (const octets of [0, 8, 11, 13, 15, 17]) refused(gcm, nonce(octets, 16), `nonce of ${octets}`);
    for (let tag = 12; tag <= 16; tag++) assert.equal(read(gcm, nonce(12, tag)).tagOctets, tag);
    for (const tag of [0, 4, 11, 17]) refused(gcm, nonce(12, tag), `tag of ${tag}`);
  });

  it('CCM: a nonce of 7 to 13 octets, a tag of 12, 14 or 16', () => {
    const ccm = oids['aes-256-ccm'];
    for (let octets = 7; octets <= 13; octets++) assert.equal(read(ccm, nonce(octets, 16)).iv.length, octets);
    for (const octets of [0, 6, 14, 16]) refused(ccm, nonce(octets, 16), `nonce of ${octets}`);
    for (const tag of [12, 14, 16]) assert.equal(read(ccm, nonce(12, tag)).tagOctets, tag);
    for (const tag of [4, 8, 10, 11, 13, 15, 17, 18]) refused(ccm, nonce(12, tag), `tag of ${tag}`);
  });
});

describe('the content key after a failed transport (RFC 3218 section 2.3.2)', () => {
  const asked: number[] = [];
  const random = Buffer.alloc(32, 0xaa);
  const options = {
    identities: [],
    randomBytes: (size: number) => {
      asked.push(size);
      return random.subarray(0, size);
    },
  };
  const keyFrom = (encryption: ContentEncryption, recovered: Buffer | undefined) =>
    contentKey({ name: 'x', cost: 0, recover: () => recovered }, encryption, options, new Budget());
  const encryption = freshEncryption('aes-256-gcm').encryption;

  it('is the one that came, where it fits', () => {
    const key = Buffer.alloc(32, 1);
    assert.deepEqual(keyFrom(encryption, key), key);
  });
  for (const [what, recovered] of [
    ['nothing came', undefined],
    ['it is short', Buffer.alloc(31, 1)],
    ['it is long', Buffer.alloc(33, 1)],
    ['it is empty', Buffer.alloc(0)],
  ] as const)
    it(`is a random one of the right length where ${what}`, () => {
      assert.deepEqual(keyFrom(encryption, recovered), random);
      assert.equal(keyFrom(freshEncryption('aes-128-gcm').encryption, recovered).length, 16);
    });
  it('is drawn whether it is needed or not, so that time tells nothing', () => {
    asked.length = 0;
    keyFrom(encryption, Buffer.alloc(32));
    keyFrom(encryption, undefined);
    assert.deepEqual(asked, [32, 32]);
  });
});

describe('signing-certificate attributes (RFC 5035)', () => {
  const alice = createTestCa('ESS').issue({ commonName: 'alice', key: 'rsa2048' });
  const content = Buffer.from('an order');
  const hash = (digest: string, octets: Buffer) => createHash(digest).update(octets).digest();
  const right = { 1: hash('sha1', alice.certificate.der), 2: hash('sha256', alice.certificate.der) };
  const wrong = { 1: randomBytes(20), 2: randomBytes(32) };
  const ess = (version: 1 | 2, value: Buffer) =>
    writeAttribute(
      version === 1 ? oids.signingCertificate : oids.signingCertificateV2,
      der.sequence(der.sequence(der.sequence(der.octetString(value)))),
    );
  function reasonFor(...more: Buffer[]) {
    const attributes = der.setOf(
      writeAttribute(oids.contentType, der.oid(oids.data)),
      writeAttribute(oids.messageDigest, der.octetString(hash('sha256', content))),
      ...more,
    );
    const implicit = Buffer.from(attributes);
    implicit[0] = 0xa0;
    const sha256 = der.sequence(der.oid(oids.sha256));
    const signature = createSign('sha256').update(attributes).sign(alice.privateKey);
    const rsa = der.sequence(der.oid(oids.rsaEncryption), der.nullValue());
    const signer = der.sequence(
      ...[der.integer(1), writeIssuerAndSerial(alice.certificate), sha256, implicit, rsa],
      der.octetString(signature),
    );
    const body = der.sequence(
      der.integer(1),
      der.set(sha256),
      der.sequence(der.oid(oids.data), der.explicit(0, der.octetString(content))),
      der.implicit(0, true, alice.certificate.der),
      der.set(signer),
    );
    const object = der.sequence(der.oid(oids.signedData), der.explicit(0, body));
    const { tail } = readCms([object], { identities: [] });
    assert.ok(tail.type === 'signed-data');
    return tail.signers[0]?.reason;
  }
  for (const [what, attributes, reason] of [
    ['none', [], 'ok'],
    ['version 1', [ess(1, right[1])], 'ok'],
    ['version 2', [ess(2, right[2])], 'ok'],
    ['both', [ess(1, right[1]), ess(2, right[2])], 'ok'],
    ['a wrong version 1', [ess(1, wrong[1])], 'certificate-mismatch'],
    ['a wrong version 2', [ess(2, wrong[2])], 'certificate-mismatch'],
    [
      'a wrong version 1 beside a right version 2',
      [ess(1, wrong[1]), ess(2, right[2])],
      'certificate-mismatch',
    ],
    [
      'a right version 1 beside a wrong version 2',
      [ess(1, right[1]), ess(2, wrong[2])],
      'certificate-mismatch',
    ],
  ] as const)
    it(`${what}: ${reason}`, () => assert.equal(reasonFor(...attributes), reason));
});
