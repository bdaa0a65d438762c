/** The end of DATA and stuffed dots: as the library finds them, however the octets are cut. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import { DataParser, Dots } from '../../src/smtp/data-parser.ts';

/** What a parser makes of the octets of a session that is in DATA already. */
async function parsed(
  parser: SMTPStream,
  chunks: Buffer[],
): Promise<{ content: string; commands: string[] }> {
  const commands: string[] = [];
  parser.oncommand = (command, callback) => {
    commands.push(command.toString('latin1'));
    callback?.();
  };
  const content: Buffer[] = [];
  const stream = parser.startDataMode(1000);
  stream.on('data', (chunk: Buffer) => content.push(chunk));
  stream.on('end', () => parser.continue());
  for (const chunk of chunks) await new Promise((resolve) => parser.write(Buffer.from(chunk), resolve));
  // what is still in the stream
  await new Promise((resolve) => setImmediate(resolve));
  parser.isClosed = true;
  return { content: Buffer.concat(content).toString('latin1'), commands };
}

function cut(octets: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((each) => each % (octets.length + 1)), octets.length].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => octets.subarray(at[index], end));
}

const pieces = fc.constantFrom(
  '\r\n',
  '\r\n.',
  '.',
  '..',
  '\r',
  '\n',
  '\n.',
  'a',
  'QUIT\r\n',
  'x'.repeat(70),
);
const octetsOf = (list: readonly string[]) => Buffer.from(list.join(''), 'latin1');
const withEnd = (list: readonly string[], ends: boolean) =>
  octetsOf(ends ? [...list, '\r\n.\r\n', 'NOOP\r\n'] : list);

/** Removes dots and finds the end, chunk by chunk. */
function undotted(chunks: Buffer[]): { content: string; rest: string | undefined } {
  const dots = new Dots();
  let content = '';
  for (const [at, chunk] of chunks.entries()) {
    const found = dots.push(Buffer.from(chunk));
    content += found.content.toString('latin1');
    if (found.rest !== undefined)
      return { content, rest: Buffer.concat([found.rest, ...chunks.slice(at + 1)]).toString('latin1') };
  }
  return { content, rest: undefined };
}

describe('the octets of DATA', () => {
  it('are the same as with the parser of the library, however both are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(pieces, { maxLength: 14 }),
        fc.array(fc.nat(2000), { maxLength: 8 }),
        fc.array(fc.nat(2000), { maxLength: 3 }),
        async (list, cuts, otherCuts) => {
          const octets = withEnd(list, true);
          fc.pre(octets[0] !== 0x0a);
          const own = await parsed(new DataParser(), cut(octets, cuts));
          const theirs = await parsed(new SMTPStream(), cut(octets, otherCuts));
          assert.deepEqual(own, theirs, JSON.stringify(octets.toString('latin1')));
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('do not depend on how they are cut, down to single octets, with and without an end', () => {
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 14 }),
        fc.array(fc.nat(2000), { maxLength: 8 }),
        fc.boolean(),
        (list, cuts, ends) => {
          const octets = withEnd(list, ends);
          const whole = undotted([octets]);
          const single = undotted(Array.from(octets, (octet) => Buffer.of(octet)));
          assert.deepEqual(single, whole);
          assert.deepEqual(undotted(cut(octets, cuts)), whole);
        },
      ),
      { numRuns: 2000 },
    );
  });

  const cases: [string, string, string, string | undefined][] = [
    ['nothing', '.\r\nQUIT\r\n', '', 'QUIT\r\n'],
    ['one line', 'a\r\n.\r\n', 'a\r\n', ''],
    ['a stuffed dot at the start', '..\r\n.\r\n', '.\r\n', ''],
    ['a stuffed dot that looks like an end', 'a\r\n..\r\n.\r\n', 'a\r\n.\r\n', ''],
    ['a dot that was not stuffed', 'a\r\n.b\r\n.\r\n', 'a\r\n.b\r\n', ''],
    ['no end: LF, dot, CRLF', 'a\n.\r\nQUIT\r\n', 'a\n.\r\nQUIT\r\n', undefined],
    ['no end: CRLF, dot, LF', 'a\r\n.\nQUIT\r\n', 'a\r\n.\nQUIT\r\n', undefined],
    ['no end: CR, dot, CRLF', 'a\r.\r\nQUIT\r\n', 'a\r.\r\nQUIT\r\n', undefined],
    ['no end: CRLF, dot, CR, CRLF', 'a\r\n.\r\r\nb', 'a\r\n.\r\r\nb', undefined],
  ];
  for (const [name, octets, content, rest] of cases)
    it(`${name}`, () => {
      for (let at = 0; at <= octets.length; at++) {
        const chunks = [octets.slice(0, at), octets.slice(at)].map((text) => Buffer.from(text, 'latin1'));
        assert.deepEqual(undotted(chunks), { content, rest }, `cut at ${at}`);
      }
    });
});
