import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Base64Encoder, defaultMessageLimits } from '../../src/message/index.ts';
import { type SevenBitMode, sevenBitEntity } from '../../src/message/seven-bit.ts';
import { cuts, pushThrough } from './pushing.ts';

function converts(input: string, expected: string, mode: SevenBitMode = 'signed'): void {
  for (const { name, chunks } of cuts(Buffer.from(input, 'latin1'))) {
    const found = pushThrough(chunks, (output) => sevenBitEntity(output, mode, defaultMessageLimits));
    assert.equal(found.toString('latin1'), expected, name);
  }
}

const base64 = (text: string) =>
  pushThrough([Buffer.from(text, 'latin1')], (output) => new Base64Encoder(output)).toString();

describe('an entity that is to be signed', () => {
  it('stays unchanged if it is 7bit or already encoded', () => {
    for (const entity of [
      'Content-Type: text/plain\r\n\r\nplain\r\n',
      'Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n',
      'Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n',
      'Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\u00e4\r\n--b--\r\n',
    ]) {
      converts(entity, entity);
    }
  });

  it('gets quoted-printable for text and base64 for the rest', () => {
    converts(
      'Content-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\na\u00e4\nb',
      'Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=E4\r\nb',
    );
    converts(
      'Content-Type: application/xml\r\nContent-Transfer-Encoding: 8bit\r\n\r\na\u00e4\nb',
      `Content-Type: application/xml\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64('a\u00e4\r\nb')}`,
    );
  });

  it('is looked at when it does not say what it is', () => {
    converts(
      '\r\na\u00e4\r\n',
      `${'Content-Transfer-Encoding: base64\r\n\r\n'.replace('base64', 'quoted-printable')}a=E4\r\n`,
    );
    const long = 'x'.repeat(1200);
    converts(
      `Content-Type: application/edifact\r\n\r\n${long}`,
      `Content-Type: application/edifact\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(long)}`,
    );
  });

  it('keeps the octets of binary parts, line ends included, in each mode', () => {
    for (const mode of ['signed', 'binary-only'] as const) {
      converts(
        'Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\r\rc\u0000',
        `Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64('a\nb\r\rc\u0000')}`,
        mode,
      );
    }
  });

  it('keeps the octets of a binary part whatever the multipart around it says', () => {
    for (const label of ['', 'Content-Transfer-Encoding: 8bit\r\n']) {
      const made = (encoding: string, body: string) =>
        `Content-Type: multipart/mixed; boundary=b\r\n${label}\r\npre\r\n--b\r\nContent-Type: text/plain\r\n\r\na\r\n--b\r\n` +
        `Content-Type: message/rfc822\r\n\r\nSubject: x\r\nno field\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n--b--\r\nepilogue`;
      const binary = made('binary', 'a\nb\r\rc');
      const expected = made('base64', base64('a\nb\r\rc')).replace('no field\r\n', '');
      converts(binary, expected, 'binary-only');
      const plain = made('quoted-printable', 'a');
      converts(plain, plain, 'binary-only');
    }
  });

  it('is converted part by part', () => {
    converts(
      'Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\npre\r\n--b\r\n' +
        'Content-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\u00e4\r\n--bb--\r\n\r\n--b\r\n' +
        'Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: x\r\n\r\n\u00f6\r\n--b--\r\nepilogue',
      'Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--b\r\n' +
        'Content-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n--bb--\r\n\r\n--b\r\n' +
        'Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=F6\r\n--b--\r\n',
    );
  });

  it('is limited in depth', () => {
    const deep = 'Content-Type: message/rfc822\r\n\r\n'.repeat(5);
    const limits = { ...defaultMessageLimits, depth: 3 };
    assert.throws(
      () => pushThrough([Buffer.from(deep)], (output) => sevenBitEntity(output, 'signed', limits)),
      { code: 'mime-limit' },
    );
  });
});

describe('an entity of somebody else that is handed on', () => {
  const exact = (input: string, expected: string) => converts(input, expected, 'exact');

  it('stays unchanged if it is 7bit in lines that everybody reads alike', () => {
    for (const entity of [
      'Content-Type: text/plain\r\n\r\nplain\r\n',
      'Content-Type: text/plain\r\n\r\nplain\nlf\n',
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n',
    ])
      exact(entity, entity);
  });

  it('becomes base64, octet for octet, where it has a CR without LF, also at its end', () => {
    for (const text of ['a\rb', 'a\r', '\r\r\n', '\r--b\r', 'ü\r\n', 'a\0'])
      exact(
        `Content-Type: text/plain\r\n\r\n${text}`,
        `Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(text)}`,
      );
  });

  it('has no bare CR in the header of a part, which would be a field of its own', () => {
    exact(
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: y\rZ: z\r\n\r\none\r\n--b--\r\n',
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: y Z: z\r\n\r\none\r\n--b--\r\n',
    );
  });

  it('is refused with a bare CR in what must not be changed', () => {
    for (const type of ['multipart/signed; boundary=s', 'text/plain\r\nContent-Transfer-Encoding: base64'])
      for (const text of ['\rx', 'x\r'])
        for (const { chunks } of cuts(Buffer.from(`Content-Type: ${type}\r\n\r\n${text}`, 'latin1')))
          assert.throws(
            () => pushThrough(chunks, (output) => sevenBitEntity(output, 'exact', defaultMessageLimits)),
            { code: 'mime-malformed' },
          );
  });
});
