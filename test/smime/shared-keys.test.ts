import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { type DecodeOptions, decodeSync } from '../../src/smime/index.ts';
import { noOpenssl, openssl, options } from './openssl.ts';

const entity = Buffer.from('Content-Type: text/plain\r\n\r\nhello\r\n');
const key = randomBytes(16);
const keyIdentifier = randomBytes(8);

function decoded(message: Buffer, keys: Partial<DecodeOptions>) {
  const { verdict, content } = decodeSync(message, { ...options, identities: [], ...keys });
  const { code, message: said } = verdict.error ?? {};
  return { code, said, content, kind: verdict.layers[0] };
}

describe('keys that are agreed outside of the message', { skip: noOpenssl }, () => {
  const secret = ['-secretkey', key.toString('hex')];
  const encrypt = (...args: string[]) => openssl(['cms', '-encrypt', '-binary', '-aes128', ...args], entity);

  it('open what openssl encrypted for a password', () => {
    const message = encrypt('-pwri_password', 'secret');
    const password = (text: string) => [{ name: 'shared', password: Buffer.from(text) }];
    assert.deepEqual(decoded(message, { passwords: password('secret') }).content, entity);
    const wrong = decoded(message, { passwords: password('other') });
    assert.deepEqual([wrong.code, wrong.content], ['decrypt-no-key', undefined]);
    assert.match(wrong.said ?? '', /; none of the passwords here is the right one: shared$/);
    const none = decoded(message, {});
    assert.equal(none.code, 'decrypt-no-key');
    assert.doesNotMatch(none.said ?? '', /right one/);
  });

  it('open what openssl encrypted for a key-encryption key', () => {
    const message = encrypt(...secret, '-secretkeyid', keyIdentifier.toString('hex'));
    const keys = { keyEncryptionKeys: [{ name: 'shared', keyIdentifier, key }] };
    assert.deepEqual(decoded(message, keys).content, entity);
    assert.equal(decoded(message, {}).code, 'decrypt-no-key');
  });

  it('open EncryptedData of openssl', () => {
    const message = openssl(['cms', '-EncryptedData_encrypt', '-binary', '-aes128', ...secret], entity);
    const found = decoded(message, { contentKeys: [{ name: 'shared', key }] });
    assert.deepEqual(found.content, entity);
    assert.equal(found.kind?.type, 'encrypted-data');
  });
});
