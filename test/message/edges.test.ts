/** Limits at the limit and one beyond, and what must not be taken for a delimiter, a comment or an end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readAddressList } from '../../src/message/address.ts';
import { HeaderSplitter, parseHeaders } from '../../src/message/headers.ts';
import { defaultMessageLimits } from '../../src/message/limits.ts';
import { MultipartSplitter } from '../../src/message/multipart.ts';
import { BufferSink, NullSink } from '../../src/message/sink.ts';

describe('headers at their limits', () => {
  it('as many octets as are allowed, and one more', () => {
    const limits = { ...defaultMessageLimits, headerOctets: 100 };
    const line = (length: number) => Buffer.from(`a: ${'x'.repeat(length - 5)}\r\n`);
    assert.equal(parseHeaders(line(100), limits).fields.length, 1);
    assert.throws(() => parseHeaders(line(101), limits), { code: 'mime-limit' });
    const split = (length: number) => {
      const splitter = new HeaderSplitter(() => new NullSink(), limits);
      splitter.write(line(length));
      splitter.end();
    };
    split(100);
    assert.throws(() => split(101), { code: 'mime-limit' });
  });

  it('as many fields as are allowed, and one more', () => {
    const limits = { ...defaultMessageLimits, headerFields: 2 };
    assert.equal(parseHeaders(Buffer.from('a: 1\nb: 2\n'), limits).fields.length, 2);
    assert.throws(() => parseHeaders(Buffer.from('a: 1\nb: 2\nc: 3\n'), limits), { code: 'mime-limit' });
  });
});

describe('addresses', () => {
  const addresses = (text: string) => readAddressList(text).addresses.map(({ address }) => address);

  it('a comment ends where the outermost one ends, a quoted string at its quote', () => {
    assert.deepEqual(addresses('(a (b) c@inside.example) d@e.example'), ['d@e.example']);
    assert.deepEqual(addresses('(a (b)) <d@e.example>'), ['d@e.example']);
    assert.deepEqual(addresses('"x y@inside.example, z" <d@e.example>'), ['d@e.example']);
  });
});

describe('multiparts', () => {
  function parts(text: string, limits = defaultMessageLimits, boundary = 'b'): string[] {
    const sinks: BufferSink[] = [];
    const part = () => {
      const sink = new BufferSink();
      sinks.push(sink);
      return sink;
    };
    const splitter = new MultipartSplitter(boundary, { part }, limits);
    splitter.write(Buffer.from(text));
    splitter.end();
    return sinks.map((sink) => sink.toBuffer().toString());
  }

  it('as many parts as are allowed, and one more', () => {
    const limits = { ...defaultMessageLimits, parts: 3 };
    assert.equal(parts(`${'--b\r\nx\r\n'.repeat(3)}--b--`, limits).length, 3);
    assert.throws(() => parts(`${'--b\r\nx\r\n'.repeat(4)}--b--`, limits), { code: 'mime-limit' });
  });

  it('a boundary as long as is allowed, and one more', () => {
    const limits = { ...defaultMessageLimits, boundaryLength: 20 };
    const name = 'b'.repeat(20);
    assert.deepEqual(parts(`--${name}\r\nx\r\n--${name}--`, limits, name), ['x']);
    assert.throws(() => parts('', limits, `${name}b`), { code: 'mime-limit' });
  });

  it('a delimiter is at the start of a line, whole, and closes with two dashes', () => {
    assert.deepEqual(parts('--b\r\nx --b\r\ny\r\n--b--'), ['x --b\r\ny']);
    assert.deepEqual(parts('--b\r\nx\r\n--bc\r\ny\r\n--b--'), ['x\r\n--bc\r\ny']);
    assert.deepEqual(parts('--b\r\nx\r\n--b-\r\ny\r\n--b\r\nz\r\n--b--'), ['x\r\n--b-\r\ny', 'z']);
  });
});
