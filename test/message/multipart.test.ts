import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultMessageLimits } from '../../src/message/limits.ts';
import { MultipartSplitter } from '../../src/message/multipart.ts';
import { BufferSink } from '../../src/message/sink.ts';
import { cuts } from './pushing.ts';

function split(chunks: Buffer[], boundary: string) {
  const parts: BufferSink[] = [];
  const preamble = new BufferSink();
  const epilogue = new BufferSink();
  const splitter = new MultipartSplitter(boundary, {
    preamble,
    epilogue,
    part: (index) => {
      assert.equal(index, parts.length);
      parts.push(new BufferSink());
      return parts[index] ?? assert.fail();
    },
  });
  for (const chunk of chunks) splitter.write(Buffer.from(chunk));
  splitter.end();
  for (const part of parts) assert.ok(part.ended);
  return {
    parts: parts.map((part) => part.toBuffer().toString()),
    preamble: preamble.toBuffer().toString(),
    epilogue: epilogue.toBuffer().toString(),
    closed: splitter.closed,
  };
}

function check(text: string, boundary: string, expected: Partial<ReturnType<typeof split>>): void {
  for (const { name, chunks } of cuts(Buffer.from(text), 12)) {
    const found = split(chunks, boundary);
    for (const [key, value] of Object.entries(expected)) {
      assert.deepEqual(Object.entries(found).find(([name]) => name === key)?.[1], value, `${key}, ${name}`);
    }
  }
}

describe('multipart', () => {
  for (const end of ['\r\n', '\n']) {
    const crlf = (text: string) => text.replaceAll('\n', end);
    it(`gives exact parts with ${JSON.stringify(end)} line ends`, () => {
      check(crlf('pre\n--b\nA: 1\n\none\n\n--b \t\ntwo\n--b--\nepi\n--b\nlogue'), 'b', {
        parts: [crlf('A: 1\n\none\n'), 'two'],
        preamble: 'pre',
        epilogue: crlf('epi\n--b\nlogue'),
        closed: true,
      });
    });
  }

  it('starts with a delimiter, and has empty parts', () => {
    check('--b\r\n\r\n--b\r\n--b\r\n\r\n\r\n--b--', 'b', { parts: ['', '', '\r\n'], closed: true });
  });

  it('knows a delimiter from a longer boundary, a text and a quoted one', () => {
    const text = '--b\r\n--bb\r\nx --b\r\n> --b\r\n--b-\r\n--b x\r\n--b--x\r\n-\r\n--\r\n--b--\r\n';
    check(text, 'b', {
      parts: ['--bb\r\nx --b\r\n> --b\r\n--b-\r\n--b x\r\n--b--x\r\n-\r\n--'],
      closed: true,
    });
  });

  it('keeps CR and LF that do not belong to a delimiter', () => {
    check('--b\r\na\r\r\n\n\r\r\n--b--', 'b', { parts: ['a\r\r\n\n\r'], closed: true });
  });

  it('ends with the body when the closing delimiter is missing', () => {
    check('--b\r\none\r\n--b\r\ntwo\r\n', 'b', { parts: ['one', 'two\r\n'], closed: false });
    check('no delimiter at all\r\n', 'b', { parts: [], preamble: 'no delimiter at all\r\n', closed: false });
    check('--b', 'b', { parts: [''], closed: false });
  });

  it('is limited in parts and in the length of the boundary', () => {
    const limits = { ...defaultMessageLimits, parts: 3 };
    const splitter = new MultipartSplitter('b', { part: () => new BufferSink() }, limits);
    assert.throws(() => splitter.write(Buffer.from('--b\r\n'.repeat(4))), { code: 'mime-limit' });
    assert.throws(() => new MultipartSplitter('b'.repeat(201), { part: () => new BufferSink() }), {
      code: 'mime-limit',
    });
    assert.throws(() => new MultipartSplitter('', { part: () => new BufferSink() }), {
      code: 'mime-malformed',
    });
  });
});
