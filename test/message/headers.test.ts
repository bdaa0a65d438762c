import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseContentType, parseParameterized } from '../../src/message/content-type.ts';
import { type HeaderBlock, HeaderSplitter, parseHeaders } from '../../src/message/headers.ts';
import { defaultMessageLimits } from '../../src/message/limits.ts';
import { cuts, pushThrough } from './pushing.ts';

const header =
  'From mailbox Mon Jan  1\r\nFrom: a@example.com\r\nSubject: one\r\n\ttwo\r\n  three\r\n' +
  'X-Empty:\r\nReceived : 1\r\nreceived: 2\r\nno field here\r\n\r\n';

describe('header blocks', () => {
  for (const end of ['\r\n', '\n']) {
    it(`are read with ${JSON.stringify(end)} line ends`, () => {
      const octets = Buffer.from(header.replaceAll('\r\n', end));
      const block = parseHeaders(octets);
      assert.equal(block.get('SUBJECT'), 'one\ttwo  three');
      assert.equal(block.get('x-empty'), '');
      assert.deepEqual(block.all('Received'), ['1', '2']);
      assert.equal(block.get('missing'), undefined);
      assert.equal(
        block.fields.find((field) => field.key === 'subject')?.raw.toString(),
        `Subject: one${end}\ttwo${end}  three${end}`,
      );
      assert.ok(block.raw.equals(octets));
    });

    it(`are split from the body with ${JSON.stringify(end)} line ends, however they are cut`, () => {
      const head = header.replaceAll('\r\n', end);
      for (const { name, chunks } of cuts(Buffer.from(`${head}body${end}${end}more`))) {
        let seen: HeaderBlock | undefined;
        const body = pushThrough(
          chunks,
          (output) =>
            new HeaderSplitter((block) => {
              seen = new Proxy(block, {});
              assert.equal(block.raw.toString(), head, name);
              return output;
            }),
        );
        assert.equal(body.toString(), `body${end}${end}more`, name);
        assert.ok(seen !== undefined);
      }
    });
  }

  it('may be empty, or the whole message', () => {
    for (const [text, head, rest] of [
      ['\r\nbody', '\r\n', 'body'],
      ['\nbody', '\n', 'body'],
      ['A: b', 'A: b', ''],
      ['', '', ''],
      ['\r', '\r', ''],
    ]) {
      let raw = '';
      const body = pushThrough(
        [Buffer.from(text ?? '')],
        (output) =>
          new HeaderSplitter((block) => {
            raw = block.raw.toString();
            return output;
          }),
      );
      assert.deepEqual([raw, body.toString()], [head, rest]);
    }
  });

  it('reads UTF-8 and falls back to Latin-1', () => {
    assert.equal(parseHeaders(Buffer.from('S: gr\u00fc\u00df')).get('s'), 'gr\u00fc\u00df');
    assert.equal(parseHeaders(Buffer.from('S: gr\u00fc\u00df', 'latin1')).get('s'), 'gr\u00fc\u00df');
  });

  it('are limited in octets and fields', () => {
    const splitter = new HeaderSplitter(() => assert.fail('no end of the header'));
    const line = Buffer.from(`X: ${'x'.repeat(997)}\r\n`);
    assert.throws(
      () => {
        for (let i = 0; i < 200; i++) splitter.write(line);
      },
      { code: 'mime-limit' },
    );
    const limits = { ...defaultMessageLimits, headerFields: 2 };
    assert.throws(() => parseHeaders(Buffer.from('a: 1\nb: 2\nc: 3\n'), limits), { code: 'mime-limit' });
  });
});

describe('Content-Type', () => {
  const cases: [string, string, Record<string, string>][] = [
    [
      'multipart/signed; micalg=sha-256; boundary="a; b"',
      'multipart/signed',
      { micalg: 'sha-256', boundary: 'a; b' },
    ],
    [
      'Application/PKCS7-MIME;\tNAME=smime.p7m; smime-type = Enveloped-Data',
      'application/pkcs7-mime',
      { name: 'smime.p7m', 'smime-type': 'Enveloped-Data' },
    ],
    ['text/plain (a (nested) comment); charset=us-ascii (plain)', 'text/plain', { charset: 'us-ascii' }],
    ['multipart/mixed; boundary=----=_NextPart_000', 'multipart/mixed', { boundary: '----=_NextPart_000' }],
    ['application/octet-stream; name=my file.p7m', 'application/octet-stream', { name: 'my file.p7m' }],
    ['a/b; x="q\\"u\\\\o"; ; x=second', 'a/b', { x: 'q"u\\o' }],
    ["a/b; title*0*=us-ascii'en'This%20is; title*1*=%20fun; title*2=!", 'a/b', { title: 'This is fun!' }],
    ["a/b; name*=utf-8''gr%C3%BC%C3%9Fe.p7m; name=plain.p7m", 'a/b', { name: 'gr\u00fc\u00dfe.p7m' }],
    ["a/b; name*=iso-8859-1''gr%FC.p7m", 'a/b', { name: 'gr\u00fc.p7m' }],
    ['multipart', 'text/plain', {}],
    ['', 'text/plain', {}],
    ['a/b; x="never closed', 'a/b', { x: 'never closed' }],
    ['a/b; (never closed', 'a/b', {}],
    ['a/b; x=y (one)(two) ; z=w(no comment)', 'a/b', { x: 'y', z: 'w(no comment)' }],
  ];
  for (const [text, type, parameters] of cases) {
    it(`is read: ${text}`, () => {
      const found = parseContentType(text);
      assert.equal(found.value, type);
      for (const [name, value] of Object.entries(parameters)) assert.equal(found.parameters.get(name), value);
      assert.equal(found.parameters.get('other'), undefined);
    });
  }

  it('shares its syntax with Content-Disposition', () => {
    const found = parseParameterized('attachment; filename="smime.p7m"');
    assert.equal(found.value, 'attachment');
    assert.equal(found.parameters.get('filename'), 'smime.p7m');
  });
});
