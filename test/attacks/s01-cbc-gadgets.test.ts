import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { decode } from '../../src/smime/index.ts';
import {
  aesCbc,
  alice,
  bob,
  cbc,
  entity,
  enveloped,
  keyTransInfo,
  options,
  padded,
  rsaEncrypt,
  verdictOf,
} from './support.ts';

/** Changes each block of the octets from `start`, and exchanges each with some others near and far. */
function* gadgets(message: Buffer, start: number): Iterable<Buffer> {
  const blocks = Math.floor((message.length - start) / 16);
  for (let block = 0; block < blocks; block++) {
    const at = start + block * 16;
    const flipped = Buffer.from(message);
    for (let octet = 0; octet < 16; octet++) flipped[at + octet] = (flipped[at + octet] ?? 0) ^ (block + 1);
    yield flipped;
    for (let other = block % 3; other < blocks; other += Math.max(3, Math.ceil(blocks / 4))) {
      const swapped = Buffer.from(message);
      message.copy(swapped, at, start + other * 16, start + other * 16 + 16);
      message.copy(swapped, start + other * 16, at, at + 16);
      if (!swapped.equals(message)) yield swapped;
    }
  }
}

describe('S1: EFAIL, CBC gadgets (CVE-2017-17689)', () => {
  const recipients = [{ certificate: alice.certificate }];

  it('changed blocks of an encrypted message are never authentic', async () => {
    const message = encodeEnvelopedData(entity, { recipients });
    const start = message.length - padded(entity).length;
    let decoded = 0;
    for (const octets of gadgets(message, start)) {
      const verdict = await verdictOf(octets);
      assert.equal(verdict.integrity, 'none');
      assert.equal(verdict.signature, 'none');
      if (verdict.status === 'ok') decoded++;
    }
    assert.ok(decoded > 0, 'CBC is malleable: most of these decrypt to something');
  });

  it('a known block turned into the text of the attacker decrypts, and counts for nothing', async () => {
    const key = randomBytes(16);
    const iv = randomBytes(16);
    const known = Buffer.from('Content-Type: mu');
    const wanted = Buffer.from('Content-Type: te');
    const encrypted = cbc(key, iv, padded(Buffer.concat([known, Buffer.from('ltipart/mixed\r\n\r\n')])));
    const changed = iv.map((octet, at) => octet ^ (known[at] ?? 0) ^ (wanted[at] ?? 0));
    const message = enveloped({
      recipients: [keyTransInfo(alice.certificate, rsaEncrypt(alice.certificate, key))],
      algorithm: aesCbc(Buffer.from(changed)),
      encrypted,
    });
    const { verdict, content } = await decode(message, options);
    assert.equal(content?.toString('latin1', 0, 16), wanted.toString());
    assert.equal(verdict.encrypted, true);
    assert.equal(verdict.integrity, 'none');
  });

  it('a signature inside does not survive changed blocks', async () => {
    const signed = encodeSignedData(entity, { signers: [bob] });
    const message = encodeEnvelopedData(signed, { recipients });
    assert.equal((await verdictOf(message)).integrity, 'signed');
    const start = message.length - padded(signed).length;
    for (const octets of gadgets(message, start)) {
      const verdict = await verdictOf(octets);
      // a certificate that nobody needs to check may be hit; then nothing that was signed has changed
      if (verdict.integrity === 'signed') {
        const { content } = await decode(octets, options);
        assert.ok(content?.equals(entity), 'other octets are called signed');
      }
    }
  });

  it('a signature around the changed object is not valid', async () => {
    const inner = encodeEnvelopedData(entity, { recipients });
    const message = encodeSignedData(inner, { signers: [bob] });
    assert.equal((await verdictOf(message)).integrity, 'signed');
    const start = message.indexOf(inner) + inner.length - padded(entity).length;
    for (const octets of gadgets(message.subarray(0, start + padded(entity).length), start)) {
      const whole = Buffer.concat([octets, message.subarray(octets.length)]);
      const verdict = await verdictOf(whole);
      assert.notEqual(verdict.signature, 'valid');
      assert.equal(verdict.integrity, 'none');
    }
  });

  it('changed blocks under an authenticating cipher never decode', async () => {
    const message = encodeEnvelopedData(entity, { recipients, contentEncryption: 'aes-256-gcm' });
    const start = message.length - entity.length - 18;
    for (const octets of gadgets(message, start)) {
      const { verdict, content } = await decode(octets, options);
      assert.equal(verdict.status, 'failed');
      assert.equal(verdict.integrity, 'none');
      assert.equal(content, undefined);
    }
  });
});
