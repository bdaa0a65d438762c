import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Budget } from '../../src/budget.ts';
import { encodeEnvelopedData } from '../../src/cms/index.ts';
import {
  corpus,
  envelopedHead,
  type Folder,
  feeds,
  noCorpora,
  noOpenssl,
  openssl,
  readCms,
  temporaryFolder,
} from './support.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nshared secret\r\n'.repeat(20));
let folder: Folder;

before(() => {
  folder = temporaryFolder();
  folder.write('content', content);
});
after(() => folder[Symbol.dispose]());

test('KEKRecipientInfo, both ways', { skip: noOpenssl }, () => {
  for (const octets of [16, 24, 32]) {
    const key = Buffer.alloc(octets, 5);
    const keyIdentifier = Buffer.from('c0ffee', 'hex');
    const kek = { name: 'shared', keyIdentifier, key };
    const secret = ['-secretkey', key.toString('hex'), '-secretkeyid', keyIdentifier.toString('hex')];
    const args = ['-in', folder.path('content'), '-outform', 'DER', '-out', folder.path('out'), '-aes128'];
    openssl('cms', '-encrypt', '-binary', ...args, ...secret);
    for (const [feed, pieces] of feeds(folder.read('out'))) {
      const { head, content: plain } = readCms(pieces, { keyEncryptionKeys: [kek] });
      assert.deepEqual(plain, content, feed);
      const [recipient] = envelopedHead(head).recipients;
      assert.deepEqual([recipient?.kind, recipient?.matched], ['kek', 'shared']);
      assert.deepEqual(recipient?.identifier, { type: 'key-identifier', keyIdentifier: 'c0ffee' });
    }
    const file = folder.write('m', encodeEnvelopedData(content, { recipients: [{ keyEncryptionKey: kek }] }));
    assert.deepEqual(
      openssl('cms', '-decrypt', '-binary', '-in', file, '-inform', 'DER', ...secret),
      content,
    );
    const wrong = { ...kek, key: Buffer.alloc(octets, 6) };
    assert.throws(() => readCms([folder.read('out')], { keyEncryptionKeys: [wrong] }), {
      code: 'decrypt-failed',
    });
  }
});

test('PasswordRecipientInfo, both ways', { skip: noOpenssl }, () => {
  const password = Buffer.from('correct horse');
  for (const cipher of ['-aes128', '-aes256', '-des3']) {
    const args = ['-in', folder.path('content'), '-outform', 'DER', '-out', folder.path('out'), cipher];
    openssl('cms', '-encrypt', '-binary', ...args, '-pwri_password', password.toString());
    const passwords = [
      { name: 'other', password: Buffer.from('battery staple') },
      { name: 'right', password },
    ];
    const { head, content: plain } = readCms([folder.read('out')], { passwords });
    assert.deepEqual(plain, content);
    assert.equal(envelopedHead(head).recipients[0]?.matched, 'right');
    assert.throws(() => readCms([folder.read('out')], { passwords: passwords.slice(0, 1) }), {
      code: 'decrypt-no-key',
    });
  }
  const file = folder.write(
    'm',
    encodeEnvelopedData(content, { recipients: [{ password, iterations: 1000 }] }),
  );
  const args = ['-in', file, '-inform', 'DER', '-pwri_password', password.toString()];
  assert.deepEqual(openssl('cms', '-decrypt', '-binary', ...args), content);
});

test('S12: too many iterations of PBKDF2 are refused', () => {
  const password = Buffer.from('x');
  const message = encodeEnvelopedData(content, { recipients: [{ password, iterations: 2000 }] });
  const passwords = [{ name: 'p', password }];
  const enough = new Budget({ work: 1_000_000 });
  readCms([message], { passwords, budget: enough });
  assert.ok(enough.spent > 2000 * 0.3, `${enough.spent}`);
  const budget = new Budget({ work: enough.spent - 1 });
  assert.throws(() => readCms([message], { passwords, budget }), { code: 'work-limit' });
});

test('RFC 4134 5.2: the mailing list key with RC2 key wrap', { skip: noCorpora }, () => {
  const key = Buffer.from('b70a25fbc9d86a86050ce0d711ead4d9', 'hex');
  const keyEncryptionKeys = [{ name: 'list', keyIdentifier: Buffer.from('MailListRC2'), key }];
  const { head, content: plain } = readCms([corpus('rfc4134/5.2.bin')], { keyEncryptionKeys });
  assert.equal(plain.toString(), 'This is some sample content.');
  assert.equal(envelopedHead(head).recipients[1]?.matched, 'list');
});
