import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { after, before, test } from 'node:test';
import { encodeSignedData, type SignerReport } from '../../src/cms/index.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import { type Folder, feeds, noOpenssl, openssl, readCms, signedTail, temporaryFolder } from './support.ts';

const ca = createTestCa();
const content = Buffer.from('Content-Type: text/plain\r\n\r\nsigned in other ways\r\n'.repeat(20));
let folder: Folder;

before(() => {
  folder = temporaryFolder();
  folder.write('content', content);
  folder.write('ca.pem', ca.pem);
});
after(() => folder[Symbol.dispose]());

function issue(privateKey: KeyObject): Issued {
  const issued = ca.issue({
    commonName: 'signer',
    key: { privateKey, publicKey: createPublicKey(privateKey) },
  });
  folder.write('signer.pem', issued.certPem + issued.keyPem);
  return issued;
}

function signers(message: Buffer): SignerReport[] {
  return signedTail(readCms([message]).tail).signers;
}

function signWithOpenssl(...options: string[]): Buffer {
  const args = ['-in', folder.path('content'), '-outform', 'DER', '-out', folder.path('out')];
  openssl('cms', '-sign', '-binary', '-nodetach', ...args, '-signer', folder.path('signer.pem'), ...options);
  return folder.read('out');
}

function verifyWithOpenssl(message: Buffer): Buffer {
  const args = ['-in', folder.write('message', message), '-inform', 'DER', '-CAfile', folder.path('ca.pem')];
  return openssl('cms', '-verify', '-binary', '-purpose', 'any', ...args);
}

test('DSA, both ways, with and without attributes', { skip: noOpenssl }, () => {
  const parameters = folder.write(
    'dsa',
    openssl('genpkey', '-genparam', '-algorithm', 'DSA', '-pkeyopt', 'dsa_paramgen_bits:1024'),
  );
  const signer = issue(createPrivateKey(openssl('genpkey', '-paramfile', parameters)));
  for (const digest of ['sha1', 'sha224', 'sha256']) {
    const written = encodeSignedData(content, { signers: [{ ...signer, digest }], allowWeak: true });
    assert.deepEqual(verifyWithOpenssl(written), content);
    const [read] = signers(written);
    assert.deepEqual(
      [read?.reason, read?.signatureAlgorithm.name],
      ['ok', `dsaWith${digest.replace('sha', 'Sha')}`],
    );
    for (const attributes of [[], ['-noattr']]) {
      const [facts] = signers(signWithOpenssl('-md', digest, ...attributes));
      assert.deepEqual([facts?.reason, facts?.digestAlgorithm], ['ok', digest]);
    }
  }
  // RFC 5754 has no name for it
  const options = { signers: [{ ...signer, digest: 'sha512' }] };
  assert.throws(() => encodeSignedData(content, options), { code: 'encode-signer' });
});

test('a key that is only for PSS, both ways', { skip: noOpenssl }, () => {
  const signer = issue(
    createPrivateKey(openssl('genpkey', '-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048')),
  );
  assert.deepEqual(verifyWithOpenssl(encodeSignedData(content, { signers: [signer] })), content);
  const [facts] = signers(signWithOpenssl('-md', 'sha256', '-keyopt', 'rsa_padding_mode:pss'));
  assert.deepEqual([facts?.reason, facts?.signatureAlgorithm.name], ['ok', 'rsassaPss']);
});

test('SHA-3 with RSA, both ways; with ECDSA it comes back', { skip: noOpenssl }, () => {
  const rsa = issue(ca.issue({ commonName: 'rsa', key: 'rsa2048' }).privateKey);
  const ec = ca.issue({ commonName: 'ec', key: 'p256' });
  for (const digest of ['sha3-256', 'sha3-512']) {
    assert.equal(signers(signWithOpenssl('-md', digest))[0]?.reason, 'ok');
    assert.deepEqual(
      verifyWithOpenssl(encodeSignedData(content, { signers: [{ ...rsa, digest }] })),
      content,
    );
    // The CMS of OpenSSL 3.0 has no ECDSA with SHA-3.
    const [facts] = signers(encodeSignedData(content, { signers: [{ ...ec, digest }] }));
    assert.deepEqual([facts?.reason, facts?.signatureAlgorithm.name], ['ok', `ecdsa-with-${digest}`]);
  }
});

test('Ed25519 and Ed448 come back with the digests of RFC 8419, a changed attribute does not', () => {
  // The CMS of OpenSSL 3.0 cannot do either.
  for (const [key, digest] of [
    [generateKeyPairSync('ed25519').privateKey, 'sha512'],
    [generateKeyPairSync('ed448').privateKey, 'shake256'],
  ] as const) {
    const settings = { signers: [issue(key)], signingTime: new Date('2026-01-01T00:00:00Z') };
    const message = encodeSignedData(content, settings);
    for (const [feed, pieces] of feeds(message)) {
      const [facts] = signedTail(readCms(pieces).tail).signers;
      assert.deepEqual([facts?.reason, facts?.digestAlgorithm], ['ok', digest], feed);
    }
    message[message.indexOf('260101000000Z')] = 0x33;
    assert.equal(signers(message)[0]?.reason, 'signature-mismatch');
  }
});

test('ML-DSA comes back, a changed signature does not', () => {
  for (const type of ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const) {
    const { privateKey, publicKey } = makeMlDsa(type);
    const signer = ca.issue({ commonName: type, key: { privateKey, publicKey } });
    const message = encodeSignedData(content, { signers: [signer] });
    assert.deepEqual(
      signers(message).map(({ reason, signatureAlgorithm }) => [reason, signatureAlgorithm.name]),
      [['ok', type]],
    );
    message[message.length - 100] = (message[message.length - 100] ?? 0) ^ 1;
    assert.deepEqual(
      signers(message).map(({ reason }) => reason),
      ['signature-mismatch'],
    );
  }
});

function makeMlDsa(type: 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87') {
  switch (type) {
    case 'ml-dsa-44':
      return generateKeyPairSync('ml-dsa-44');
    case 'ml-dsa-65':
      return generateKeyPairSync('ml-dsa-65');
    case 'ml-dsa-87':
      return generateKeyPairSync('ml-dsa-87');
  }
}
