import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { test } from 'node:test';
import { ContentDigests, type DecryptionIdentity } from '../../src/cms/index.ts';
import { readCertificates } from '../../src/pki/index.ts';
import { corpus, noCorpora, readCms, signedTail } from './support.ts';

function pemIdentity(name: string, certificate: string, key: string): DecryptionIdentity {
  const [first] = readCertificates(corpus(certificate));
  assert.ok(first);
  return { name, certificate: first, privateKey: createPrivateKey(corpus(key)) };
}

// What each file decodes to, whole and in pieces, is in test/corpora; here is what only this room tells.

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
