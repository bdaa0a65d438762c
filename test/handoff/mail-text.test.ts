import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readText } from '../../src/handoff/mail-text.ts';
import { parseContentType } from '../../src/message/content-type.ts';
import { type HeaderBlock, parseHeaders } from '../../src/message/headers.ts';
import { readMailHeader } from '../../src/message/mail-header.ts';
import { crlf } from './support.ts';

const octets = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const syntax = fc
  .array(
    fc.constantFrom(
      '=?utf-8?Q?',
      '=C3',
      '?=',
      '"',
      '<',
      '>',
      '(',
      ')',
      ',',
      ':',
      ';',
      '@',
      'a',
      ' ',
      '\\',
      '=?x?B?/w==?=',
    ),
  )
  .map((pieces) => Buffer.from(pieces.join('')));

const readFields = (headers: HeaderBlock) => readMailHeader(headers).json;

describe('handoff mail text', () => {
  it('ends with an answer whatever the header has', async () => {
    const value = fc.oneof(octets, syntax);
    await fc.assert(
      fc.asyncProperty(value, value, async (subject, from) => {
        const raw = [
          Buffer.from('Subject: '),
          subject,
          Buffer.from('\r\nFrom: '),
          from,
          Buffer.from('\r\n\r\n'),
        ];
        const headers = readFields(parseHeaders(Buffer.concat(raw)));
        assert.ok(Array.isArray(headers.from));
      }),
      { numRuns: 200 },
    );
  });

  it('ends with an answer whatever type, charset and octets a part has', async () => {
    const charset = fc.constantFrom(
      'utf-8',
      'utf-16',
      'iso-2022-jp',
      'gb18030',
      'x-none',
      '',
      '"; x="',
      'utf-7',
    );
    const type = fc.constantFrom('text/plain; format=flowed; delsp=yes', 'text/html', 'text/xml', 'text/');
    await fc.assert(
      fc.asyncProperty(type, charset, octets, async (name, set, data) => {
        const text = await readText(parseContentType(`${name}; charset=${set}`), data);
        assert.ok(text === undefined || typeof text === 'string');
      }),
      { numRuns: 200 },
    );
  });

  it('never reads a header out of the octets of a part', async () => {
    const data = crlf('\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n');
    const text = await readText(parseContentType('text/plain'), data);
    assert.match(text ?? '', /--b--/);
  });

  it('gives HTML as it is, with its URLs untouched', async () => {
    const html = '<img src="cid:a"><a href="http://example.com/">x</a>';
    assert.equal(await readText(parseContentType('text/html'), Buffer.from(html)), html);
  });

  it('flattens groups of addresses', async () => {
    const headers = readFields(
      parseHeaders(crlf('To: Team: a@x.example, B <b@x.example>;, c@x.example\n\n')),
    );
    assert.deepEqual(
      headers.to.map(({ address }) => address),
      ['a@x.example', 'b@x.example', 'c@x.example'],
    );
  });
});
