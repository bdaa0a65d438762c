import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContentDigests, type DecryptionIdentity } from '../../src/cms/index.ts';
import { parseCertificate, readCertificates } from '../../src/pki/index.ts';
import { corpora, corpus, envelopedHead, feeds, noCorpora, readCms, signedTail } from './support.ts';

function pemIdentity(name: string, certificate: string, key: string): DecryptionIdentity {
  const [first] = readCertificates(corpus(certificate));
  assert.ok(first);
  return { name, certificate: first, privateKey: createPrivateKey(corpus(key)) };
}

function bob(): DecryptionIdentity {
  return {
    name: 'bob',
    certificate: parseCertificate(corpus('rfc4134/BobRSASignByCarl.cer')),
    privateKey: createPrivateKey({
      key: corpus('rfc4134/BobPrivRSAEncrypt.pri'),
      format: 'der',
      type: 'pkcs8',
    }),
  };
}

const sample = Buffer.from('This is some sample content.');

test('Heimdal: enveloped with every old cipher', { skip: noCorpora }, () => {
  const identities = [pemIdentity('heimdal', 'heimdal/test.crt', 'heimdal/test.key')];
  for (const cipher of ['des', 'des-ede3', 'rc2-40', 'rc2-64', 'rc2-128', 'aes-128', 'aes-256']) {
    for (const [feed, pieces] of feeds(corpus(`heimdal/test-enveloped-${cipher}`))) {
      assert.deepEqual(
        readCms(pieces, { identities }).content,
        corpus('heimdal/static-file'),
        `${cipher} ${feed}`,
      );
    }
  }
});

test('Heimdal: signed, with and without attributes and certificates', { skip: noCorpora }, () => {
  const certificates = readCertificates(corpus('heimdal/test.crt'));
  for (const kind of ['data', 'data-noattr', 'data-noattr-nocerts', 'sha-1', 'sha-256', 'sha-512']) {
    const { tail, content } = readCms([corpus(`heimdal/test-signed-${kind}`)], { certificates });
    assert.deepEqual(content, corpus('heimdal/static-file'), kind);
    assert.deepEqual(
      signedTail(tail).signers.map(({ reason }) => reason),
      ['ok'],
      kind,
    );
  }
});

test('RFC 4134: enveloped 5.1 and 5.2', { skip: noCorpora }, () => {
  for (const [file, cipher] of [
    ['5.1', 'des-ede3-cbc'],
    ['5.2', 'rc2-cbc'],
  ]) {
    for (const [feed, pieces] of feeds(corpus(`rfc4134/${file}.bin`))) {
      const { head, content } = readCms(pieces, { identities: [bob()] });
      assert.deepEqual(content, sample, `${file} ${feed}`);
      assert.equal(envelopedHead(head).encryption.name, cipher);
    }
  }
});

test('RFC 4134: signed 4.1 to 4.11, with inherited parameters and octets as received', {
  skip: noCorpora,
}, () => {
  const digests = new ContentDigests(['sha1']);
  digests.write(corpus('rfc4134/ExContent.bin'));
  digests.end();
  // Diane's parameters are Carl's (4.6).
  const certificates = [parseCertificate(corpus('rfc4134/CarlDSSSelf.cer'))];
  for (const [file, expected] of Object.entries({
    '4.1': ['ok'],
    '4.2': ['ok'],
    '4.4': ['ok'],
    '4.5': ['ok'],
    '4.6': ['ok', 'ok'],
    '4.7': ['ok'],
    '4.10': ['ok'],
    '4.11': [],
  })) {
    for (const [feed, pieces] of feeds(corpus(`rfc4134/${file}.bin`))) {
      const { tail, content } = readCms(pieces, { certificates });
      assert.deepEqual(
        signedTail(tail).signers.map(({ reason }) => reason),
        expected,
        `${file} ${feed}`,
      );
      if (expected.length > 0) assert.deepEqual(content, sample);
    }
  }
  const { tail } = readCms([corpus('rfc4134/4.3.bin')], { detached: digests.result });
  assert.deepEqual(
    signedTail(tail).signers.map(({ reason }) => reason),
    ['ok'],
  );
});

test('OpenSSL and Bouncy Castle: RSA with PKCS#1 and OAEP', { skip: noCorpora }, () => {
  const identities = [pemIdentity('rsa', 'made/ids/rsa.pem', 'made/ids/rsa.pem')];
  const names = readdirSync(join(corpora ?? '', 'made')).filter((name) =>
    /_rsa_.*_(?:AES|DES|RC2)/.test(name),
  );
  assert.ok(names.length > 10);
  for (const name of names) {
    for (const [feed, pieces] of feeds(corpus(`made/${name}`))) {
      const { content } = readCms(pieces, { identities });
      assert.equal(content.toString().trim(), corpus('made/plain.txt').toString().trim(), `${name} ${feed}`);
    }
  }
});

test('Bouncy Castle: a key of 24 octets under AES-128 and AES-256', { skip: noCorpora }, () => {
  const identities = [pemIdentity('bc', 'bc-java-mail/cert.pem', 'bc-java-mail/key.pem')];
  for (const bits of [128, 192, 256]) {
    const mail = corpus(`bc-java-mail/test${bits}.message`).toString('latin1');
    const message = Buffer.from(mail.slice(mail.search(/\r?\n\r?\n/)), 'base64');
    const { tail, content } = readCms([message], { identities });
    assert.match(content.toString(), /^MIME-Version: 1\.0/);
    assert.equal('notes' in tail && tail.notes.length, bits === 192 ? 0 : 1);
  }
});

test('Bouncy Castle: multipart/signed with protected algorithms (RFC 6211)', { skip: noCorpora }, () => {
  const mail = corpus('made/bc72-bcmail-multipart-signed.eml').toString('latin1').replace(/\r?\n/g, '\r\n');
  const boundary = `--${/boundary="([^"]+)"/.exec(mail)?.[1]}`;
  const [, signed = '', signature = ''] = mail.split(`${boundary}\r\n`);
  const digests = new ContentDigests(['sha1', 'sha256', 'sha512']);
  digests.write(Buffer.from(signed.replace(/\r\n$/, ''), 'latin1'));
  digests.end();
  const message = Buffer.from(signature.slice(signature.indexOf('\r\n\r\n')).split('--')[0] ?? '', 'base64');
  const reasons = (octets: Buffer) =>
    signedTail(readCms([octets], { detached: digests.result }).tail).signers.map(({ reason }) => reason);
  assert.deepEqual(reasons(message), ['ok']);
  // The digest that the attribute names becomes another one.
  const attribute = message.indexOf(Buffer.from('06092a864886f70d010934', 'hex'));
  const digest = message.indexOf(Buffer.from('0609608648016503040201', 'hex'), attribute);
  assert.ok(attribute > 0 && digest > attribute);
  message[digest + 10] = 3;
  assert.deepEqual(reasons(message), ['algorithm-mismatch']);
});
