import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { decodeSync } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { encrypt, noOpenssl, options } from './openssl.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\none\r\ntwo\r\n');

describe('the digest of the content', { skip: noOpenssl }, () => {
  it('is in the verdict unless the caller wants none', () => {
    const mail = encrypt(content, ['-aes-256-cbc']);
    const sha256 = createHash('sha256').update(content).digest('hex');
    assert.equal(decodeSync(mail, options).verdict.content?.sha256, sha256);
    const without = decodeSync(mail, { ...options, contentDigest: false });
    assert.equal(without.verdict.content?.sha256, null);
    assert.deepEqual(without.content, content);
    verdictSchema.parse(without.verdict);
  });
});
