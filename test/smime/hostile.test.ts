import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { NullSink } from '../../src/message/index.ts';
import { Decoder, decode, decodeSync, encodeSync, isEncryptionLayer } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { randomOf } from '../message/pushing.ts';
import { alice, bob, options } from './openssl.ts';

const text: Buffer = Buffer.from(
  `From: alice@example.com\r\nContent-Type: text/plain\r\n\r\n${'some text\r\n'.repeat(20)}`,
);
const content = text.subarray(text.indexOf('Content-Type'));
const encrypt = {
  recipients: [alice.certificate],
  contentEncryption: 'aes-256-cbc',
  keyTransport: 'pkcs1',
} as const;
const sign = {
  identity: alice.identity,
  digest: 'sha256',
  signatureScheme: 'pkcs1',
  at: new Date('2026-01-01'),
} as const;
const enveloped = encodeEnvelopedData(content, { recipients: [{ certificate: alice.certificate }] });

describe('a damaged message', () => {
  const messages: [string, Buffer][] = [
    ['an encrypted mail', encodeSync(text, encrypt)],
    ['an opaque signature', encodeSync(text, { ...sign, sign: 'opaque' })],
    ['a multipart/signed', encodeSync(text, { ...sign, sign: 'detached' })],
    ['a bare EnvelopedData', enveloped],
  ];
  for (const [name, message] of messages) {
    it(`ends in a verdict wherever it is cut: ${name}`, () => {
      for (let length = 0; length < message.length; length++) {
        const { verdict, content: found } = decodeSync(message.subarray(0, length), options);
        verdictSchema.parse(verdict);
        assert.notEqual(verdict.error?.code, 'internal', `at ${length}: ${verdict.error?.message}`);
        if (verdict.status === 'failed') assert.equal(found, undefined);
        // what is left may be the mail's own header (no S/MIME yet), or lack only the last line end
        else if (verdict.signature === 'valid' || verdict.encrypted)
          assert.ok(found?.equals(content), `at ${length}`);
      }
    });

    it(`ends in a verdict whatever octet is changed: ${name}`, () => {
      const random = randomOf(message.length);
      for (let round = 0; round < 400; round++) {
        const changed = Buffer.from(message);
        const at = Math.floor(random() * changed.length);
        changed[at] = Math.floor(random() * 256);
        const { verdict } = decodeSync(changed, options);
        assert.notEqual(verdict.error?.code, 'internal', `${at}: ${verdict.error?.message}`);
      }
    });
  }
});

describe('a damaged mail', () => {
  it('fails for the same reason however it is cut', () => {
    const message = encodeSync(text, encrypt);
    const random = randomOf(5);
    for (let round = 0; round < 60; round++) {
      const changed = Buffer.from(message);
      changed.write(
        ['=', '-', '\r', '!!', 'From'][round % 5] ?? '',
        Math.floor(random() * (changed.length - 4)),
        'latin1',
      );
      const whole = decodeSync(changed, options).verdict;
      for (const size of [1, 7, 300]) {
        const decoder = new Decoder(new NullSink(), options, { reopenable: true });
        for (let at = 0; at < changed.length; at += size) decoder.write(changed.subarray(at, at + size));
        decoder.end();
        const codes = [whole.error?.code, decoder.verdict.error?.code];
        // a wrong content key is random, and so is what it makes of the octets; a length that is too large
        // shows only when all of its octets are there
        if (codes.includes('decrypt-failed') || codes.includes('asn1-limit')) continue;
        assert.deepEqual(decoder.verdict, whole, `${round}, chunks of ${size}`);
      }
    }
  });
});

describe('S1: EFAIL, CBC gadgets', () => {
  it('changed and swapped blocks are never authentic', () => {
    const blocks = enveloped.length - 16 * Math.ceil((content.length + 1) / 16);
    for (let block = 0; block < 6; block++) {
      const changed = Buffer.from(enveloped);
      const at = blocks + block * 16;
      changed[at] = (changed[at] ?? 0) ^ 1;
      const swapped = Buffer.from(enveloped);
      enveloped.copy(swapped, at, at + 16, at + 32);
      enveloped.copy(swapped, at + 16, at, at + 16);
      for (const octets of [changed, swapped]) {
        const { verdict } = decodeSync(octets, options);
        assert.equal(verdict.integrity, 'none');
        assert.equal(verdict.signature, 'none');
      }
    }
  });
});

describe('S3: one answer to every failure of decryption', () => {
  it('bad padding, wrong length, wrong key, bad content padding, bad content are alike', () => {
    const other = encodeEnvelopedData(content, { recipients: [{ certificate: bob.certificate }] });
    const key = (octets: Buffer) => {
      // the 256 octets of the encrypted key are the only OCTET STRING of that length
      const at = octets.indexOf(Buffer.from([0x04, 0x82, 0x01, 0x00])) + 4;
      return { at, octets: octets.subarray(at, at + 256) };
    };
    const withKey = (encryptedKey: Buffer) => {
      const made = Buffer.from(enveloped);
      encryptedKey.copy(made, key(enveloped).at);
      return made;
    };
    const changed = Buffer.from(enveloped);
    changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 0xff;
    const short = encodeEnvelopedData(content, {
      recipients: [{ certificate: alice.certificate }],
      contentEncryption: 'des-ede3-cbc',
    });
    const cases = [
      withKey(Buffer.alloc(256, 1)),
      withKey(key(short).octets),
      withKey(key(other).octets),
      withKey(key(encodeEnvelopedData(content, { recipients: [{ certificate: alice.certificate }] })).octets),
      changed,
    ];
    const answers = new Set<string>();
    for (const octets of cases) {
      const { verdict } = decodeSync(octets, options);
      // one time in 256 noise has the form of a padding: then it is content that nobody vouches for
      if (verdict.status === 'ok') continue;
      answers.add(JSON.stringify([verdict.error, verdict.layers.length]));
    }
    assert.equal(answers.size, 1, [...answers].join('\n'));
    assert.match([...answers][0] ?? '', /decrypt-failed/);
  });

  it('what noise looks like inside never shows', () => {
    // the content claims to be SignedData, so that its noise is parsed before the padding is seen
    const signed = encodeSignedData(content, {
      signers: [{ certificate: alice.certificate, privateKey: alice.privateKey }],
    });
    const made = encodeEnvelopedData(signed, {
      recipients: [{ certificate: alice.certificate }],
      contentType: '1.2.840.113549.1.7.2',
    });
    assert.equal(decodeSync(made, options).verdict.signature, 'valid');
    const at = made.indexOf(Buffer.from([0x04, 0x82, 0x01, 0x00])) + 4;
    const codes = new Set<ErrorCode | undefined>();
    for (let round = 0; round < 20; round++) {
      const changed = Buffer.from(made);
      changed[at + 20 + round] = (changed[at + 20 + round] ?? 0) ^ 0x55;
      const { verdict } = decodeSync(changed, options);
      if (verdict.error?.code !== 'decrypt-failed') {
        // the one time in 256
        codes.add(verdict.error?.code);
        continue;
      }
      assert.equal(verdict.layers.length, 1);
      assert.ok(verdict.layers[0] !== undefined && isEncryptionLayer(verdict.layers[0]));
    }
    assert.ok(codes.size <= 2);
  });
});

describe('S12, S13: limits', () => {
  const code = (octets: Buffer) => decodeSync(octets, options).verdict.error?.code;

  it('of the header block, with and without an end', () => {
    const header = `X: ${'x'.repeat(70)}\r\n`.repeat(1500);
    assert.equal(code(Buffer.from(header)), 'mime-limit');
    assert.equal(code(Buffer.from(`${header}\r\nbody`)), 'mime-limit');
  });

  it('of the boundary and of nested layers', () => {
    const type = (boundary: string) =>
      `Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=${boundary}\r\n\r\n--${boundary}\r\n`;
    assert.equal(code(Buffer.from(type('b'.repeat(300)))), 'mime-limit');
    const nested = Array.from({ length: 100 }, (_, index) => type(`b${index}`)).join('');
    assert.equal(code(Buffer.from(nested)), 'layer-limit');
  });

  it('of parts', () => {
    const many = `Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n${'--b\r\n'.repeat(1002)}`;
    assert.equal(code(Buffer.from(many)), 'mime-limit');
  });

  it('not of text that only begins like a header inside of a layer', () => {
    const words = Buffer.from(`Note: ${'words and more words '.repeat(20_000)}`);
    const made = encodeEnvelopedData(words, { recipients: [{ certificate: alice.certificate }] });
    const { verdict, content: found } = decodeSync(made, options);
    assert.equal(verdict.status, 'ok');
    assert.equal(verdict.content?.contentType, null);
    assert.ok(found?.equals(words));
  });
});

describe('the output', () => {
  it('that fails is no fault of the message: its error comes through', async () => {
    const output = {
      write() {
        throw new Error('disk full');
      },
    };
    await assert.rejects(() => decode(enveloped, { ...options, output }), /disk full/);
    const decoder = new Decoder({ write: output.write, end() {} }, options);
    assert.throws(() => {
      decoder.write(enveloped);
      decoder.end();
    }, /disk full/);
  });
});
