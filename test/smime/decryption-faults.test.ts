import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { decodeSync } from '../../src/smime/index.ts';
import { alice, options } from './openssl.ts';

/**
 * What an attacker may see of a message for a key that it does not have (threats S3): one answer, whether the padding
 * of the content was wrong, or right by chance and the content noise.
 */
function answer(content: Buffer, contentEncryption: 'aes-256-cbc' | 'aes-256-gcm') {
  const message = encodeEnvelopedData(content, {
    recipients: [{ certificate: alice.certificate }],
    contentEncryption,
  });
  const { verdict } = decodeSync(message, options);
  const { code, message: words } = verdict.error ?? {};
  return { code, words, layers: verdict.layers.map(({ type }) => type) };
}

const signed = encodeSignedData(Buffer.from('Content-Type: text/plain\r\n\r\nx'), {
  signers: [{ certificate: alice.certificate, privateKey: alice.identity.privateKey }],
});
const unreadable: [string, Buffer][] = [
  ['a CMS object that is cut off', signed.subarray(0, -20)],
  ['a CMS object with a wrong length', Buffer.concat([signed, Buffer.from('more')])],
  [
    'a multipart/signed without parts',
    Buffer.from(
      'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=x\r\n\r\nx',
    ),
  ],
  [
    'base64 that is none',
    Buffer.from('Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!'),
  ],
];

describe('what is wrong inside a decrypted content', () => {
  const broken = (() => {
    const message = Buffer.from(
      encodeEnvelopedData(Buffer.from('some text'), {
        recipients: [{ certificate: alice.certificate }],
        contentEncryption: 'aes-256-cbc',
      }),
    );
    // the block before the last one: it changes the padding
    message[message.length - 1] = (message.at(-1) ?? 0) ^ 0xff;
    const { verdict } = decodeSync(message, options);
    return { code: verdict.error?.code, words: verdict.error?.message, layers: ['enveloped-data'] };
  })();

  it('is a failure of decryption where the padding is wrong', () => {
    assert.equal(broken.code, 'decrypt-failed');
  });

  for (const [what, content] of unreadable) {
    it(`answers as a wrong padding does: ${what}`, () => {
      assert.deepEqual(answer(content, 'aes-256-cbc'), broken);
    });

    it(`is told where the cipher shows that the content is the sender's: ${what}`, () => {
      const { code } = answer(content, 'aes-256-gcm');
      assert.ok(code !== undefined && code !== 'decrypt-failed', code);
    });
  }
});
