/**
 * Decoding leaves nothing behind that only a full collection of V8 would remove (src/redis/commands.ts says how that
 * happens). Such a message costs far more than its octets: all that it refers to stays as well.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeSync } from '../../src/smime/index.ts';
import { leftOver } from '../support/young.ts';
import { encrypt, noOpenssl, options } from './openssl.ts';

describe('a message that was decoded', { skip: noOpenssl }, () => {
  const content = Buffer.from('Content-Type: text/plain\r\n\r\none\r\ntwo\r\n');
  for (const cipher of ['-aes-256-cbc', '-aes-256-gcm']) {
    it(`leaves nothing in the old generation: ${cipher}`, async () => {
      const mail = encrypt(content, [cipher]);
      const each = await leftOver(() => decodeSync(mail, options));
      assert.ok(each < 1000, `${Math.round(each)} octets a message`);
    });
  }
});
