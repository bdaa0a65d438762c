import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chooseBodyPart } from '../../src/handoff/body-part.ts';
import { readParts } from '../../src/handoff/parts.ts';
import { type HeaderBlock, parseHeaders } from '../../src/message/headers.ts';
import { defaultMessageLimits as limits } from '../../src/message/limits.ts';
import { readMailHeader } from '../../src/message/mail-header.ts';
import { crlf, delivery, mixed, outerHeader } from './support.ts';

const readFields = (headers: HeaderBlock) => readMailHeader(headers).json;

describe('handoff parts', () => {
  it('lists each leaf part by itself, with the part properties', async () => {
    const parts = await readParts('entity', [mixed], { inline: true, limits });
    assert.deepEqual(
      parts.map(({ number, contentType }) => `${number} ${contentType}`),
      ['1 text/plain', '2 text/html', '3 application/octet-stream', '4 message/rfc822', '5 text/xml'],
    );
    const [text, html, order, nested, second] = parts;
    assert.equal(text?.text?.trimEnd(), 'Grüße aus Zürich');
    assert.equal(text?.charset, 'iso-8859-1');
    assert.match(html?.text ?? '', /tracker\.example/);
    assert.deepEqual(order?.content, { encoding: 'base64', data: 'PG9yZGVyLz4=' });
    assert.equal(order?.octets, 8);
    assert.equal(order?.fileName, 'Bestellung €.xml');
    assert.equal(order?.originalFileName, '../../etc/Bestellung €.xml');
    assert.equal(order?.contentId, 'part3@partner.example');
    assert.equal(order?.description, 'die Bestellung €');
    assert.equal(order?.location, 'http://partner.example/order.xml');
    assert.equal(order?.transferEncoding, 'base64');
    assert.equal(order?.disposition, 'attachment');
    assert.match(Buffer.from(nested?.content?.data ?? '', 'base64').toString(), /^Subject: nested/);
    assert.equal(second?.text, '<second/>');
    // EFAIL: what is in one part is in no other
    const holders = parts.filter((part) => part.text?.includes('secret of another origin'));
    assert.deepEqual(holders, []);
  });

  it('finds the same in chunks of any size, and inlines nothing unless asked', async () => {
    const whole = await readParts('entity', [mixed], { inline: false, limits });
    assert.ok(whole.every((part) => part.text === undefined && part.content === undefined));
    for (const size of [1, 3, 64]) {
      const parts = await readParts('entity', delivery(mixed, {}, size).content(), { inline: false, limits });
      assert.deepEqual(parts, whole);
    }
  });

  it('stops at the limits of parts and depth', async () => {
    const many = crlf(`Content-Type: multipart/mixed; boundary=b\n\n${'--b\n\nx\n'.repeat(11)}--b--\n`);
    const few = { ...limits, parts: 10 };
    await assert.rejects(readParts('entity', [many], { inline: false, limits: few }), { code: 'mime-limit' });
    let deep = 'Content-Type: text/plain\n\nx\n';
    for (let i = 0; i < 6; i++)
      deep = `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n${deep}\n--b${i}--\n`;
    const shallow = { ...limits, depth: 5 };
    const read = readParts('entity', [crlf(deep)], { inline: false, limits: shallow });
    await assert.rejects(read, { code: 'mime-limit' });
    const enough = { ...limits, depth: 6 };
    for (const taken of [enough, limits])
      assert.equal((await readParts('entity', [crlf(deep)], { inline: false, limits: taken })).length, 1);
  });

  it('counts the leaf parts of all multiparts together', async () => {
    const inner = (n: number) =>
      `Content-Type: multipart/mixed; boundary=i${n}\n\n${`--i${n}\n\nx\n`.repeat(6)}--i${n}--\n`;
    const content = crlf(
      `Content-Type: multipart/mixed; boundary=o\n\n--o\n${inner(1)}--o\n${inner(2)}--o--\n`,
    );
    // 12 of them, at most 6 in one multipart
    const read = (parts: number) =>
      readParts('entity', [content], { inline: false, limits: { ...limits, parts } });
    await assert.rejects(read(10), { code: 'mime-limit' });
    await assert.rejects(read(11), { code: 'mime-limit' });
    assert.equal((await read(12)).length, 12);
  });

  it('takes parts of a digest as messages and a multipart without boundary as it is', async () => {
    const digest = crlf('Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b--\n');
    assert.equal(
      (await readParts('entity', [digest], { inline: false, limits }))[0]?.contentType,
      'message/rfc822',
    );
    const bare = crlf('Content-Type: multipart/mixed\n\n--b\n\nx');
    assert.equal(
      (await readParts('entity', [bare], { inline: false, limits }))[0]?.contentType,
      'multipart/mixed',
    );
  });

  it('says that a part does not decode', async () => {
    const broken = crlf('Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nA=BC\n');
    await assert.rejects(readParts('entity', [broken], { inline: false, limits }), {
      code: 'transfer-encoding',
    });
  });

  it('decodes flowed text (RFC 3676) and keeps the text of a CSV', async () => {
    const flowed = crlf('Content-Type: text/plain; format=flowed\n\none \ntwo\nthree\n');
    const [text] = await readParts('entity', [flowed], { inline: true, limits });
    assert.equal(text?.text?.trimEnd(), 'one two\nthree');
    const [csv] = await readParts('entity', [crlf('Content-Type: text/csv; name=a.csv\n\na;b\n')], {
      inline: true,
      limits,
    });
    assert.equal(csv?.text?.trimEnd(), 'a;b');
  });

  it('reads the header fields', async () => {
    const headers = readFields(parseHeaders(outerHeader));
    assert.deepEqual(headers, {
      subject: 'Bestellung ✓',
      from: [{ name: 'Zürich Orders', address: 'orders@partner.example' }],
      sender: null,
      to: [
        { name: '', address: 'edi@example.com' },
        { name: 'Second, One', address: 'two@example.com' },
      ],
      cc: [],
      replyTo: [],
      messageId: '<m1@partner.example>',
      inReplyTo: null,
      date: '2026-11-23T00:00:00.000Z',
    });
    const none = readFields(parseHeaders(crlf('Date: soon\nFrom: <>\n\n')));
    assert.equal(none.date, null);
    assert.equal(none.subject, null);
  });
});

describe('handoff body part', () => {
  const part = (number: number, contentType: string, description = '') => ({
    number,
    contentType,
    description,
  });
  const parts = [
    part(1, 'image/png'),
    part(2, 'text/plain'),
    part(3, 'text/xml'),
    part(4, 'application/pdf', 'Body'),
  ];
  const cases: [
    string,
    ReturnType<typeof part>[],
    { contentType?: string; index: number },
    number | undefined,
  ][] = [
    ['the description "body"', parts, { index: 0 }, 4],
    ['text/xml before other text', parts.slice(0, 3), { index: 0 }, 3],
    ['any text before the rest', parts.slice(0, 2), { index: 0 }, 2],
    ['the first part', parts.slice(0, 1), { index: 0 }, 1],
    ['the configured type', parts, { contentType: 'Text/Plain', index: 0 }, 2],
    ['the configured index, from 1', parts, { index: 1 }, 1],
    [
      'the default order where the configured one is missing',
      parts,
      { contentType: 'text/csv', index: 9 },
      4,
    ],
    ['none without parts', [], { index: 0 }, undefined],
  ];
  for (const [what, list, config, expected] of cases) {
    it(`is ${what}`, () => assert.equal(chooseBodyPart(list, config), expected));
  }
});
