import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { agreeWithCofactor } from '../../src/cms/cofactor.ts';
import { agree } from '../../src/cms/diffie-hellman.ts';
import { type DecryptionIdentity, encodeEnvelopedData } from '../../src/cms/index.ts';
import { agreementByName, deriveKek } from '../../src/cms/key-derivation.ts';
import { des3Wrap, keyWrapByName, rc2Wrap } from '../../src/cms/key-wrap.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import { ownGroups } from './own-groups.ts';
import {
  corpora,
  corpus,
  corpusIdentity,
  envelopedHead,
  type Folder,
  feeds,
  noCorpora,
  noOpenssl,
  openssl,
  readCms,
  temporaryFolder,
} from './support.ts';

const ca = createTestCa();
const content = Buffer.from('Content-Type: text/plain\r\n\r\nagreed\r\n'.repeat(40));
let folder: Folder;

before(() => {
  folder = temporaryFolder();
  folder.write('content', content);
});
after(() => folder[Symbol.dispose]());

function hex(digits: string): Buffer {
  return Buffer.from(digits, 'hex');
}

function pair(privateKey: KeyObject) {
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** Issues a certificate for a key and writes both for openssl. */
function issue(name: string, privateKey: KeyObject): Issued {
  const issued = ca.issue({ commonName: name, key: pair(privateKey), keyUsage: ['keyAgreement'] });
  folder.write(`${name}.pem`, issued.certPem);
  folder.write(`${name}.key`, issued.keyPem);
  return issued;
}

function identity({ certificate, privateKey }: Issued): DecryptionIdentity {
  return { name: 'me', certificate, privateKey };
}

function decryptWithOpenssl(name: string, message: Buffer): Buffer {
  const file = folder.write('message', message);
  const args = [
    '-in',
    file,
    '-inform',
    'DER',
    '-recip',
    folder.path(`${name}.pem`),
    '-inkey',
    folder.path(`${name}.key`),
  ];
  return openssl('cms', '-decrypt', '-binary', ...args);
}

function encryptWithOpenssl(name: string, ...options: string[]): Buffer {
  const out = folder.path('out');
  const [cipher = '-aes128', ...keyOptions] = options;
  const args = ['-in', folder.path('content'), '-outform', 'DER', '-out', out, cipher];
  openssl('cms', '-encrypt', '-binary', ...args, '-recip', folder.path(`${name}.pem`), ...keyOptions);
  return folder.read('out');
}

test('RFC 2631 section 2.1.6: both examples', () => {
  const info = agreementByName.get('esdh');
  assert.ok(info);
  const secret = hex('000102030405060708090a0b0c0d0e0f10111213');
  const first = deriveKek(info, { secret, wrap: des3Wrap, wrapEncoded: des3Wrap.encoded, ukm: undefined });
  assert.equal(first.toString('hex'), 'a09661392376f7044d9052a397883246b67f5f1ef63eb5fb');
  const wrap = rc2Wrap(128);
  const ukm = hex('0123456789abcdeffedcba9876543201'.repeat(4));
  const second = deriveKek(info, { secret, wrap, wrapEncoded: wrap.encoded, ukm });
  assert.equal(second.toString('hex'), '48950c46e0530075403cce72889604e0');
});

test('RFC 3217 sections 3.4 and 4.4: the wraps', () => {
  const fixed =
    (...values: string[]) =>
    () =>
      hex(values.shift() ?? '');
  const des = hex('255e0d1c07b646dfb3134cc843ba8aa71f025b7c0838251f');
  const desKey = hex('2923bf85e06dd6ae529149f1f1bae9eab3a7da3d860d3e98');
  const desWrapped = '690107618ef092b3b48ca1796b234ae9fa33ebb4159604037db5d6a84eb3aac2768c632775a467d4';
  assert.equal(des3Wrap.wrap(des, desKey, fixed('5dd4cbfc96f5453b')).toString('hex'), desWrapped);
  assert.deepEqual(des3Wrap.unwrap(des, hex(desWrapped)), desKey);
  const rc2 = hex('fd04fd08060707fb0003fefffd02fe05');
  const rc2Key = hex('b70a25fbc9d86a86050ce0d711ead4d9');
  const rc2Wrapped = '70e699fb5701f7833330fb71e87c85a420bdc99af05d22af5a0e48d35f3138986cbaafb4b28d4f35';
  const wrapped = rc2Wrap(40).wrap(rc2, rc2Key, fixed('4845cce7fd1250', 'c7d90059b29e97f7'));
  assert.equal(wrapped.toString('hex'), rc2Wrapped);
  assert.deepEqual(rc2Wrap(40).unwrap(rc2, hex(rc2Wrapped)), rc2Key);
});

test('RFC 3394 section 4: AES key wrap', () => {
  const wrap = keyWrapByName('aes-128-wrap');
  const kek = hex('000102030405060708090a0b0c0d0e0f');
  const wrapped = wrap.wrap(kek, hex('00112233445566778899aabbccddeeff'));
  assert.equal(wrapped.toString('hex'), '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5');
  wrapped[3] = 0;
  assert.throws(() => wrap.unwrap(kek, wrapped));
});

for (const kind of ['X9.42', 'PKCS#3']) {
  test(`Diffie-Hellman ${kind}, both ways`, { skip: noOpenssl }, () => {
    const isX942 = kind === 'X9.42';
    const made = isX942
      ? openssl('genpkey', '-algorithm', 'DHX', '-pkeyopt', 'dh_rfc5114:3')
      : openssl('genpkey', '-algorithm', 'DH', '-pkeyopt', 'group:ffdhe2048');
    const who = issue('dh', createPrivateKey(made));
    const identities = [identity(who)];
    for (const [option, name] of [
      ['-des3', 'des-ede3-cbc'],
      ['-aes128', 'aes-128-cbc'],
      ['-aes256', 'aes-256-cbc'],
      ['-rc2-128', 'rc2-128-cbc'],
    ] as const) {
      if (isX942) {
        for (const [feed, pieces] of feeds(encryptWithOpenssl('dh', option))) {
          assert.deepEqual(readCms(pieces, { identities }).content, content, `${name} ${feed}`);
        }
      }
      const recipients = [{ certificate: who.certificate, ukm: Buffer.alloc(64, 7) }];
      const message = encodeEnvelopedData(content, { recipients, contentEncryption: name, allowWeak: true });
      const { head, content: plain } = readCms([message], { identities });
      assert.deepEqual(plain, content);
      assert.equal(envelopedHead(head).recipients[0]?.kind, 'key-agree');
      // OpenSSL cannot do the RC2 wrap, nor agree with PKCS#3 keys in CMS.
      if (isX942 && !name.startsWith('rc2')) assert.deepEqual(decryptWithOpenssl('dh', message), content);
    }
  });
}

for (const namedCurve of [
  'P-256',
  'P-384',
  'P-521',
  'brainpoolP256r1',
  'brainpoolP512r1',
  'secp256k1',
  'sect283k1',
  'sect283r1',
  'sect571r1',
]) {
  test(`ECDH on ${namedCurve}, both ways`, { skip: noOpenssl }, () => {
    const who = issue('ec', generateKeyPairSync('ec', { namedCurve }).privateKey);
    const identities = [identity(who)];
    for (const digest of ['sha1', 'sha224', 'sha256', 'sha384', 'sha512']) {
      for (const extra of [[], ['-des3-wrap'], ['-aes256-wrap']]) {
        const message = encryptWithOpenssl('ec', '-aes128', '-keyopt', `ecdh_kdf_md:${digest}`, ...extra);
        assert.deepEqual(readCms([message], { identities }).content, content, `${digest} ${extra}`);
      }
      const recipients = [{ certificate: who.certificate, digest }];
      const message = encodeEnvelopedData(content, { recipients });
      assert.deepEqual(decryptWithOpenssl('ec', message), content);
      assert.deepEqual(readCms([message], { identities }).content, content);
    }
    const cofactor = encryptWithOpenssl('ec', '-aes128', '-keyopt', 'ecdh_cofactor_mode:1');
    assert.deepEqual(readCms([cofactor], { identities }).content, content);
  });
}

test('X25519 and X448 with HKDF and X9.63, several recipients of mixed kinds', () => {
  const x25519 = issue('x25519', generateKeyPairSync('x25519').privateKey);
  const x448 = issue('x448', generateKeyPairSync('x448').privateKey);
  const rsa = ca.issue({ commonName: 'rsa', key: 'rsa2048' });
  const recipients = [
    { certificate: x25519.certificate, bySubjectKeyIdentifier: true },
    { certificate: x448.certificate, digest: 'sha512', hkdf: false, ukm: Buffer.from('ukm') },
    { certificate: rsa.certificate },
  ];
  const message = encodeEnvelopedData(content, { recipients });
  for (const who of [x25519, x448, rsa]) {
    const { head, content: plain } = readCms([message], { identities: [identity(who)] });
    assert.deepEqual(plain, content);
    const names = envelopedHead(head).recipients.map(({ keyEncryption }) => keyEncryption.name);
    assert.deepEqual(names.toSorted(), [
      'dhSinglePass-stdDH-hkdf-sha256',
      'dhSinglePass-stdDH-sha512kdf',
      'rsa',
    ]);
  }
});

test('S5: public values of 0, 1, p-1 and outside the subgroup are refused', { skip: noOpenssl }, () => {
  const privateKey = createPrivateKey(openssl('genpkey', '-algorithm', 'DHX', '-pkeyopt', 'dh_rfc5114:3'));
  const text = openssl(
    'pkeyparam',
    '-in',
    folder.write('p', openssl('genpkey', '-genparam', '-algorithm', 'DHX', '-pkeyopt', 'dh_rfc5114:3')),
    '-noout',
    '-text',
  ).toString();
  const p = BigInt(`0x${/P:\s*([0-9a-f:\s]+)/.exec(text)?.[1]?.replace(/[^0-9a-f]/g, '')}`);
  for (const y of [0n, 1n, p - 1n, p, 2n]) assert.throws(() => agree(privateKey, der.integer(y)), Error);
});

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [1n, base % modulus];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/** A key of a group of our own. */
function keyOf({ p, q }: { p: bigint; q: bigint }) {
  const g = power(2n, (p - 1n) / q, p);
  const x = q - 12345n;
  const parameters = der.sequence(der.integer(p), der.integer(g), der.integer(q));
  const algorithm = der.sequence(der.oid(oids.dhPublicNumber), parameters);
  const key = der.sequence(der.integer(0), algorithm, der.octetString(der.integer(x)));
  return { g, x, privateKey: createPrivateKey({ key, format: 'der', type: 'pkcs8' }) };
}

// below and above 3,072 bits OpenSSL computes the test of the subgroup by other ways
for (const { bits, ...group } of ownGroups) {
  test(`S5: a group of its own of ${bits} bits: members agree, others are refused`, () => {
    const { p, q } = group;
    const { g, x, privateKey } = keyOf(group);
    const member = power(g, 98765432123456789n, p);
    const secret = agree(privateKey, der.integer(member));
    assert.equal(BigInt(`0x${secret.toString('hex')}`), power(member, x, p));
    assert.equal(secret.length, bits / 8);
    const small = power(3n, q, p);
    for (const y of [2n, small, (member * small) % p, p - member]) {
      assert.throws(() => agree(privateKey, der.integer(y)), {
        message: 'public value outside the subgroup',
      });
    }
  });
}

test('S5: a point of order 2 on a binary curve is refused', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'sect283k1' });
  // y^2 + xy = x^3 + 1 has (0, 1)
  const point = Buffer.alloc(73);
  point[0] = 4;
  point[72] = 1;
  assert.throws(() => agreeWithCofactor(privateKey, 'sect283k1', point));
});

test('S5: a point off the curve gives the one answer', () => {
  const who = issue('ec', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  const message = encodeEnvelopedData(content, { recipients: [{ certificate: who.certificate }] });
  const point = message.indexOf(hex('03420004')) + 4;
  for (const bad of [Buffer.alloc(64), Buffer.alloc(64, 0xff), Buffer.alloc(64, 5)]) {
    bad.copy(message, point);
    assert.throws(() => readCms([message], { identities: [identity(who)] }), {
      code: 'decrypt-failed',
      message: 'the message could not be decrypted with the key it names',
    });
  }
});

test('made by OpenSSL and Bouncy Castle: Diffie-Hellman and ECDH', { skip: noCorpora }, () => {
  const identities = ['dh', 'p256', 'p521', 'bp256'].map((name) =>
    corpusIdentity(name, `made/ids/${name}.pem`),
  );
  const names = readdirSync(join(corpora ?? '', 'made')).filter((name) =>
    /_(?:dh|p256|p521|bp256)_/.test(name),
  );
  const cbc = names.filter((name) => !/GCM|CHACHA/.test(name));
  assert.ok(cbc.length > 15);
  for (const name of cbc) {
    for (const [feed, pieces] of feeds(corpus(`made/${name}`))) {
      const { content: plain } = readCms(pieces, { identities });
      assert.equal(plain.toString().trim(), corpus('made/plain.txt').toString().trim(), `${name} ${feed}`);
    }
  }
});

test('made by Bouncy Castle: Diffie-Hellman with RC2 key wrap', { skip: noCorpora }, () => {
  const identities = [corpusIdentity('smdh', 'openssl/test/smime-certs/smdh.pem')];
  for (const bits of [40, 64, 128]) {
    const { head, content: plain } = readCms([corpus(`made/bc72-esdh-rc2wrap-rc2_${bits}.der`)], {
      identities,
    });
    assert.ok(plain.length > 0);
    const { recipients, encryption } = envelopedHead(head);
    assert.match(recipients[0]?.keyEncryption.parameters.wrap ?? '', /^rc2-/);
    assert.equal(encryption.oid, oids['rc2-cbc']);
  }
});
