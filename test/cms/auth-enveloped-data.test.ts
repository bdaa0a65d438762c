import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { writeAttribute } from '../../src/cms/attributes.ts';
import { type CmsOptions, EnvelopedDataWriter, encodeEnvelopedData } from '../../src/cms/index.ts';
import { writeKeyTrans } from '../../src/cms/recipients/key-trans.ts';
import { BufferSink } from '../../src/message/sink.ts';
import { createTestCa } from '../support/ca.ts';
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
const alice = ca.issue({ commonName: 'Alice', key: 'rsa2048' });
const options: CmsOptions = {
  identities: [{ name: 'alice', certificate: alice.certificate, privateKey: alice.privateKey }],
};
const content = Buffer.from('Content-Type: text/plain\r\n\r\nauthenticated\r\n'.repeat(40));
let folder: Folder;

before(() => {
  folder = temporaryFolder();
  folder.write('content', content);
  folder.write('alice.pem', alice.certPem);
  folder.write('alice.key', alice.keyPem);
});
after(() => folder[Symbol.dispose]());

for (const cipher of ['aes-128-gcm', 'aes-192-gcm', 'aes-256-gcm']) {
  test(`${cipher}, both ways`, { skip: noOpenssl }, () => {
    const out = folder.path('out');
    for (const streamed of [[], ['-stream']]) {
      const args = ['-in', folder.path('content'), '-outform', 'DER', '-out', out, `-${cipher}`, ...streamed];
      openssl('cms', '-encrypt', '-binary', ...args, '-recip', folder.path('alice.pem'));
      for (const [feed, pieces] of feeds(folder.read('out'))) {
        const { head, content: plain } = readCms(pieces, options);
        assert.deepEqual(plain, content, feed);
        assert.deepEqual([head.type, envelopedHead(head).encryption.aead], ['auth-enveloped-data', true]);
      }
    }
    const settings = { recipients: [alice], contentEncryption: cipher };
    const sink = new BufferSink();
    const writer = new EnvelopedDataWriter(settings, sink);
    for (const piece of feeds(content)[1]?.[1] ?? []) writer.write(piece);
    writer.end();
    for (const message of [encodeEnvelopedData(content, settings), sink.toBuffer()]) {
      const args = [
        '-in',
        folder.write('message', message),
        '-inform',
        'DER',
        '-recip',
        folder.path('alice.pem'),
      ];
      assert.deepEqual(
        openssl('cms', '-decrypt', '-binary', ...args, '-inkey', folder.path('alice.key')),
        content,
      );
    }
  });
}

test('ChaCha20-Poly1305 comes back', () => {
  const message = encodeEnvelopedData(content, {
    recipients: [alice],
    contentEncryption: 'chacha20-poly1305',
  });
  for (const [feed, pieces] of feeds(message))
    assert.deepEqual(readCms(pieces, options).content, content, feed);
});

/** AuthEnvelopedData with authenticated attributes, made by node's GCM or CCM alone. */
function withAttributes(cipher: 'aes-256-gcm' | 'aes-256-ccm', size: number, tagOctets: number): Buffer {
  const key = Buffer.alloc(32, 3);
  const iv = Buffer.alloc(12, 4);
  const plain = Buffer.alloc(size, 'x');
  const attributes = der.setOf(writeAttribute(oids.contentType, der.oid(oids.tstInfo)));
  const encryptor =
    cipher === 'aes-256-gcm'
      ? createCipheriv(cipher, key, iv, { authTagLength: tagOctets }).setAAD(attributes)
      : createCipheriv(cipher, key, iv, { authTagLength: tagOctets }).setAAD(attributes, {
          plaintextLength: size,
        });
  const encrypted = Buffer.concat([encryptor.update(plain), encryptor.final()]);
  const parameters = der.sequence(der.octetString(iv), der.integer(tagOctets));
  const info = der.sequence(
    der.oid(oids.tstInfo),
    der.sequence(der.oid(oids[cipher]), parameters),
    der.implicit(0, false, encrypted),
  );
  const implicit = Buffer.from(attributes);
  implicit[0] = 0xa1;
  const mac = der.octetString(encryptor.getAuthTag());
  const recipients = der.set(writeKeyTrans(key, alice));
  const body = der.sequence(der.integer(0), recipients, info, implicit, mac);
  return der.sequence(der.oid(oids.authEnvelopedData), der.explicit(0, body));
}

test('authenticated attributes count, though they come after the content', () => {
  for (const cipher of ['aes-256-gcm', 'aes-256-ccm'] as const) {
    for (const [size, tagOctets] of [
      [0, 16],
      [1, 16],
      [16, 12],
      [1000, 14],
      [100_000, 16],
    ] as const) {
      const message = withAttributes(cipher, size, tagOctets);
      assert.equal(readCms([message], options).content.length, size, `${cipher} ${size}`);
      const changed = Buffer.from(message);
      const at = changed.lastIndexOf(der.oid(oids.tstInfo)) + 5;
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.throws(() => readCms([changed], options), { code: 'decrypt-failed' });
    }
  }
});

test('S1, S4: a changed octet or tag is never the end of the content', () => {
  for (const contentEncryption of ['aes-256-gcm', 'chacha20-poly1305']) {
    const message = encodeEnvelopedData(content, { recipients: [alice], contentEncryption });
    for (const back of [1, 16, 30, 500]) {
      const changed = Buffer.from(message);
      changed[message.length - back] = (changed[message.length - back] ?? 0) ^ 1;
      assert.throws(() => readCms([changed], options), {
        code: 'decrypt-failed',
        message: 'the message could not be decrypted with the key it names',
      });
    }
  }
});

test('S4: short tags and odd nonces are refused', () => {
  assert.throws(() => readCms([withAttributes('aes-256-gcm', 10, 8)], options), { code: 'cms-malformed' });
});

test('S4, CVE-2026-34182: a cipher that authenticates nothing is refused in AuthEnvelopedData', () => {
  const message = encodeEnvelopedData(content, { recipients: [alice] });
  // The same length: the content type's OID grows by two octets, and the version's INTEGER goes.
  const enveloped = der.oid(oids.envelopedData);
  const start = message.indexOf(enveloped) + enveloped.length;
  const forged = der.sequence(der.oid(oids.authEnvelopedData), message.subarray(start));
  assert.throws(() => readCms([forged], options), {
    code: 'cms-malformed',
    message: /authenticates nothing/,
  });
});

test('S4: AEAD inside EnvelopedData needs the explicit word', { skip: noCorpora }, () => {
  const identities = [corpusIdentity('rsa', 'made/ids/rsa.pem')];
  const message = corpus('made/B72_rsa_pkcs1_CHACHA.der');
  assert.throws(() => readCms([message], { identities }), { code: 'decrypt-policy' });
  const { content: plain } = readCms([message], { identities, aeadInEnvelopedData: true });
  assert.equal(plain.toString().trim(), corpus('made/plain.txt').toString().trim());
});

test('made by OpenSSL and Bouncy Castle: AES-GCM', { skip: noCorpora }, () => {
  const identities = ['rsa', 'dh', 'p256'].map((name) => corpusIdentity(name, `made/ids/${name}.pem`));
  const names = readdirSync(join(corpora ?? '', 'made')).filter((name) => name.includes('GCM'));
  assert.ok(names.length >= 6);
  for (const name of names) {
    for (const [feed, pieces] of feeds(corpus(`made/${name}`))) {
      const { content: plain } = readCms(pieces, { identities, aeadInEnvelopedData: true });
      assert.equal(plain.toString().trim(), corpus('made/plain.txt').toString().trim(), `${name} ${feed}`);
    }
  }
});

test('EncryptedData: RFC 4134 7.1 and 7.2, and by openssl', { skip: noCorpora || noOpenssl }, () => {
  const key = Buffer.from('737c791f25ead0e04629254352f7dc6291e5cb26917ada32', 'hex');
  const keys = { contentKeys: [{ name: 'agreed', key }] };
  for (const file of ['7.1', '7.2']) {
    const { head, tail, content: plain } = readCms([corpus(`rfc4134/${file}.bin`)], keys);
    assert.equal(plain.toString(), 'This is some sample content.');
    assert.equal(head.type, 'encrypted-data');
    assert.equal(
      'unprotectedAttributes' in tail && tail.unprotectedAttributes.length,
      file === '7.1' ? 0 : 1,
    );
  }
  const args = ['-secretkey', key.toString('hex'), '-des3', '-in', folder.path('content'), '-outform', 'DER'];
  openssl('cms', '-EncryptedData_encrypt', '-binary', ...args, '-out', folder.path('out'));
  assert.deepEqual(readCms([folder.read('out')], keys).content, content);
  assert.throws(() => readCms([folder.read('out')]), { code: 'decrypt-no-key' });
});

for (const cipher of ['aes-128-ccm', 'aes-192-ccm', 'aes-256-ccm']) {
  test(`${cipher} is written, and read again`, () => {
    const settings = { recipients: [alice], contentEncryption: cipher };
    const sink = new BufferSink();
    const writer = new EnvelopedDataWriter(settings, sink);
    for (const piece of feeds(content)[1]?.[1] ?? []) writer.write(piece);
    writer.end();
    for (const message of [encodeEnvelopedData(content, settings), sink.toBuffer()]) {
      const { head, content: plain } = readCms([message], options);
      assert.deepEqual(plain, content);
      assert.deepEqual([head.type, envelopedHead(head).encryption.name], ['auth-enveloped-data', cipher]);
      for (const at of [message.length - 1, message.length - 40]) {
        const changed = Buffer.from(message);
        changed[at] = (changed[at] ?? 0) ^ 1;
        assert.throws(() => readCms([changed], options));
      }
    }
  });
}

test('AES-CCM is written up to what its length field holds', () => {
  const settings = { recipients: [alice], contentEncryption: 'aes-128-ccm' };
  const most = Buffer.alloc(2 ** 24 - 1, 'octets\r\n');
  const { content: plain } = readCms([encodeEnvelopedData(most, settings)], options);
  assert.ok(plain?.equals(most));
  const one = Buffer.concat([most, Buffer.from('x')]);
  assert.throws(() => encodeEnvelopedData(one, settings), { code: 'cms-limit', message: /CCM/ });
});
