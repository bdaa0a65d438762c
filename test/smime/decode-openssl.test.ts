import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode, decodeSync, isEncryptionLayer, isSignatureLayer } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { cuts } from '../message/pushing.ts';
import { alice, bob, encrypt, noOpenssl, openssl, options, party, sign } from './openssl.ts';

const content = Buffer.from(
  'Content-Type: text/plain; charset=utf-8\r\n\r\nGr\u00fc\u00dfe, one\r\ntwo \r\n\r\n.\r\n',
);

function decodes(mail: Buffer, expected: Buffer = content) {
  const found = decodeSync(mail, options);
  assert.deepEqual(found.verdict.error, null);
  assert.deepEqual(found.content?.toString('latin1'), expected.toString('latin1'));
  assert.equal(found.verdict.content?.octets, expected.length);
  verdictSchema.parse(found.verdict);
  return found.verdict;
}

const toCrlf = (mail: Buffer) => Buffer.from(mail.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
const toLf = (mail: Buffer) => Buffer.from(mail.toString('latin1').replace(/\r\n/g, '\n'), 'latin1');

describe('what openssl encrypted', { skip: noOpenssl }, () => {
  const ciphers: [string, string, number][] = [
    ['-aes-128-cbc', 'aes-128-cbc', 128],
    ['-aes-192-cbc', 'aes-192-cbc', 192],
    ['-aes-256-cbc', 'aes-256-cbc', 256],
    ['-des3', 'des-ede3-cbc', 192],
    ['-des-cbc', 'des-cbc', 64],
    ['-rc2-40', 'rc2-cbc', 40],
    ['-rc2-64', 'rc2-cbc', 64],
    ['-rc2-128', 'rc2-cbc', 128],
  ];
  for (const [option, algorithm, keyBits] of ciphers) {
    it(`is decrypted: ${option}`, () => {
      const verdict = decodes(encrypt(content, [option]));
      const [layer] = verdict.layers;
      assert.ok(layer !== undefined && isEncryptionLayer(layer));
      assert.equal(layer.type, 'enveloped-data');
      assert.equal(layer.contentEncryption?.algorithm, algorithm);
      assert.equal(layer.contentEncryption?.keyBits, keyBits);
      assert.equal(layer.weak.length > 0, /^(des-cbc|rc2)/.test(algorithm));
      assert.deepEqual(
        { encrypted: verdict.encrypted, integrity: verdict.integrity, signature: verdict.signature },
        { encrypted: true, integrity: 'none', signature: 'none' },
      );
      assert.deepEqual(layer.recipients[0]?.matched, {
        identity: alice.identity.name,
        thumbprint: alice.certificate.thumbprint,
        key: { family: 'rsa', bits: 2048 },
      });
    });
  }

  for (const digest of ['sha1', 'sha256', 'sha512']) {
    it(`is decrypted: OAEP with ${digest}`, () => {
      const args = ['-aes-128-cbc', '-keyopt', 'rsa_padding_mode:oaep', '-keyopt', `rsa_oaep_md:${digest}`];
      const [layer] = decodes(encrypt(content, args)).layers;
      assert.ok(layer !== undefined && isEncryptionLayer(layer));
      assert.equal(layer.recipients[0]?.keyEncryption?.algorithm, 'rsa-oaep');
      assert.equal(layer.recipients[0]?.keyEncryption?.parameters.digest, digest);
    });
  }

  it('is decrypted when it is for several, and named by key identifier', () => {
    const [layer] = decodes(encrypt(content, ['-aes-256-cbc', '-keyid'], [bob, alice])).layers;
    assert.ok(layer !== undefined && isEncryptionLayer(layer));
    const [own, ...more] = layer.recipients.filter(({ matched }) => matched !== null);
    assert.equal(layer.recipients.length, 2);
    assert.equal(more.length, 0);
    assert.ok(own?.identifier && 'subjectKeyIdentifier' in own.identifier);
  });

  it('says which certificate it was for, where two have one name', () => {
    const named = (name: string, { identity }: typeof alice) => ({ ...identity, name });
    const identities = [named('own', bob), named('own', alice)];
    const { verdict } = decodeSync(encrypt(content, ['-aes-256-cbc']), { ...options, identities });
    const [layer] = verdict.layers;
    assert.ok(layer !== undefined && isEncryptionLayer(layer));
    assert.equal(layer.recipients[0]?.matched?.thumbprint, alice.certificate.thumbprint);
  });

  it('is refused with the recipients when it is for others', () => {
    const { verdict, content: none } = decodeSync(encrypt(content, ['-aes-256-cbc'], [bob]), options);
    assert.equal(verdict.error?.code, 'decrypt-no-key');
    assert.equal(none, undefined);
    const [layer] = verdict.layers;
    assert.ok(layer !== undefined && isEncryptionLayer(layer));
    assert.equal(layer.recipients.length, 1);
    assert.equal(layer.recipients[0]?.matched, null);
  });

  for (const form of ['DER', 'PEM', 'SMIME']) {
    it(`is decrypted in the form ${form}, streamed or not, whatever is around it`, () => {
      for (const stream of [[], ['-stream']]) {
        const made = encrypt(content, ['-aes-256-cbc', '-outform', form, ...stream]);
        decodes(made);
        if (form === 'DER') {
          const base64 = made.toString('base64');
          decodes(Buffer.from(base64));
          decodes(Buffer.from(`${base64.replace(/.{64}/g, '$&\n')}\n`));
        } else {
          decodes(toCrlf(made));
          decodes(toLf(made));
        }
      }
    });
  }
});

describe('what openssl signed', { skip: noOpenssl }, () => {
  const ec = party('ec@example.com', { key: 'p256' });
  const ways: { name: string; by: typeof alice; args: string[] }[] = [
    { name: 'RSA, SHA-256', by: alice, args: [] },
    { name: 'RSA, SHA-1', by: alice, args: ['-md', 'sha1'] },
    { name: 'RSA, SHA-384', by: alice, args: ['-md', 'sha384'] },
    { name: 'RSA, SHA-512', by: alice, args: ['-md', 'sha512'] },
    { name: 'RSA-PSS, SHA-256', by: alice, args: ['-keyopt', 'rsa_padding_mode:pss'] },
    { name: 'ECDSA P-256', by: ec, args: [] },
    { name: 'RSA without attributes', by: alice, args: ['-noattr'] },
    { name: 'RSA by key identifier', by: alice, args: ['-keyid'] },
  ];
  for (const { name, by, args } of ways) {
    for (const form of [['-nodetach'], []]) {
      const type = form.length === 0 ? 'multipart/signed' : 'signed-data';
      it(`is valid: ${name}, ${type}`, () => {
        const made = sign(content, [...args, ...form], by);
        for (const mail of [made, toCrlf(made), toLf(made)]) {
          const verdict = decodes(mail);
          assert.deepEqual(
            { encrypted: verdict.encrypted, integrity: verdict.integrity, signature: verdict.signature },
            { encrypted: false, integrity: 'signed', signature: 'valid' },
          );
          const [layer] = verdict.layers;
          assert.ok(layer !== undefined && isSignatureLayer(layer));
          assert.equal(layer.type, type);
          const [signer] = layer.signers;
          assert.equal(signer?.thumbprint, by.certificate.thumbprint);
          assert.deepEqual(signer?.emails, [by.certificate.emails[0]]);
          assert.equal(signer?.chain.length, 2);
          assert.equal(signer?.reason, null);
        }
      });

      it(`is invalid when changed: ${name}, ${type}`, () => {
        // the same object around another content: opaque in DER, so that a letter can be changed in place
        const der = form.length > 0;
        const made = sign(content, [...args, ...form, ...(der ? ['-outform', 'DER'] : [])], by);
        const at = made.indexOf('one\r\ntwo');
        made.write('0ne', at, 'latin1');
        const { verdict } = decodeSync(made, options);
        assert.equal(verdict.status, 'ok');
        assert.deepEqual([verdict.signature, verdict.integrity], ['invalid', 'none']);
        const [layer] = verdict.layers;
        assert.ok(layer !== undefined && isSignatureLayer(layer));
        assert.equal(layer.signers[0]?.valid, false);
        assert.equal(layer.signers[0]?.trusted, false);
        assert.ok(layer.signers[0]?.reason);
      });
    }
  }

  it('is untrusted without the anchor, at a time before, and trusted when pinned', () => {
    const mail = sign(content);
    const judged = (change: object) => {
      const { verdict } = decodeSync(mail, { ...options, ...change });
      const [layer] = verdict.layers;
      assert.ok(layer !== undefined && isSignatureLayer(layer));
      return [verdict.signature, verdict.integrity, layer.signers[0]?.reason];
    };
    assert.deepEqual(judged({ trust: { anchors: [] } }), ['untrusted', 'none', 'no-path']);
    assert.deepEqual(judged({ at: new Date('2019-01-01') }).slice(0, 2), ['untrusted', 'none']);
    assert.deepEqual(judged({ trust: { anchors: [], pinned: [alice.certificate] } }), [
      'valid',
      'signed',
      null,
    ]);
  });

  it('lists several signers one by one, and the worst of them counts', () => {
    const stranger = party('x@example.com');
    const mail = sign(content, ['-nodetach', '-signer', stranger.certFile, '-inkey', stranger.keyFile]);
    const verdict = decodes(mail);
    const [layer] = verdict.layers;
    assert.ok(layer !== undefined && isSignatureLayer(layer));
    assert.equal(layer.signers.length, 2);
    assert.equal(verdict.signature, 'valid');
  });

  it('finds a certificate that the message leaves out among those it trusts', () => {
    const mail = sign(content, ['-nocerts']);
    assert.equal(decodeSync(mail, options).verdict.signature, 'invalid');
    const trust = { ...options.trust, intermediates: [alice.certificate] };
    assert.equal(decodeSync(mail, { ...options, trust }).verdict.signature, 'valid');
  });

  it('carries certificates only', () => {
    const pem = openssl(['crl2pkcs7', '-nocrl', '-certfile', alice.certFile]);
    const { verdict, content: none } = decodeSync(pem, options);
    assert.equal(verdict.status, 'ok');
    assert.deepEqual(verdict.layers, [{ type: 'certs-only', certificates: 1, weak: [] }]);
    assert.equal(verdict.signature, 'none');
    assert.equal(none, undefined);
  });

  it('is hashed anew when the micalg is wrong or missing, and all at once when it cannot be read again', async () => {
    const mail = sign(content, ['-md', 'sha384']).toString('latin1');
    for (const micalg of [
      'micalg="sha-1"',
      'micalg="unknown"',
      '',
      'micalg="SHA384"',
      'micalg="sha-384, sha1"',
    ]) {
      const changed = Buffer.from(mail.replace(/micalg="[^"]+"/, micalg), 'latin1');
      const verdict = decodes(changed);
      assert.equal(verdict.signature, 'valid', micalg);
      if (micalg.startsWith('micalg="sha-1')) continue;
      const once = await decode([changed], options);
      assert.equal(once.verdict.signature, 'valid', `${micalg}, read once`);
    }
    const wrong = Buffer.from(mail.replace(/micalg="[^"]+"/, 'micalg="sha-1"'), 'latin1');
    assert.equal((await decode([wrong], options)).verdict.signature, 'valid');
  });
});

describe('layers made with openssl', { skip: noOpenssl }, () => {
  it('are peeled three deep: signed, encrypted, signed', () => {
    for (const inner of [[], ['-nodetach']]) {
      for (const outer of [[], ['-nodetach']]) {
        const mail = sign(encrypt(sign(content, inner), ['-aes-256-cbc']), outer, bob);
        for (const each of [mail, toCrlf(mail)]) {
          const verdict = decodes(each);
          assert.deepEqual(
            verdict.layers.map(({ type }) => type),
            [
              outer.length === 0 ? 'multipart/signed' : 'signed-data',
              'enveloped-data',
              inner.length === 0 ? 'multipart/signed' : 'signed-data',
            ],
          );
          assert.equal(verdict.signature, 'valid');
          assert.ok(verdict.encrypted);
        }
      }
    }
  });

  it('are peeled where a bare CMS object lies in another one', () => {
    const inner = sign(content, ['-nodetach', '-outform', 'DER']);
    const verdict = decodes(encrypt(inner, ['-aes-256-cbc', '-outform', 'DER']));
    assert.deepEqual(
      verdict.layers.map(({ type }) => type),
      ['enveloped-data', 'signed-data'],
    );
  });

  it('are limited', () => {
    let mail: Buffer = content;
    for (let i = 0; i < 4; i++) mail = encrypt(mail, ['-aes-128-cbc']);
    assert.equal(decodeSync(mail, { ...options, limits: { layers: 4 } }).verdict.status, 'ok');
    const { verdict } = decodeSync(mail, { ...options, limits: { layers: 3 } });
    assert.equal(verdict.error?.code, 'layer-limit');
    assert.equal(verdict.layers.length, 3);
  });

  it('give the same verdict and octets whole, in chunks and octet by octet', async () => {
    const messages = [
      sign(encrypt(sign(content), ['-aes-256-cbc'])),
      encrypt(sign(content, ['-nodetach']), ['-des3', '-outform', 'DER']),
      encrypt(content, ['-aes-128-cbc', '-outform', 'PEM', '-stream']),
      content,
    ];
    for (const mail of messages) {
      const whole = decodeSync(mail, options);
      assert.equal(whole.verdict.status, 'ok');
      for (const { name, chunks } of cuts(mail, 4)) {
        const found = await decode(chunks, options);
        assert.deepEqual(found, whole, name);
      }
    }
  });
});
