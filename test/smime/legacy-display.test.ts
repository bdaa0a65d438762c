import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeSync, type EncodeOptions, encode, encodeSync } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { alice, decrypt, encrypt, noOpenssl, options } from './openssl.ts';

const crlf = (text: string) => Buffer.from(text.replace(/\r?\n/g, '\r\n'));
const fields = (subject = 'the secret plan') =>
  `From: alice@example.com\nTo: bob@example.com\nSubject: ${subject}\n`;

const encrypting: EncodeOptions = {
  recipients: [alice.certificate],
  contentEncryption: 'aes-256-cbc',
  keyTransport: 'pkcs1',
  headerProtection: true,
  legacyDisplay: true,
};
const signed = (sign: 'opaque' | 'detached'): EncodeOptions => ({
  ...encrypting,
  identity: alice.identity,
  sign,
  signatureScheme: 'pkcs1',
  at: new Date(),
});

function decoded(octets: Buffer) {
  const { verdict, content } = decodeSync(octets, options);
  assert.equal(verdict.error, null);
  verdictSchema.parse(verdict);
  return { verdict, headers: verdict.headers, text: content?.toString() ?? '' };
}

/** The body of a part in its transfer encoding undone. */
function bodyOf(text: string, at = 0): Buffer {
  const [head = '', ...rest] = text.slice(at).split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  if (/encoding: base64/i.test(head)) return Buffer.from(body, 'base64');
  if (!/encoding: quoted-printable/i.test(head)) return Buffer.from(body);
  const octets = body
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, 'latin1');
}

describe('legacy display elements of RFC 9788', { skip: noOpenssl }, () => {
  it('are reported by the leaf they stand in, and the octets stay', () => {
    const entity = crlf(
      'Subject: the secret plan\nHP-Outer: Subject: [...]\nContent-Type: multipart/mixed; boundary=m; hp="cipher"\n\n--m\nContent-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain; hp-legacy-display="1"\n\nSubject: the secret plan\n\nhello\n--a\nContent-Type: text/html; hp-legacy-display=1\n\n<html><body><div class="header-protection-legacy-display"><pre>Subject: the secret plan</pre></div>hello</body></html>\n--a--\n--m\nContent-Type: text/plain; hp-legacy-display="0"\n\nfooter\n--m\nContent-Type: application/pdf; hp-legacy-display="1"\n\nx\n--m--\n',
    );
    const { headers, text } = decoded(Buffer.concat([crlf('Subject: [...]\n'), encrypt(entity, [])]));
    assert.deepEqual(headers.legacyDisplay, [1, 2]);
    assert.equal(text, entity.toString());
  });

  it('are none without the mark of header protection', () => {
    const entity = crlf(
      'Subject: x\nContent-Type: text/plain; hp-legacy-display="1"\n\nSubject: x\n\nhello\n',
    );
    assert.deepEqual(decoded(encrypt(entity, [])).headers.legacyDisplay, []);
  });

  for (const [name, head, body, subject, begin] of [
    ['plain text', 'Content-Type: text/plain\n', 'hello\n', 'the secret plan', 'the secret plan'],
    ['no type at all', '', 'hello\n', 'the secret plan', 'the secret plan'],
    [
      'ASCII text and another subject',
      'Content-Type: text/plain; charset="us-ascii"; format=flowed\nContent-Transfer-Encoding: 7bit\n',
      'hello\n',
      '=?utf-8?Q?Gr=C3=BC=C3=9Fe_=E2=82=AC?=',
      'Grüße €',
    ],
    [
      'quoted-printable',
      'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n',
      'hell=C3=B6\n',
      '=?utf-8?Q?Gr=C3=BC=C3=9Fe?=',
      'Grüße',
    ],
    [
      'base64',
      'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n',
      'aGVsbMO2DQo=\n',
      'the secret plan',
      'the secret plan',
    ],
  ] as const)
    for (const [how, encoding] of [
      ['encrypted', encrypting],
      ['signed and encrypted', signed('opaque')],
      ['signed for all to read and encrypted', signed('detached')],
    ] as const)
      it(`are written into ${name}, ${how}`, () => {
        const octets = encodeSync(crlf(`${fields(subject)}${head}\n${body}`), encoding);
        assert.match(octets.toString('latin1'), /^Subject: \[\.\.\.\]\r$/m);
        const { headers, text, verdict } = decoded(octets);
        assert.deepEqual(headers.legacyDisplay, [1]);
        assert.equal(headers.protection, 'rfc9788-cipher');
        if (encoding.sign) assert.equal(verdict.signature, 'valid');
        const found = bodyOf(text).toString();
        const original = bodyOf(crlf(`${head || 'X: y\n'}\n${body}`).toString()).toString();
        assert.equal(found, `Subject: ${begin}\r\n\r\n${original}`);
      });

  it('stand behind the body element of HTML, escaped, in each alternative, and in no attachment', () => {
    const html = '<html><BODY class="x">\r\n<p>hello</p></BODY></html>\r\n';
    const mail = crlf(
      `${fields('a <b> & "c"')}Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain\n\nhello\n--a\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n${Buffer.from(html).toString('base64')}\n--a--\n--m\nContent-Type: text/plain\nContent-Disposition: attachment\n\nthe attachment\n--m\nContent-Type: text/plain\n\nthe footer\n--m--\n`,
    );
    const octets = encodeSync(mail, signed('detached'));
    const { headers, text } = decoded(octets);
    assert.deepEqual(headers.legacyDisplay, [1, 2]);
    assert.match(text, /\r\n\r\nSubject: a <b> & "c"\r\n\r\nhello\r\n--a/);
    assert.match(text, /\r\n\r\nthe attachment\r\n--m[\s\S]*\r\n\r\nthe footer\r\n--m--/);
    const part = text.slice(text.indexOf('Content-Type: text/html'), text.indexOf('--a--'));
    const element =
      '<div class="header-protection-legacy-display">\r\n<pre>Subject: a &#60;b&#62; &#38; &#34;c&#34;</pre>\r\n</div>\r\n';
    assert.equal(
      bodyOf(part).toString(),
      html.replace('<BODY class="x">', (body) => `${body}${element}`),
    );
    // what openssl opens has the same octets
    assert.ok(decrypt(octets).includes('hp-legacy-display="1"'));
  });

  it('are written into large text that is read twice', async () => {
    const body = 'a line of seventy characters and not of a single one more than that it.\r\n'.repeat(30_000);
    const mail = Buffer.concat([crlf(`${fields()}Content-Type: text/plain\n\n`), Buffer.from(body)]);
    const whole = encodeSync(mail, signed('detached'));
    const streamed = Buffer.concat(await Array.fromAsync(encode(() => [mail], signed('detached'))));
    for (const octets of [whole, streamed]) {
      const { text, headers, verdict } = decoded(octets);
      assert.deepEqual([verdict.signature, headers.legacyDisplay], ['valid', [1]]);
      assert.ok(text.endsWith(`\r\n\r\nSubject: the secret plan\r\n\r\n${body}`));
      assert.doesNotMatch(text.slice(0, 2000), /quoted-printable/);
    }
  });

  it('are not written where they cannot stand, or nothing is hidden', () => {
    const odd = `${fields('=?utf-8?Q?=E2=82=AC?=')}Content-Type: text/plain; charset=iso-8859-1\n\nhello\n`;
    const fragment = `${fields()}Content-Type: text/html\n\n<p>hello</p>\n`;
    const edi = `${fields()}Content-Type: application/edifact\n\nUNB\n`;
    for (const text of [odd, fragment, edi, `From: a@example.com\nContent-Type: text/plain\n\nhello\n`]) {
      const found = decoded(encodeSync(crlf(text), encrypting));
      assert.deepEqual(found.headers.legacyDisplay, []);
      assert.doesNotMatch(found.text, /legacy/);
      assert.equal(bodyOf(found.text).toString(), bodyOf(crlf(text).toString()).toString());
    }
    const { recipients: _, ...clear } = signed('opaque');
    const { text } = decoded(encodeSync(crlf(`${fields()}Content-Type: text/plain\n\nhello\n`), clear));
    assert.match(text, /\r\n\r\nhello\r\n$/);
  });
});
