import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ContentDigests,
  encodeDetachedSignature,
  encodeEnvelopedData,
  encodeSignedData,
} from '../../src/cms/index.ts';
import { Base64Encoder, QuotedPrintableEncoder } from '../../src/message/index.ts';
import { decode, decodeSync, type Verdict } from '../../src/smime/index.ts';
import { pushThrough } from '../message/pushing.ts';
import { alice, options } from './openssl.ts';

const content: Buffer = Buffer.from("Content-Type: application/edifact\r\n\r\nUNA:+.? '\r\n");
const signers = [{ certificate: alice.certificate, privateKey: alice.privateKey }];
const enveloped = encodeEnvelopedData(content, { recipients: [{ certificate: alice.certificate }] });
const signed = encodeSignedData(content, { signers });
const base64 = (octets: Buffer) =>
  pushThrough([octets], (output) => new Base64Encoder(output)).toString('latin1');

function mail(head: string, body: string | Buffer): Buffer {
  const header = Buffer.from(`From: a@example.com\r\nMIME-Version: 1.0\r\n${head}\r\n\r\n`);
  return Buffer.concat([header, Buffer.isBuffer(body) ? body : Buffer.from(body, 'latin1')]);
}

function decodes(message: Buffer, expected: Buffer = content): Verdict {
  const { verdict, content: found } = decodeSync(message, options);
  assert.equal(verdict.error, null);
  assert.equal(found?.toString('latin1'), expected.toString('latin1'));
  return verdict;
}

describe('the ways S/MIME mail is labelled', () => {
  const heads = [
    'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m',
    'Content-Type: application/x-pkcs7-mime; name="smime.p7m"',
    'Content-Type: application/pkcs7-mime',
    // a wrong smime-type: the ContentInfo says what it is
    'Content-Type: application/pkcs7-mime; smime-type=signed-data',
    'Content-Type: application/octet-stream; name=smime.p7m',
    // the other name says it, or an encoded word does
    'Content-Type: application/octet-stream; name=smime.p7m\r\nContent-Disposition: attachment; filename=order.bin',
    'Content-Type: application/octet-stream; name="=?utf-8?B?c21pbWUucDdt?="',
    'Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename="Order.P7M"',
    "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''smime.p7m",
    'Content-Type: APPLICATION/PKCS7-MIME (as we said) ; SMIME-TYPE="enveloped-data"',
  ];
  for (const head of heads) {
    it(`are known: ${head.replaceAll('\r\n', ' / ')}`, () => {
      for (const object of [enveloped, signed]) {
        decodes(mail(`${head}\r\nContent-Transfer-Encoding: base64`, base64(object)));
      }
    });
  }

  const head = 'Content-Type: application/pkcs7-mime';
  it('are known in each transfer encoding, and without one', () => {
    const quoted = pushThrough([enveloped], (output) => new QuotedPrintableEncoder(output));
    decodes(mail(`${head}\r\nContent-Transfer-Encoding: binary`, enveloped));
    decodes(mail(`${head}\r\nContent-Transfer-Encoding: quoted-printable`, quoted));
    decodes(mail(`${head}\r\nContent-Transfer-Encoding: Base64 (comment)`, base64(enveloped)));
    decodes(mail(head, base64(enveloped)));
    decodes(mail(head, enveloped));
    // labels that a gateway got wrong
    decodes(mail(`${head}\r\nContent-Transfer-Encoding: base64`, enveloped));
    decodes(mail(`${head}\r\nContent-Transfer-Encoding: 7bit`, `\r\n${base64(enveloped)}\r\n`));
    const pem = `-----BEGIN PKCS7-----\n${base64(enveloped)}-----END PKCS7-----\n`;
    decodes(mail(`${head}\r\nContent-Transfer-Encoding: 7bit`, pem));
  });

  it('are known in base64 with junk and odd lines', () => {
    const text = base64(enveloped);
    const encoding = `${head}\r\nContent-Transfer-Encoding: base64`;
    decodes(mail(encoding, text.replace(/\r\n/g, '\n')));
    decodes(mail(encoding, text.replace(/\r\n/g, '')));
    decodes(mail(encoding, text.replace(/(.{100})/gs, '$1!')));
    decodes(mail(encoding, text.replace(/(.{31})/g, '$1 \t\r\n')));
    decodes(mail(encoding, `${text}\r\n\r\n`));
  });

  it('are known in PEM, with each label, with text in front, and encoded once more', () => {
    const armored = (label: string, before = '') =>
      `${before}-----BEGIN ${label}-----\r\n${base64(enveloped)}\r\n-----END ${label}-----\r\n`;
    const type = 'Content-Type: application/pkcs7-mime; name=smime.p7m';
    const labels = [
      'CMS',
      'PKCS7',
      'PKCS #7 SIGNED DATA',
      'SIGNED MESSAGE',
      'ENCRYPTED MESSAGE',
      'CMS OBJECT',
    ];
    const text = `An order from us\r\n\r\n${'-----BEGIN OF NOTHING\r\n'.repeat(20)}`;
    for (const label of labels) {
      for (const before of ['', text, '\xef\xbb\xbf']) {
        decodes(Buffer.from(armored(label, before), 'latin1'));
        decodes(mail(type, armored(label, before)));
      }
      const once = Buffer.from(armored(label));
      decodes(mail(`${type}\r\nContent-Transfer-Encoding: base64`, base64(once)));
    }
    decodes(mail(`${type}\r\nContent-Transfer-Encoding: base64`, base64(Buffer.from(base64(enveloped)))));
    for (const label of ['CERTIFICATE', 'CMS ', 'X CMS']) {
      const { verdict } = decodeSync(Buffer.from(armored(label, text)), options);
      assert.equal(verdict.status, 'failed');
    }
  });

  it('do not make a CMS object of a mail that shows one in PEM', () => {
    const pem = `-----BEGIN CMS-----\r\n${base64(enveloped)}\r\n-----END CMS-----\r\n`;
    for (const first of ['', 'From a@example.com Sat Jan  1 00:00:00 2028\r\n']) {
      const octets = Buffer.concat([Buffer.from(first), mail('Content-Type: text/plain', pem)]);
      const { verdict } = decodeSync(octets, options);
      assert.equal(verdict.layers.length, 0, first);
    }
  });

  it('are failures with a code where the body is something else', () => {
    const failed = (body: string) => {
      const { verdict } = decodeSync(mail(`${head}\r\nContent-Transfer-Encoding: base64`, body), options);
      assert.equal(verdict.status, 'failed');
      return verdict.error?.code;
    };
    assert.equal(
      failed('This is not base64, nor is it anything else! (at all; really) *** --- ???'),
      'transfer-encoding',
    );
    assert.equal(failed(base64(enveloped).replace(/(.{76}\r\n){8}/, '$&AAAA====\r\n')), 'transfer-encoding');
    assert.equal(failed(base64(Buffer.from('not a CMS object, only text'))), 'cms-malformed');
    assert.equal(failed(''), 'asn1-truncated');
  });
});

describe('mail that is not S/MIME', () => {
  it('is passed unchanged, with a verdict that says so', () => {
    for (const text of [
      'From: a@example.com\r\nSubject: x\r\n\r\nbody\r\n',
      'From: a@example.com\nSubject: x\n\nbody\n',
      'Subject: only a header\r\n',
      'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n',
      'Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n',
      'Content-Type: application/octet-stream; name=p7m.pdf\r\n\r\nbody\r\n',
    ]) {
      const verdict = decodes(Buffer.from(text), Buffer.from(text));
      assert.deepEqual(verdict.layers, []);
      assert.deepEqual([verdict.encrypted, verdict.signature, verdict.integrity], [false, 'none', 'none']);
    }
  });

  it('is not a mail', () => {
    const code = (octets: Buffer, form: 'auto' | 'mail' | 'cms') =>
      decodeSync(octets, { ...options, form }).verdict.error?.code;
    assert.equal(code(Buffer.alloc(0), 'auto'), 'message-empty');
    assert.equal(code(Buffer.from('just words\r\n'), 'auto'), 'mime-malformed');
    assert.equal(code(Buffer.from('just words\r\n'), 'mail'), 'mime-malformed');
    assert.equal(code(Buffer.from('just words\r\n'), 'cms'), 'cms-malformed');
    assert.equal(code(Buffer.from([0x30, 0x80, 0x06]), 'auto'), 'asn1-truncated');
  });
});

describe('multipart/signed', () => {
  const digests = new ContentDigests(['sha256']);
  digests.write(content);
  digests.end();
  const signature = encodeDetachedSignature(digests.result.digests, { signers });
  const part = (type = 'application/pkcs7-signature; name=smime.p7s') =>
    `Content-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(signature)}`;
  const make = (parameters: string, second = part(), first = content.toString('latin1')) =>
    Buffer.from(
      `Content-Type: multipart/signed; boundary="b b"${parameters}\r\n\r\nx\r\n--b b\r\n${first}\r\n--b b\r\n${second}\r\n--b b--\r\n`,
      'latin1',
    );

  it('is known by its protocol, or by its second part', () => {
    for (const parameters of [
      '; protocol="application/pkcs7-signature"; micalg=sha-256',
      '; protocol=application/x-pkcs7-signature; micalg=sha256',
      '; micalg=sha-256',
      '',
    ]) {
      assert.equal(decodes(make(parameters)).signature, 'valid', parameters);
    }
    assert.equal(decodes(make('', part('application/octet-stream; name=smime.p7s'))).signature, 'valid');
    // a gateway took the label of the second part
    const ours = '; protocol="application/pkcs7-signature"; micalg=sha-256';
    assert.equal(decodes(make(ours, part('application/octet-stream'))).signature, 'valid');
    const foreign = make('', part('application/octet-stream'));
    assert.equal(decodes(foreign, foreign).signature, 'none');
  });

  it('without protocol and with another second part is content as a whole, where it can be read again', async () => {
    const message = make('', 'Content-Type: text/plain\r\n\r\nno signature');
    assert.equal(decodes(message, message).signature, 'none');
    const { verdict } = await decode([message], options);
    assert.equal(verdict.error?.code, 'mime-malformed');
  });

  it('without a second part, boundary or closing delimiter', () => {
    const code = (message: Buffer) => decodeSync(message, options).verdict.error?.code ?? null;
    const protocol = '; protocol="application/pkcs7-signature"';
    const whole = make(protocol).toString('latin1');
    const first = whole.slice(0, whole.indexOf('\r\n--b b\r\nContent-Type: application/pkcs7'));
    assert.equal(code(Buffer.from(first)), 'mime-malformed');
    assert.equal(code(make(protocol, 'Content-Type: text/plain\r\n\r\n')), 'mime-malformed');
    assert.equal(code(Buffer.from(whole.replace('; boundary="b b"', ''))), 'mime-malformed');
    assert.equal(code(Buffer.from(whole.replace('--b b--\r\n', ''))), null);
  });

  it('never takes what nobody sees for what is signed: eContent in the signature part (threats S6)', () => {
    const opaque = encodeSignedData(content, { signers });
    const second = `Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(opaque)}`;
    for (const first of ['Content-Type: text/plain\r\n\r\nforged', content.toString('latin1')]) {
      const { verdict } = decodeSync(make('; micalg=sha-256', second, first), options);
      assert.notEqual(verdict.signature, 'valid');
      assert.equal(verdict.integrity, 'none');
    }
  });

  it('counts only its first part as signed (threats S6)', () => {
    const third = `${part()}\r\n--b b\r\nContent-Type: text/plain\r\n\r\nadded later`;
    const verdict = decodes(make('; micalg=sha-256', third));
    assert.equal(verdict.content?.octets, content.length);
  });

  it('with a signature and nobody who signed is not signed (threats S6)', () => {
    const empty = encodeDetachedSignature(digests.result.digests, {
      signers: [],
      certificates: [alice.certificate],
    });
    const second = `Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(empty)}`;
    assert.equal(decodes(make('; micalg=sha-256', second)).signature, 'none');
  });
});
