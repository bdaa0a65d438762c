import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  ContentDigests,
  encodeDetachedSignature,
  encodeSignedData,
  type SignedDataOptions,
  SignedDataWriter,
} from '../../src/cms/index.ts';
import { BufferSink } from '../../src/message/sink.ts';
import { createTestCa, type Issued, type TestKeyKind } from '../support/ca.ts';
import { type Folder, feeds, noOpenssl, openssl, readCms, signedTail, temporaryFolder } from './support.ts';

const ca = createTestCa();
const signers = new Map<TestKeyKind, Issued>(
  (['rsa2048', 'p256', 'p384', 'p521'] satisfies TestKeyKind[]).map((key) => [
    key,
    ca.issue({ commonName: key, key }),
  ]),
);
const content = Buffer.from('Content-Type: text/plain\r\n\r\nsigned by hand\r\n'.repeat(40));
let folder: Folder;

before(() => {
  folder = temporaryFolder();
  folder.write('content', content);
  folder.write('ca.pem', ca.pem);
  for (const [name, { certPem, keyPem }] of signers) folder.write(`${name}.pem`, certPem + keyPem);
});
after(() => folder[Symbol.dispose]());

function digested(name: string, octets: Buffer) {
  const digests = new ContentDigests([name]);
  digests.write(octets);
  digests.end();
  return digests.result;
}

/** key, digest, openssl's options, our options */
const cases: [TestKeyKind, string, string[], { pss?: boolean }][] = [
  ...['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'md5'].map((digest): (typeof cases)[number] => [
    'rsa2048',
    digest,
    [],
    {},
  ]),
  ...['sha1', 'sha256', 'sha384', 'sha512'].map((digest): (typeof cases)[number] => [
    'rsa2048',
    digest,
    ['-keyopt', 'rsa_padding_mode:pss'],
    { pss: true },
  ]),
  ['p256', 'sha256', [], {}],
  ['p256', 'sha1', [], {}],
  ['p384', 'sha384', [], {}],
  ['p521', 'sha512', [], {}],
];

for (const [key, digest, options, own] of cases) {
  const title = `${key} ${digest} ${options.at(-1) ?? ''}`;
  for (const attributes of [[], ['-noattr']]) {
    test(`openssl signs, we verify: ${title} ${attributes}`, { skip: noOpenssl }, () => {
      const out = folder.path('out');
      const args = [
        '-in',
        folder.path('content'),
        '-outform',
        'DER',
        '-out',
        out,
        '-signer',
        folder.path(`${key}.pem`),
      ];
      openssl('cms', '-sign', '-binary', '-nodetach', '-md', digest, ...args, ...options, ...attributes);
      for (const [feed, pieces] of feeds(folder.read('out'))) {
        const { tail, content: octets } = readCms(pieces);
        assert.deepEqual(octets, content);
        const [signer] = signedTail(tail).signers;
        assert.equal(signer?.reason, 'ok', feed);
        assert.equal(signer?.digestAlgorithm, digest);
        assert.equal(signer?.certificate?.thumbprint, signers.get(key)?.certificate.thumbprint);
        assert.equal(signer?.weak.length, digest === 'sha1' || digest === 'md5' ? 1 : 0);
        assert.equal(signer?.signedAttributes === undefined, attributes.length > 0);
      }
      openssl('cms', '-sign', '-binary', '-md', digest, ...args, ...options, ...attributes);
      const detached = folder.read('out');
      const good = signedTail(readCms([detached], { detached: digested(digest, content) }).tail);
      assert.equal(good.signers[0]?.reason, 'ok');
      const changed = Buffer.concat([content, Buffer.from(' ')]);
      const bad = signedTail(readCms([detached], { detached: digested(digest, changed) }).tail);
      assert.equal(bad.signers[0]?.valid, false);
    });
  }

  test(`we sign, openssl verifies: ${title}`, { skip: noOpenssl }, () => {
    const signer = signers.get(key);
    assert.ok(signer);
    const settings: SignedDataOptions = {
      signers: [{ certificate: signer.certificate, privateKey: signer.privateKey, digest, ...own }],
      signingTime: new Date('2026-02-03T04:05:06Z'),
      capabilities: ['aes-256-cbc', 'aes-128-cbc', 'rc2-40-cbc'],
      allowWeak: true,
    };
    const streamed = new BufferSink();
    const writer = new SignedDataWriter(settings, streamed);
    for (const piece of feeds(content)[1]?.[1] ?? []) writer.write(piece);
    writer.end();
    for (const message of [encodeSignedData(content, settings), streamed.toBuffer()]) {
      const file = folder.write('message', message);
      const args = ['-in', file, '-inform', 'DER', '-CAfile', folder.path('ca.pem'), '-purpose', 'any'];
      assert.deepEqual(openssl('cms', '-verify', '-binary', ...args), content);
      const { tail } = readCms([message]);
      const [facts] = signedTail(tail).signers;
      assert.equal(facts?.reason, 'ok');
      assert.equal(facts?.signedAttributes?.signingTime?.toISOString(), '2026-02-03T04:05:06.000Z');
      assert.deepEqual(facts?.signedAttributes?.smimeCapabilities, settings.capabilities);
    }
    const file = folder.write(
      'message',
      encodeDetachedSignature(digested(digest, content).digests, settings),
    );
    const args = [
      '-in',
      file,
      '-inform',
      'DER',
      '-CAfile',
      folder.path('ca.pem'),
      '-content',
      folder.path('content'),
    ];
    assert.deepEqual(openssl('cms', '-verify', '-binary', '-purpose', 'any', ...args), content);
  });
}

test('PSS with the longest salt and with other lengths', { skip: noOpenssl }, () => {
  for (const salt of ['-2', '-1', '0', '7']) {
    const keyOptions = ['rsa_padding_mode:pss', `rsa_pss_saltlen:${salt}`].flatMap((option) => [
      '-keyopt',
      option,
    ]);
    const args = ['-in', folder.path('content'), '-outform', 'DER', '-out', folder.path('out')];
    openssl(
      'cms',
      '-sign',
      '-binary',
      '-nodetach',
      ...args,
      '-signer',
      folder.path('rsa2048.pem'),
      ...keyOptions,
    );
    assert.equal(signedTail(readCms([folder.read('out')]).tail).signers[0]?.reason, 'ok', salt);
  }
});

test('several signers are reported one by one; a changed one does not spoil the other', () => {
  const all = [...signers.values()].map(({ certificate, privateKey }) => ({ certificate, privateKey }));
  const message = encodeSignedData(content, { signers: all });
  const reasons = (octets: Buffer) => signedTail(readCms([octets]).tail).signers.map(({ reason }) => reason);
  assert.deepEqual(reasons(message), ['ok', 'ok', 'ok', 'ok']);
  const changed = Buffer.from(message);
  changed[message.length - 5] = (changed[message.length - 5] ?? 0) ^ 1;
  assert.deepEqual(
    reasons(changed).filter((reason) => reason !== 'ok'),
    ['signature-mismatch'],
  );
});

test('changed content is a digest mismatch, missing content is said so', () => {
  const [signer] = [...signers.values()];
  assert.ok(signer);
  const options = { signers: [{ certificate: signer.certificate, privateKey: signer.privateKey }] };
  const message = encodeSignedData(content, options);
  message[message.indexOf('signed by hand')] = 0x53;
  assert.equal(signedTail(readCms([message]).tail).signers[0]?.reason, 'digest-mismatch');
  const detached = encodeDetachedSignature(digested('sha256', content).digests, options);
  assert.equal(signedTail(readCms([detached]).tail).signers[0]?.reason, 'content-missing');
});

test('S6: a detached signature with content of its own is refused', () => {
  const [signer] = [...signers.values()];
  assert.ok(signer);
  const message = encodeSignedData(content, { signers: [signer] });
  assert.throws(() => readCms([message], { detached: digested('sha256', content) }), {
    code: 'cms-malformed',
  });
});

test('a signature without its certificate needs one from the caller', { skip: noOpenssl }, () => {
  const args = [
    '-in',
    folder.path('content'),
    '-outform',
    'DER',
    '-out',
    folder.path('out'),
    '-nocerts',
    '-nodetach',
  ];
  openssl('cms', '-sign', '-binary', ...args, '-signer', folder.path('p256.pem'));
  const message = folder.read('out');
  assert.equal(signedTail(readCms([message]).tail).signers[0]?.reason, 'certificate-missing');
  const certificates = [...signers.values()].map(({ certificate }) => certificate);
  assert.equal(signedTail(readCms([message], { certificates }).tail).signers[0]?.reason, 'ok');
});

test('certs-only and key identifiers', { skip: noOpenssl }, () => {
  const args = ['-nocrl', '-outform', 'DER', '-certfile', folder.path('ca.pem'), '-out', folder.path('out')];
  openssl('crl2pkcs7', ...args);
  const tail = signedTail(readCms([folder.read('out')]).tail);
  assert.deepEqual([tail.certificates.length, tail.signers.length], [1, 0]);
  openssl(
    'cms',
    '-sign',
    '-nodetach',
    '-keyid',
    '-binary',
    '-in',
    folder.path('content'),
    '-outform',
    'DER',
    '-out',
    folder.path('out'),
    '-signer',
    folder.path('p256.pem'),
  );
  const [signer] = signedTail(readCms([folder.read('out')]).tail).signers;
  assert.deepEqual([signer?.reason, signer?.identifier.type], ['ok', 'subject-key-identifier']);
});

test('weak digests need the explicit word', () => {
  const [signer] = [...signers.values()];
  assert.ok(signer);
  for (const digest of ['md5', 'sha1']) {
    assert.throws(() => encodeSignedData(content, { signers: [{ ...signer, digest }] }), {
      code: 'encode-policy',
    });
  }
});
