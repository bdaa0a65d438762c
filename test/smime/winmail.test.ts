import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NullSink } from '../../src/message/index.ts';
import { Decoder, decodeSync } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { cuts } from '../message/pushing.ts';
import { encrypt, noOpenssl, openssl, options, sign } from './openssl.ts';

const entity = Buffer.from('Content-Type: text/plain\r\n\r\nwrapped by Exchange\r\n');

/** One attribute as MS-OXTNEF, section 2.1.3.2, has it. */
function attribute(level: number, id: number, data: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head[0] = level;
  head.writeUInt32LE(id, 1);
  head.writeUInt32LE(data.length, 5);
  const sum = Buffer.alloc(2);
  sum.writeUInt16LE(data.reduce((total, octet) => (total + octet) & 0xffff, 0));
  return Buffer.concat([head, data, sum]);
}

/** TNEF with the attributes in the order in which Exchange writes them. */
function tnef(messageClass: string, ...attachments: Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.from([0x78, 0x9f, 0x3e, 0x22, 0x01, 0x00]),
    attribute(1, 0x00089006, Buffer.from([0, 0, 1, 0])),
    attribute(1, 0x00069007, Buffer.from([0xe4, 4, 0, 0, 0, 0, 0, 0])),
    attribute(1, 0x00078008, Buffer.from(`${messageClass}\0`)),
    attribute(1, 0x00069003, Buffer.alloc(300, 1)),
    ...attachments.flatMap((data) => [
      attribute(2, 0x00069002, Buffer.alloc(14)),
      attribute(2, 0x00018010, Buffer.from('smime.p7m\0')),
      attribute(2, 0x0006800f, data),
      attribute(2, 0x00069005, Buffer.alloc(100, 2)),
    ]),
  ]);
}

function base64(octets: Buffer): string {
  return (octets.toString('base64').match(/.{1,76}/g) ?? []).join('\r\n');
}

const part = (octets: Buffer, type = 'application/ms-tnef; name="winmail.dat"') =>
  `Content-Type: ${type}\r\nContent-Disposition: attachment; filename="winmail.dat"\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(octets)}\r\n`;
const mail = (body: string) =>
  Buffer.from(`From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n${body}`);

const enveloped = () => encrypt(entity, ['-aes-256-cbc', '-outform', 'DER']);

function decoded(message: Buffer) {
  const found = decodeSync(message, options);
  verdictSchema.parse(found.verdict);
  return found;
}

describe('a winmail.dat that is S/MIME', { skip: noOpenssl }, () => {
  it('is peeled like the CMS object that it wraps, however it is cut', () => {
    const message = mail(part(tnef('IPM.Note.SMIME', enveloped())));
    const { verdict, content } = decoded(message);
    assert.equal(verdict.error, null);
    assert.equal(verdict.encrypted, true);
    assert.deepEqual(content, entity);
    for (const { name, chunks } of cuts(message, 3)) {
      const decoder = new Decoder(new NullSink(), options);
      for (const chunk of chunks) decoder.write(chunk);
      decoder.end();
      assert.deepEqual(decoder.verdict, verdict, name);
    }
  });

  it('is peeled when it wraps a multipart/signed, and under its name only', () => {
    const signed = sign(entity, ['-binary']);
    const wrapped = tnef('IPM.Note.SMIME.MultipartSigned', signed);
    const { verdict, content } = decoded(mail(part(wrapped, 'application/octet-stream')));
    assert.equal(verdict.signature, 'valid');
    assert.deepEqual(content, entity);
  });

  it('fails when the attachment is something else, is missing or cut off', () => {
    const attachments: Buffer[][] = [
      [Buffer.from('Content-Type: text/plain\r\n\r\nx')],
      [Buffer.from('x')],
      [],
    ];
    for (const attachment of attachments) {
      const { verdict } = decoded(mail(part(tnef('IPM.Note.SMIME', ...attachment))));
      assert.equal(verdict.error?.code, 'mime-malformed');
    }
    const whole = tnef('IPM.Note.SMIME', enveloped());
    for (const length of [200, 700, whole.length - 1]) {
      const { verdict } = decoded(mail(part(whole.subarray(0, length))));
      assert.equal(verdict.status, 'failed', `${length}`);
    }
  });
});

describe('a winmail.dat that is something else', { skip: noOpenssl }, () => {
  it('stays the content, and what it has of S/MIME is a piece', () => {
    const message = mail(part(tnef('IPM.Note', Buffer.from('a picture'), enveloped())));
    const { verdict, content } = decoded(message);
    assert.deepEqual(content, message);
    assert.deepEqual([verdict.encrypted, verdict.layers], [false, []]);
    assert.deepEqual(
      verdict.pieces.map(({ path, encrypted, error }) => [path, encrypted, error]),
      [['1.2', true, null]],
    );
  });

  it('is looked into below a multipart', () => {
    const wrapped = tnef('IPM.Note', enveloped(), sign(entity, ['-binary']));
    const { verdict } = decoded(
      mail(
        `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n${part(wrapped)}\r\n--b--\r\n`,
      ),
    );
    assert.deepEqual(
      verdict.pieces.map(({ path, encrypted, signature }) => [path, encrypted, signature]),
      [
        ['2.1', true, 'none'],
        ['2.2', false, 'valid'],
      ],
    );
  });

  it('is content if it is not TNEF', () => {
    const message = mail(part(openssl(['rand', '300'])));
    const { verdict, content } = decoded(message);
    assert.deepEqual([verdict.error, verdict.pieces], [null, []]);
    assert.deepEqual(content, message);
  });
});
