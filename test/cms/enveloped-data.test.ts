import assert from 'node:assert/strict';
import { constants, publicEncrypt } from 'node:crypto';
import { after, before, test } from 'node:test';
import {
  CmsReader,
  type DecryptionIdentity,
  type EnvelopedDataOptions,
  EnvelopedDataWriter,
  encodeEnvelopedData,
} from '../../src/cms/index.ts';
import { BufferSink, NullSink } from '../../src/message/sink.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import {
  envelopedHead,
  type Folder,
  feeds,
  noOpenssl,
  openssl,
  readCms,
  temporaryFolder,
} from './support.ts';

const ca = createTestCa();
const alice = ca.issue({ commonName: 'Alice', email: 'alice@example.com', key: 'rsa2048' });
const bob = ca.issue({ commonName: 'Bob', email: 'bob@example.com', key: 'rsa3072' });
const content = Buffer.from('Content-Type: text/plain\r\n\r\nfour score and seven\r\n'.repeat(40));
let folder: Folder;

before(() => {
  folder = temporaryFolder();
  folder.write('content', content);
  for (const [name, { certPem, keyPem }] of [
    ['alice', alice],
    ['bob', bob],
  ] as const) {
    folder.write(`${name}.pem`, certPem);
    folder.write(`${name}.key`, keyPem);
  }
});
after(() => folder[Symbol.dispose]());

function identity(name: string, { certificate, privateKey }: Issued): DecryptionIdentity {
  return { name, certificate, privateKey };
}

/** openssl's option, our name, what the verdict says. */
const ciphers: [string, string, { name: string; effectiveBits?: number; weak: boolean }][] = [
  ['-aes128', 'aes-128-cbc', { name: 'aes-128-cbc', weak: false }],
  ['-aes192', 'aes-192-cbc', { name: 'aes-192-cbc', weak: false }],
  ['-aes256', 'aes-256-cbc', { name: 'aes-256-cbc', weak: false }],
  ['-des3', 'des-ede3-cbc', { name: 'des-ede3-cbc', weak: false }],
  ['-des-cbc', 'des-cbc', { name: 'des-cbc', weak: true }],
  ['-rc2-40', 'rc2-40-cbc', { name: 'rc2-cbc', effectiveBits: 40, weak: true }],
  ['-rc2-64', 'rc2-64-cbc', { name: 'rc2-cbc', effectiveBits: 64, weak: true }],
  ['-rc2-128', 'rc2-128-cbc', { name: 'rc2-cbc', effectiveBits: 128, weak: true }],
  ['-camellia128', 'camellia-128-cbc', { name: 'camellia-128-cbc', weak: false }],
];

const transports: [string, string[], EnvelopedDataOptions['recipients'][number]][] = [
  ['rsa', [], { certificate: alice.certificate }],
  ...['sha1', 'sha256', 'sha384', 'sha512'].map(
    (digest): [string, string[], EnvelopedDataOptions['recipients'][number]] => [
      `oaep ${digest}`,
      ['-keyopt', 'rsa_padding_mode:oaep', '-keyopt', `rsa_oaep_md:${digest}`],
      { certificate: alice.certificate, oaep: { digest } },
    ],
  ),
];

for (const [option, name, expected] of ciphers) {
  for (const streamed of [[], ['-stream']]) {
    test(`openssl writes, we read: ${name} ${streamed.join()}`, { skip: noOpenssl }, () => {
      const out = folder.path('out');
      const recipient = ['-recip', folder.path('alice.pem')];
      openssl(
        'cms',
        '-encrypt',
        '-binary',
        ...streamed,
        '-in',
        folder.path('content'),
        '-outform',
        'DER',
        '-out',
        out,
        option,
        ...recipient,
      );
      for (const [feed, pieces] of feeds(folder.read('out'))) {
        const { head, content: plain } = readCms(pieces, { identities: [identity('a', alice)] });
        assert.deepEqual(plain, content, feed);
        const { encryption, recipients, weak } = envelopedHead(head);
        assert.equal(encryption.name, expected.name);
        assert.equal(encryption.effectiveBits, expected.effectiveBits);
        assert.equal(weak.length > 0, expected.weak);
        assert.equal(recipients[0]?.matched, 'a');
      }
    });
  }

  test(`we write, openssl reads: ${name}, DER and streamed`, { skip: noOpenssl }, () => {
    const options = {
      recipients: [{ certificate: alice.certificate }],
      contentEncryption: name,
      allowWeak: true,
    };
    const streamed = new BufferSink();
    const writer = new EnvelopedDataWriter(options, streamed);
    for (const piece of feeds(content)[1]?.[1] ?? []) writer.write(piece);
    writer.end();
    for (const message of [encodeEnvelopedData(content, options), streamed.toBuffer()]) {
      const file = folder.write('message', message);
      const args = [
        '-in',
        file,
        '-inform',
        'DER',
        '-recip',
        folder.path('alice.pem'),
        '-inkey',
        folder.path('alice.key'),
      ];
      assert.deepEqual(openssl('cms', '-decrypt', '-binary', ...args), content);
    }
  });
}

for (const [name, keyOptions, recipient] of transports) {
  test(`key transport ${name}, both ways`, { skip: noOpenssl }, () => {
    const out = folder.path('out');
    const to = ['-recip', folder.path('alice.pem'), ...keyOptions];
    openssl(
      'cms',
      '-encrypt',
      '-binary',
      '-in',
      folder.path('content'),
      '-outform',
      'DER',
      '-out',
      out,
      '-aes128',
      ...to,
    );
    assert.deepEqual(readCms([folder.read('out')], { identities: [identity('a', alice)] }).content, content);

    const file = folder.write('message', encodeEnvelopedData(content, { recipients: [recipient] }));
    const args = [
      '-in',
      file,
      '-inform',
      'DER',
      '-recip',
      folder.path('alice.pem'),
      '-inkey',
      folder.path('alice.key'),
    ];
    assert.deepEqual(openssl('cms', '-decrypt', '-binary', ...args), content);
  });
}

test('OAEP with another MGF1 digest and a label', { skip: noOpenssl }, () => {
  const keyOptions = [
    'rsa_padding_mode:oaep',
    'rsa_oaep_md:sha256',
    'rsa_mgf1_md:sha1',
    'rsa_oaep_label:00ff61',
  ];
  const to = ['-recip', folder.path('alice.pem'), ...keyOptions.flatMap((option) => ['-keyopt', option])];
  openssl(
    'cms',
    '-encrypt',
    '-binary',
    '-in',
    folder.path('content'),
    '-outform',
    'DER',
    '-out',
    folder.path('out'),
    '-aes128',
    ...to,
  );
  const { head, content: plain } = readCms([folder.read('out')], { identities: [identity('a', alice)] });
  assert.deepEqual(plain, content);
  const { parameters } = envelopedHead(head).recipients[0]?.keyEncryption ?? {};
  assert.deepEqual(parameters, { digest: 'sha256', mgf1: 'sha1', label: '00ff61' });
});

test('many recipients, by issuer and by key identifier; each can read', { skip: noOpenssl }, () => {
  const recipients = [
    { certificate: alice.certificate, bySubjectKeyIdentifier: true },
    { certificate: bob.certificate, oaep: { digest: 'sha256' } },
  ];
  const message = encodeEnvelopedData(content, { recipients });
  folder.write('message', message);
  for (const [name, who] of [
    ['alice', alice],
    ['bob', bob],
  ] as const) {
    const args = [
      '-in',
      folder.path('message'),
      '-inform',
      'DER',
      '-recip',
      folder.path(`${name}.pem`),
      '-inkey',
      folder.path(`${name}.key`),
    ];
    assert.deepEqual(openssl('cms', '-decrypt', '-binary', ...args), content);
    const { head, content: plain } = readCms([message], { identities: [identity(name, who)] });
    assert.deepEqual(plain, content);
    assert.deepEqual(envelopedHead(head).recipients.filter(({ matched }) => matched === name).length, 1);
  }
});

test('every effective key length of RC2 comes back', () => {
  for (const bits of [1, 8, 41, 56, 129, 256, 1024]) {
    const recipients = [{ certificate: alice.certificate }];
    const message = encodeEnvelopedData(content, {
      recipients,
      contentEncryption: `rc2-${bits}-cbc`,
      allowWeak: true,
    });
    const { head, content: plain } = readCms([message], { identities: [identity('a', alice)] });
    assert.deepEqual(plain, content);
    assert.equal(envelopedHead(head).encryption.effectiveBits, bits);
  }
});

test('weak ciphers need the explicit word', () => {
  for (const contentEncryption of ['des-cbc', 'rc2-40-cbc', 'rc2-128-cbc']) {
    const options = { recipients: [{ certificate: alice.certificate }], contentEncryption };
    assert.throws(() => encodeEnvelopedData(content, options), { code: 'encode-policy' });
  }
});

test('no key here: the error names whom it is for and what there is', () => {
  const message = encodeEnvelopedData(content, { recipients: [{ certificate: alice.certificate }] });
  assert.throws(() => readCms([message], { identities: [identity('bob 2026', bob)] }), {
    code: 'decrypt-no-key',
    message: /issuer CN=Test Root serial .*bob 2026/,
  });
});

test('S3: whatever is wrong with key or content, the answer is the same', () => {
  const failures = new Set<string>();
  for (const oaep of [undefined, { digest: 'sha256' }]) {
    const recipients = [
      oaep === undefined ? { certificate: alice.certificate } : { certificate: alice.certificate, oaep },
    ];
    const message = encodeEnvelopedData(content, { recipients });
    const encryptedKey = message.indexOf(Buffer.from('04820100', 'hex')) + 4;
    const badKey = Buffer.from(message);
    badKey[encryptedKey + 100] = (badKey[encryptedKey + 100] ?? 0) ^ 1;
    const tooLarge = Buffer.from(message).fill(0xff, encryptedKey, encryptedKey + 256);
    const zero = Buffer.from(message).fill(0, encryptedKey, encryptedKey + 256);
    const badPadding = Buffer.from(message);
    badPadding[message.length - 17] = (badPadding[message.length - 17] ?? 0) ^ 0x80;
    const wrongKey = [identity('a', { ...alice, privateKey: bob.privateKey })];
    const wrongLength = Buffer.from(message);
    const { publicKey: key } = alice.certificate;
    const padding = oaep === undefined ? constants.RSA_PKCS1_PADDING : constants.RSA_PKCS1_OAEP_PADDING;
    publicEncrypt({ key, padding, oaepHash: 'sha256' }, Buffer.alloc(7, 1)).copy(wrongLength, encryptedKey);
    for (const [bad, identities] of [
      [badKey, [identity('a', alice)]],
      [tooLarge, [identity('a', alice)]],
      [zero, [identity('a', alice)]],
      [badPadding, [identity('a', alice)]],
      [message, wrongKey],
      [wrongLength, [identity('a', alice)]],
    ] as const) {
      // A random key gives valid padding once in 256 times, and then garbage.
      for (let tries = 0; ; tries++) {
        try {
          readCms([bad], { identities });
          assert.ok(tries < 5, 'garbage came out');
        } catch (error) {
          assert.ok(error instanceof Error && 'code' in error);
          failures.add(`${error.code}: ${error.message}`);
          break;
        }
      }
    }
  }
  assert.deepEqual(
    [...failures],
    ['decrypt-failed: the message could not be decrypted with the key it names'],
  );
});

test('S10: hostile BER is an error', () => {
  const open = Buffer.from('3080', 'hex');
  const read = (octets: Buffer) => readCms([octets], { identities: [identity('a', alice)] });
  assert.throws(() => read(Buffer.alloc(200_000, open)), { code: /^(asn1|cms)-/ });
  const message = encodeEnvelopedData(content, { recipients: [{ certificate: alice.certificate }] });
  assert.throws(() => read(message.subarray(0, -1)), { code: 'asn1-truncated' });
  assert.throws(() => read(Buffer.concat([message, Buffer.alloc(1)])), { code: 'asn1-malformed' });
  // A head that promises 2^40 octets of recipients is refused at its header.
  assert.throws(
    () => read(Buffer.from('308006092a864886f70d010703a0803080020100318601000000000000', 'hex')),
    {
      code: 'cms-limit',
    },
  );
  // 100,000 levels inside the recipients, which are collected
  const levels = Buffer.concat([
    Buffer.from('308006092a864886f70d010703a08030800201003180', 'hex'),
    Buffer.alloc(200_000, open),
  ]);
  assert.throws(() => read(levels), { code: 'asn1-limit' });
});

test('S10: a million segments of encrypted content are refused', () => {
  const sink = new BufferSink();
  const writer = new EnvelopedDataWriter({ recipients: [{ certificate: alice.certificate }] }, sink);
  writer.end();
  const whole = sink.toBuffer();
  const opened = whole.lastIndexOf(Buffer.from('a080', 'hex')) + 2;
  const bomb = Buffer.concat([
    whole.subarray(0, opened),
    Buffer.alloc(3_000_000, Buffer.from('040161', 'hex')),
  ]);
  assert.throws(() => readCms([bomb], { identities: [identity('a', alice)] }), { code: 'asn1-limit' });
});

test('S12: 10,000 recipients are refused', () => {
  const one = encodeEnvelopedData(content, { recipients: [{ certificate: alice.certificate }] });
  assert.doesNotThrow(() => readCms([one], { identities: [identity('a', alice)] }));
  const recipients = Array.from({ length: 1001 }, () => ({ certificate: alice.certificate }));
  const many = encodeEnvelopedData(content, { recipients });
  assert.throws(() => readCms([many], { identities: [identity('a', alice)] }), { code: 'cms-limit' });
});

test('after a failure a reader stays failed', () => {
  const reader = new CmsReader({ onHead: () => new NullSink(), onTail: () => {} }, { identities: [] });
  assert.throws(() => reader.write(Buffer.from([0, 0])), { code: 'asn1-malformed' });
  assert.throws(() => reader.write(encodeEnvelopedData(content, { recipients: [alice] })), {
    code: 'asn1-malformed',
  });
  assert.throws(() => reader.end(), { code: 'asn1-malformed' });
});
