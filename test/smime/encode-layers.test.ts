import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { decodeSync, type EncodeOptions, encodeSync, type Verdict } from '../../src/smime/index.ts';
import { content, head, mail, Setting } from '../interop/setting.ts';
import { missingOpenssl } from '../support/peers/identities.ts';
import type { EncryptionCase, InteropCase, SignatureCase } from '../support/peers/types.ts';

const forms = ['opaque', 'detached'] as const;
const openedBy = (recipient: string): EncryptionCase => ({
  type: 'encryption',
  id: '',
  stage: 'issue3',
  keyManagement: { kind: 'rsa-pkcs1' },
  recipient,
  cipher: 'AES-256-CBC',
});
const signedAs = (form: 'opaque' | 'detached'): SignatureCase => ({
  type: 'signature',
  id: '',
  stage: 'issue3',
  signer: 'rsa-2048',
  scheme: 'pkcs1',
  digest: 'SHA-256',
  form,
  attributes: true,
});
const compressed: InteropCase = { type: 'compression', id: '', stage: 'issue3' };
const typesOf = ({ layers }: Verdict) => layers.map(({ type }) => type);

describe('layers', { skip: missingOpenssl() }, () => {
  let setting: Setting;
  before(async () => {
    setting = await Setting.start();
  });
  after(() => setting.close());

  const read = (octets: Buffer) => setting.read(octets, 'rsa-3072');

  it('compressed are read here, in each place', async () => {
    const sign = setting.signAs('rsa-2048', 'opaque');
    const encrypt = setting.encryptTo('rsa-3072');
    const ways: [EncodeOptions, string[]][] = [
      [{ compress: 'before-signing' }, ['compressed-data']],
      [{ compress: 'after-signing', ...sign }, ['compressed-data', 'signed-data']],
      [{ compress: 'before-signing', ...sign }, ['signed-data', 'compressed-data']],
      [{ compress: 'before-signing', ...encrypt }, ['enveloped-data', 'compressed-data']],
      [
        { compress: 'after-signing', ...sign, ...encrypt },
        ['enveloped-data', 'compressed-data', 'signed-data'],
      ],
      [
        { compress: 'before-signing', ...setting.signAs('rsa-2048', 'detached'), ...encrypt },
        ['enveloped-data', 'multipart/signed', 'compressed-data'],
      ],
    ];
    for (const [options, types] of ways) {
      const octets = encodeSync(mail, options);
      const { verdict, content: found } = await read(octets);
      assert.deepEqual(typesOf(verdict), types);
      assert.deepEqual(found, content);
      if (options.recipients === undefined && options.compress === 'after-signing')
        assert.match(octets.toString('latin1'), /smime-type=compressed-data;\r\n name="smime\.p7z"/);
    }
  });

  it('compressed are read by Bouncy Castle, around and inside a signature', async (t) => {
    const peer = setting.installed(t).find(({ name }) => name === 'Bouncy Castle');
    if (peer === undefined) return t.skip('Bouncy Castle is not installed');
    for (const form of forms) {
      const sign = setting.signAs('rsa-2048', form);
      const outside = await peer.read(compressed, {
        form: 'mail',
        octets: encodeSync(mail, { compress: 'after-signing', ...sign }),
      });
      assert.deepEqual(await peer.read(signedAs(form), { form: 'mail', octets: outside }), content);
      const inside = await peer.read(signedAs(form), {
        form: 'mail',
        octets: encodeSync(mail, { compress: 'before-signing', ...sign }),
      });
      assert.deepEqual(await peer.read(compressed, { form: 'mail', octets: inside }), content);
    }
  });

  for (const form of forms) {
    it(`in a triple wrap (${form}) are opened one by one by every peer`, async (t) => {
      const sign = setting.signAs('rsa-2048', form);
      const octets = encodeSync(mail, { ...sign, ...setting.encryptTo('rsa-3072'), tripleWrap: true });
      const found = await read(octets);
      const type = form === 'opaque' ? 'signed-data' : 'multipart/signed';
      assert.deepEqual(typesOf(found.verdict), [type, 'enveloped-data', type]);
      assert.equal(found.verdict.signature, 'valid');
      assert.deepEqual(found.content, content);
      for (const peer of setting.installed(t)) {
        const middle = await peer.read(signedAs(form), { form: 'mail', octets });
        const inner = await peer.read(openedBy('rsa-3072'), { form: 'mail', octets: middle });
        assert.deepEqual(
          await peer.read(signedAs(form), { form: 'mail', octets: inner }),
          content,
          peer.name,
        );
      }
    });
  }

  it('that are inner ones may be binary, and are then smaller', async (t) => {
    const options = { ...setting.signAs('rsa-2048', 'opaque'), ...setting.encryptTo('rsa-3072') };
    const plain = encodeSync(mail, options);
    const octets = encodeSync(mail, { ...options, innerTransferEncoding: 'binary' });
    assert.ok(octets.length < plain.length * 0.85, `${octets.length}, ${plain.length}`);
    assert.match(octets.toString('latin1'), /^[\x20-\x7e\r\n\t]*$/);
    assert.deepEqual((await read(octets)).content, content);
    for (const peer of setting.installed(t)) {
      const inner = await peer.read(openedBy('rsa-3072'), { form: 'mail', octets });
      assert.match(inner.toString('latin1'), /Content-Transfer-Encoding: binary\r\n/);
      const cms = { form: 'cms', octets: inner.subarray(inner.indexOf('\r\n\r\n') + 4) } as const;
      assert.deepEqual(await peer.read(signedAs('opaque'), cms), content, peer.name);
    }
  });

  it('that are inner ones stay base64 in a multipart/signed', () => {
    const sign = setting.signAs('rsa-2048', 'detached');
    const encrypt = setting.encryptTo('rsa-3072');
    const octets = encodeSync(mail, {
      ...sign,
      ...encrypt,
      tripleWrap: true,
      innerTransferEncoding: 'binary',
    });
    assert.match(octets.toString('latin1'), /^[\x20-\x7e\r\n\t]*$/);
  });

  it('are signed once where nothing stands between two signatures', async () => {
    const octets = encodeSync(mail, { ...setting.signAs('rsa-2048', 'opaque'), tripleWrap: true });
    assert.deepEqual(typesOf((await read(octets)).verdict), ['signed-data']);
  });

  it('are refused where they make no sense', () => {
    assert.throws(() => encodeSync(mail, {}), { code: 'encode-policy' });
    // a partner's settings may say so
    const plain = encodeSync(Buffer.concat([Buffer.from('Bcc: x@example.com\r\n'), mail]), {
      unprotected: true,
    });
    assert.deepEqual(plain, Buffer.concat([head, Buffer.from('MIME-Version: 1.0\r\n'), content]));
  });
});

describe('header protection', { skip: missingOpenssl() }, () => {
  let setting: Setting;
  before(async () => {
    setting = await Setting.start(['openssl']);
  });
  after(() => setting.close());

  const fields =
    'Return-Path: <us@example.com>\r\nReceived: from a by b;\r\n Mon, 1 Jun 2026 00:00:00 +0000\r\nX-Sealpost-Trace: x\r\n' +
    'From: Us <us@example.com>\r\nTo: peer@example.com\r\nBcc: hidden@example.com\r\nSubject: the secret\r\n plan\r\n' +
    'Keywords: plan\r\nDate: Mon, 1 Jun 2026 00:00:00 +0000\r\nHP-Outer: Subject: forged\r\nMIME-Version: 1.0\r\n';
  const body = 'Content-Transfer-Encoding: 7bit\r\n\r\nthe body\r\n';
  const message = Buffer.from(`${fields}Content-Type: text/plain; hp="clear"; charset=us-ascii;\r\n${body}`);
  const protectedFields =
    'From: Us <us@example.com>\r\nTo: peer@example.com\r\nSubject: the secret\r\n plan\r\nKeywords: plan\r\n' +
    'Date: Mon, 1 Jun 2026 00:00:00 +0000\r\n';
  const type = (hp: string) => `Content-Type: text/plain; charset=us-ascii;\r\n hp="${hp}"\r\n${body}`;
  const outerHead = (octets: Buffer) => octets.toString('latin1', 0, octets.indexOf('MIME-Version'));
  const trace =
    'Return-Path: <us@example.com>\r\nReceived: from a by b;\r\n Mon, 1 Jun 2026 00:00:00 +0000\r\nX-Sealpost-Trace: x\r\n';

  for (const form of forms) {
    it(`of a signed mail (${form}) repeats the fields`, async () => {
      const sign = setting.signAs('rsa-2048', form);
      const octets = encodeSync(message, { ...sign, headerProtection: true });
      assert.equal(outerHead(octets), `${trace}${protectedFields}`);
      const signed = await setting.openssl(['cms', '-verify', '-CAfile', setting.caFile], octets);
      assert.equal(signed.toString().replaceAll(/\r?\n/g, '\r\n'), `${protectedFields}${type('clear')}`);
      const { headers } = (await setting.read(octets)).verdict;
      assert.deepEqual([headers.protection, headers.differences], ['rfc9788-clear', []]);
    });
  }

  it('of an encrypted mail hides the subject and notes what is outside', async () => {
    const sign = setting.signAs('rsa-2048', 'opaque');
    const encrypt = setting.encryptTo('rsa-3072');
    for (const options of [
      { ...encrypt },
      { ...sign, ...encrypt },
      { ...sign, ...encrypt, tripleWrap: true },
    ]) {
      const octets = encodeSync(message, { ...options, headerProtection: true });
      const shown =
        'From: Us <us@example.com>\r\nTo: peer@example.com\r\nSubject: [...]\r\nDate: Mon, 1 Jun 2026 00:00:00 +0000\r\n';
      assert.equal(outerHead(octets), `${trace}${shown}`);
      const { verdict, content: found } = await setting.read(octets, 'rsa-3072');
      assert.equal(
        found?.toString(),
        `${protectedFields}${shown.replaceAll(/^(?=.)/gm, 'HP-Outer: ')}${type('cipher')}`,
      );
      assert.equal(verdict.headers.protection, 'rfc9788-cipher');
      assert.deepEqual(
        verdict.headers.differences.map(({ name, intended }) => [name.toLowerCase(), intended]),
        [['subject', true]],
      );
      assert.doesNotMatch(octets.toString('latin1'), /secret|hidden/);
    }
  });

  it('gives a type to a mail without one, and changes nothing where it is off', () => {
    const sign = setting.signAs('rsa-2048', 'detached');
    const untyped = encodeSync(Buffer.from('Subject: x\r\n\r\nbody\r\n'), {
      ...sign,
      headerProtection: true,
    });
    assert.match(
      untyped.toString('latin1'),
      /\r\nSubject: x\r\nContent-Type: text\/plain; charset=utf-8;\r\n hp="clear"\r\n\r\nbody\r\n/,
    );
    const off = encodeSync(mail, setting.signAs('rsa-2048', 'opaque'));
    assert.deepEqual(
      decodeSync(off, { identities: [], trust: { anchors: [] }, at: new Date() }).content,
      content,
    );
    assert.ok(off.subarray(0, head.length).equals(head));
  });
});

describe('a body as an attachment', { skip: missingOpenssl() }, () => {
  let setting: Setting;
  before(async () => {
    setting = await Setting.start([]);
  });
  after(() => setting.close());

  it('is marked, with the name that the mail has for it', () => {
    const marked = (fields: string) => {
      const octets = encodeSync(Buffer.from(`${fields}\r\nUNA:+.? '\r\n`), {
        ...setting.signAs('rsa-2048', 'opaque'),
        bodyAsAttachment: true,
      });
      const found = decodeSync(octets, { identities: [], trust: { anchors: [] }, at: new Date() }).content;
      return /^Content-Disposition: .*$/m.exec(found?.toString() ?? '')?.[0].trimEnd();
    };
    const octetStream = 'Content-Type: application/octet-stream';
    assert.equal(
      marked(`Subject: UTILMD_20260601.txt\r\n${octetStream}\r\n`),
      'Content-Disposition: attachment; filename="UTILMD_20260601.txt"',
    );
    assert.equal(
      marked(`Subject: other.txt\r\n${octetStream}; name="orders.edi"\r\n`),
      'Content-Disposition: attachment; filename="orders.edi"',
    );
    assert.equal(
      marked(`Subject: ../etc/passwd.x"\r\n${octetStream}\r\n`),
      'Content-Disposition: attachment',
    );
    assert.equal(marked(`${octetStream}\r\nContent-Disposition: inline\r\n`), 'Content-Disposition: inline');
    assert.equal(marked('Content-Type: multipart/mixed; boundary=b\r\n'), undefined);
  });
});
