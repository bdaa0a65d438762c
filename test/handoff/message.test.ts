import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { composeMessage, composeStreamed } from '../../src/handoff/message.ts';
import { crlf, delivery, mixed } from './support.ts';

const compose = (content: Buffer, changes = {}) => {
  const message = composeMessage(delivery(content, changes), content);
  return { ...message, eml: Buffer.concat([message.prefix, content]).toString('utf8') };
};

describe('handoff message', () => {
  it('puts the outer fields without those of MIME before the entity, and keeps its octets', () => {
    const { eml, kind, octets } = compose(mixed);
    assert.equal(kind, 'entity');
    assert.match(eml, /^Received: from partner\.example/);
    assert.match(
      eml,
      /Message-ID: <m1@partner\.example>\r\nMIME-Version: 1\.0\r\nContent-Type: multipart\/mixed/,
    );
    assert.doesNotMatch(eml, /pkcs7-mime|smime\.p7m/);
    assert.equal(eml.match(/^MIME-Version/gim)?.length, 1);
    assert.ok(eml.endsWith(mixed.toString('utf8')));
    assert.equal(octets, Buffer.byteLength(eml));
  });

  it('lets fields that were protected win over the outer ones', () => {
    const { eml, headers } = compose(
      crlf('MIME-Version: 1.0\nSubject: inner\nContent-Type: text/plain\n\nx'),
    );
    assert.equal(eml.match(/^Subject:/gm)?.length, 1);
    assert.equal(eml.match(/^MIME-Version/gm)?.length, 1);
    assert.equal(headers.get('subject'), 'inner');
    assert.equal(headers.get('message-id'), '<m1@partner.example>');
  });

  for (const [what, content] of [
    ['EDIFACT, which looks like a field', crlf("UNA:+.? 'UNB+UNOA:1+X+Y'\n\nmore")],
    ['X12', crlf('ISA*00*          *00*          ~')],
    ['binary', Buffer.from([0, 1, 2, 255, 13, 10, 13, 10])],
    ['nothing', Buffer.alloc(0)],
  ] as const) {
    it(`gives octets that are no entity a header: ${what}`, () => {
      const { kind, prefix } = compose(content);
      assert.equal(kind, 'octets');
      const end = 'Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n';
      assert.ok(prefix.toString().endsWith(end));
    });
  }

  it('takes an entity with an empty header as text', () => {
    const { kind, eml } = compose(crlf('\nhello'));
    assert.equal(kind, 'entity');
    assert.ok(eml.endsWith('MIME-Version: 1.0\r\n\r\nhello'));
  });

  it('hands off mail that was not S/MIME unchanged', () => {
    const mail = crlf('From: a@b.example\nSubject: plain\n\nhello');
    const { eml, kind, headers } = compose(mail, { whole: true });
    assert.equal(kind, 'message');
    assert.equal(eml, mail.toString());
    assert.equal(headers.get('subject'), 'plain');
  });

  it('composes the same from a stream, octet by octet', async () => {
    const { prefix } = await composeStreamed(delivery(mixed, {}, 1));
    assert.deepEqual(prefix, compose(mixed).prefix);
  });

  it('completes an outer header whose last line has no end', () => {
    const { eml } = compose(crlf('Content-Type: text/plain\n\nx'), { header: Buffer.from('Subject: cut') });
    assert.equal(eml, 'Subject: cut\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx');
  });
});
