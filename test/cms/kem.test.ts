import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { encodeEnvelopedData } from '../../src/cms/index.ts';
import { createTestCa } from '../support/ca.ts';
import { corpus, envelopedHead, feeds, noCorpora, readCms } from './support.ts';

const ca = createTestCa();
const content = Buffer.from('Content-Type: text/plain\r\n\r\nencapsulated\r\n'.repeat(20));
const keys = {
  'ml-kem-512': generateKeyPairSync('ml-kem-512'),
  'ml-kem-768': generateKeyPairSync('ml-kem-768'),
  'ml-kem-1024': generateKeyPairSync('ml-kem-1024'),
};

// No peer at hand does ML-KEM in CMS: openssl cms begins with 3.6.
for (const [name, key] of Object.entries(keys)) {
  test(`${name} comes back, a changed ciphertext gives the one answer`, () => {
    const { certificate, privateKey } = ca.issue({ commonName: name, key, keyUsage: ['keyEncipherment'] });
    const identities = [{ name: 'me', certificate, privateKey }];
    const message = encodeEnvelopedData(content, {
      recipients: [{ certificate, bySubjectKeyIdentifier: true }],
    });
    for (const [feed, pieces] of feeds(message)) {
      const { head, content: plain } = readCms(pieces, { identities });
      assert.deepEqual(plain, content, feed);
      const [recipient] = envelopedHead(head).recipients;
      assert.deepEqual(
        [recipient?.kind, recipient?.keyEncryption.name, recipient?.matched],
        ['kem', name, 'me'],
      );
    }
    message[400] = (message[400] ?? 0) ^ 1;
    assert.throws(() => readCms([message], { identities }), { code: 'decrypt-failed' });
  });
}

test('KEM recipients of others are listed', { skip: noCorpora }, () => {
  const file = 'rustcrypto/cms/tests/examples/1.3.6.1.4.1.22554.5.6.1_ML-KEM-512-ipd_kemri_ukm.der';
  assert.throws(() => readCms([corpus(file)]), { code: 'decrypt-no-key' });
});
