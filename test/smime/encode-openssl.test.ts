import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decode, decodeSync, type EncodeOptions, encode, encodeSync } from '../../src/smime/index.ts';
import { cuts } from '../message/pushing.ts';
import { alice, bob, ca, decrypt, noOpenssl, options, party, verify } from './openssl.ts';

const body = 'Gr\u00fc\u00dfe, one \r\nFrom here\r\n.\r\nlast';
const mail: Buffer = Buffer.from(
  'Return-Path: <a@example.com>\r\nFrom: Alice <alice@example.com>\r\nTo: bob@example.com\r\nBcc: hidden@example.com\r\n' +
    'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n and more\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n' +
    `Content-Transfer-Encoding: 8bit\r\nContent-Language: de\r\n\r\n${body}\r\n`,
);
const entity: Buffer = Buffer.from(
  `Content-Type: text/plain;\r\n charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nContent-Language: de\r\n\r\n${body}\r\n`,
);

const at = new Date('2026-03-04T05:06:07Z');
const signing = (form: 'opaque' | 'detached', more: EncodeOptions = {}): EncodeOptions => ({
  identity: alice.identity,
  sign: form,
  digest: 'sha256',
  signatureScheme: 'pkcs1',
  at,
  ...more,
});
const encrypting = (more: EncodeOptions = {}): EncodeOptions => ({
  recipients: [alice.certificate],
  contentEncryption: 'aes-256-cbc',
  keyTransport: 'pkcs1',
  ...more,
});

function headOf(encoded: Buffer): string {
  return encoded.toString('latin1', 0, encoded.indexOf('\r\n\r\n') + 2);
}

describe('what is encrypted here', { skip: noOpenssl }, () => {
  for (const contentEncryption of ['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des-ede3-cbc']) {
    it(`is decrypted by openssl: ${contentEncryption}`, () => {
      const encoded = encodeSync(mail, encrypting({ contentEncryption }));
      assert.ok(decrypt(encoded).equals(entity));
    });
  }

  for (const keyTransport of ['oaep-sha1', 'oaep-sha256', 'oaep-sha512'] as const) {
    it(`is decrypted by openssl: ${keyTransport}`, () => {
      const encoded = encodeSync(mail, encrypting({ keyTransport }));
      assert.ok(decrypt(encoded).equals(entity));
    });
  }

  it('is decrypted by each of its recipients', () => {
    const encoded = encodeSync(mail, {
      ...encrypting({ recipients: [alice.certificate, bob.certificate] }),
    });
    for (const by of [alice, bob]) assert.ok(decrypt(encoded, [], by).equals(entity));
  });

  it('is decrypted by openssl when it is large and came in chunks', async () => {
    const text = `Content-Type: text/plain\r\n\r\n${'a line of text that is repeated\r\n'.repeat(90_000)}`;
    const large = Buffer.from(`From: a@example.com\r\n${text}`);
    const chunks = Array.from({ length: Math.ceil(large.length / 50_000) }, (_, index) =>
      large.subarray(index * 50_000, (index + 1) * 50_000),
    );
    const encoded = Buffer.concat(
      await Array.fromAsync(encode(chunks, { ...signing('opaque'), ...encrypting() })),
    );
    assert.ok(verify(decrypt(encoded)).equals(Buffer.from(text)));
    assert.ok(decodeSync(encoded, options).content?.equals(Buffer.from(text)));
  });

  it('has the right header, once', () => {
    const head = headOf(encodeSync(mail, { ...signing('detached'), ...encrypting() }));
    assert.equal(
      head,
      'Return-Path: <a@example.com>\r\nFrom: Alice <alice@example.com>\r\nTo: bob@example.com\r\n' +
        'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n and more\r\nMIME-Version: 1.0\r\n' +
        'Content-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n name="smime.p7m"\r\n' +
        'Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="smime.p7m"\r\n',
    );
  });

  it('needs recipients with keys that can encrypt, and the word for weak ciphers', () => {
    const refused = (encrypt: EncodeOptions, code: string) =>
      assert.throws(() => encodeSync(mail, encrypt), { code });
    refused(encrypting({ recipients: [] }), 'encode-recipient');
    refused(
      encrypting({ recipients: [party('ed@example.com', { key: 'ed25519' }).certificate] }),
      'encode-recipient',
    );
    refused(encrypting({ contentEncryption: 'des-cbc' }), 'encode-policy');
    refused(encrypting({ contentEncryption: 'rc2-40-cbc' }), 'encode-policy');
    assert.throws(() => encodeSync(mail, {}), { code: 'encode-policy' });
    const weak = encodeSync(mail, {
      ...encrypting({ contentEncryption: 'rc2-40-cbc', allowWeak: true }),
    });
    assert.ok(decrypt(weak).equals(entity));
  });
});

describe('what is signed here', { skip: noOpenssl }, () => {
  const ec = party('ec@example.com', { key: 'p256' });
  const ways: [string, EncodeOptions][] = [
    ['RSA, SHA-256', {}],
    ['RSA, SHA-384', { digest: 'sha384' }],
    ['RSA, SHA-512', { digest: 'sha512' }],
    ['RSA-PSS', { signatureScheme: 'pss' }],
    ['ECDSA', { identity: ec.identity }],
  ];
  for (const [name, more] of ways) {
    it(`is verified by openssl: ${name}, opaque and detached`, () => {
      const opaque = encodeSync(mail, signing('opaque', more));
      assert.ok(verify(opaque).equals(entity));
      assert.match(headOf(opaque), /smime-type=signed-data/);
      const detached = encodeSync(mail, signing('detached', more));
      const signed = verify(detached).toString('latin1');
      assert.match(signed, /Content-Transfer-Encoding: quoted-printable/);
      assert.match(
        headOf(detached),
        new RegExp(`micalg=${(more.digest ?? 'sha256').replace('sha', 'sha-')}`),
      );
      assert.match(detached.toString('latin1'), /^[\x20-\x7e\r\n\t]*$/);
    });
  }

  it('is verified by openssl when intermediate certificates have to come along', () => {
    const issuer = ca.issueCa('Test Intermediate');
    const { identity } = issuer.issue({ email: 'carol@example.com', key: 'rsa2048' });
    assert.equal(identity.chain.length, 2);
    assert.ok(verify(encodeSync(mail, signing('opaque', { identity }))).equals(entity));
  });

  it('and encrypted is read by openssl and here', () => {
    for (const form of ['opaque', 'detached'] as const) {
      const encoded = encodeSync(mail, { ...signing(form), ...encrypting() });
      const content = verify(decrypt(encoded));
      const found = decodeSync(encoded, options);
      assert.equal(found.verdict.signature, 'valid');
      assert.ok(found.content?.equals(content), form);
      if (form === 'opaque') assert.ok(content.equals(entity));
    }
  });
});

describe('a message', () => {
  it('for a certificate that cannot be used fails before the first chunk', async () => {
    const { certificate } = party('ed2@example.com', { key: 'ed25519' });
    for (const size of [10, 3_000_000]) {
      const large = Buffer.concat([mail, Buffer.alloc(size, 'text\r\n')]);
      let chunks = 0;
      await assert.rejects(
        async () => {
          for await (const _ of encode(large, encrypting({ recipients: [certificate] }))) chunks++;
        },
        { code: 'encode-recipient' },
      );
      assert.equal(chunks, 0);
    }
  });

  it('is encoded to the same however it is cut', async () => {
    // a signature of RSA PKCS#1 v1.5 has no randomness of its own; the boundary has, so opaque
    const sign = signing('opaque');
    const whole = encodeSync(mail, sign);
    for (const { name, chunks } of cuts(mail, 3)) {
      const found = Buffer.concat(await Array.fromAsync(encode(chunks, sign)));
      assert.ok(found.equals(whole), name);
    }
  });

  it('with LF, bare CR and no type of its own gets canonical line ends and a type', () => {
    const raw = Buffer.from('From: a@x\nSubject: x\ry\nBCC: z@x\n\none\ntwo\rthree\r\n');
    const encoded = encodeSync(raw, signing('opaque'));
    assert.match(
      headOf(encoded),
      /^From: a@x\r\nSubject: x y\r\nMIME-Version: 1\.0\r\nContent-Type: application/,
    );
    assert.equal(
      decodeSync(encoded, options).content?.toString(),
      'Content-Type: text/plain; charset=utf-8\r\n\r\none\r\ntwo\r\nthree\r\n',
    );
  });

  it('comes back as it was, for generated bodies and options', async () => {
    const line = fc.stringMatching(/^[ -~]{0,90}$/);
    const way: fc.Arbitrary<EncodeOptions> = fc.oneof(
      fc.constantFrom('opaque', 'detached').map((form) => ({ ...signing(form) })),
      fc.constant({ ...encrypting() }),
      fc.constantFrom('opaque', 'detached').map((form) => ({ ...signing(form), ...encrypting() })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line), way, async (lines, how) => {
        const inner = `Content-Type: text/plain\r\n\r\n${lines.map((each) => `${each}\r\n`).join('')}`;
        const encoded = Buffer.concat(
          await Array.fromAsync(encode(Buffer.from(`Subject: x\r\n${inner}`), how)),
        );
        const { verdict, content } = await decode(encoded, options);
        assert.equal(verdict.status, 'ok');
        assert.equal(content?.toString(), inner);
        assert.equal(verdict.signature, how.sign === undefined ? 'none' : 'valid');
      }),
      { numRuns: Number(process.env.SEALPOST_PROPERTY_RUNS ?? 40) },
    );
  });
});
