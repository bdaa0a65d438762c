import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Budget } from '../../src/budget.ts';
import { attemptLimits } from '../../src/handoff/attempt.ts';
import { readParts } from '../../src/handoff/parts.ts';
import { createWalker } from '../../src/handoff/walk.ts';
import { defaultMessageLimits } from '../../src/message/index.ts';
import { decodeSync, encode, encodeSync } from '../../src/smime/index.ts';
import {
  charsetParameters,
  deepMultipart,
  emptyMultiparts,
  encodedCharsets,
  encodedWords,
  manyFields,
  partsWith,
  single,
} from './cost-bombs.ts';
import { alice, options } from './support.ts';

/*
 * Mail that costs in its parts: they stand in one another, have dear fields or dear text. Reading, hand-off and
 * encoding each have one budget for all of it, which ends them before the work is done.
 */

const limits = { parts: 1000, depth: 100, headerSize: 100 << 10, work: 1_000_000, output: 16 << 20 };

/** Units of work for one mail, or the code with which it ended, in each of the three. */
async function costOf(mail: Buffer, work = limits.work): Promise<Record<string, string | number>> {
  const budgets = { decode: new Budget({ work }), encode: new Budget({ work }) };
  const { verdict } = decodeSync(mail, { ...options, form: 'mail', budget: budgets.decode });
  const own = attemptLimits({ ...limits, work }, mail.length);
  const walker = createWalker('message', () => ({ write: () => {}, end: () => {} }), own);
  const attempt = (step: () => unknown) => {
    try {
      step();
      return 'ok';
    } catch (error) {
      return error instanceof Error && 'code' in error ? String(error.code) : String(error);
    }
  };
  const sign = {
    identity: alice.identity,
    sign: 'detached',
    signatureScheme: 'pkcs1',
    at: new Date(0),
  } as const;
  return {
    decode: verdict.error?.code ?? 'ok',
    handoff: attempt(() => {
      walker.write(mail);
      walker.end();
    }),
    encode: attempt(() => encodeSync(mail, { ...sign, budget: budgets.encode })),
    spent: own.budget?.spent ?? 0,
  };
}

describe('mail that is dear in its parts', () => {
  const exhausted = { decode: 'work-limit', handoff: 'work-limit', encode: 'work-limit' };

  it('98 multiparts in one another, each line like the boundary of all of them', async () => {
    const { spent, ...ended } = await costOf(deepMultipart(500_000, `--${'b'.repeat(99)}\r\n`), 100_000);
    assert.deepEqual(ended, exhausted);
    assert.ok(Number(spent) < 130_000, `${spent}`);
  });

  it('98 multiparts in one another, each of them quoted-printable', async () => {
    const mail = deepMultipart(300_000, 'a=20\r\n', 'Content-Transfer-Encoding: quoted-printable\r\n');
    const { handoff, decode } = await costOf(mail, 200_000);
    assert.deepEqual({ handoff, decode }, { handoff: 'work-limit', decode: 'work-limit' });
  });

  it('thousands of empty multiparts, which are no leaves and so do not count as parts', async () => {
    const { spent: _, ...ended } = await costOf(emptyMultiparts(200_000), 100_000);
    assert.deepEqual(ended, exhausted);
  });

  it('parts with thousands of encoded words, of charsets, of fields', async () => {
    for (const field of [encodedWords, encodedCharsets, charsetParameters, manyFields]) {
      const { spent: _, ...ended } = await costOf(partsWith(400_000, field), 30_000);
      assert.deepEqual(ended, exhausted, field.slice(0, 30));
    }
  });

  it('makes no decoder for the charset of a parameter that nobody asks for', () => {
    const mail = partsWith(400_000, `${charsetParameters}; filename*=koi8-r''%C1.xml`);
    const known = globalThis.TextDecoder;
    let made = 0;
    class Counted extends known {
      constructor(...args: ConstructorParameters<typeof known>) {
        made++;
        super(...args);
      }
    }
    const names: string[] = [];
    globalThis.TextDecoder = Counted;
    try {
      const visit = ({ fileName }: { fileName: string }) => {
        names.push(fileName);
        return { write: () => {}, end: () => {} };
      };
      const walker = createWalker('message', visit, attemptLimits(limits, 25e6));
      walker.write(mail);
      walker.end();
    } finally {
      globalThis.TextDecoder = known;
    }
    assert.deepEqual([...new Set(names)], ['\u0430.xml']);
    assert.ok(names.length > 3 && made === 1, `${names.length} parts, ${made} decoders`);
  });

  it('uuencode in one piece is decoded a little at a time', () => {
    const mail = single(
      1_000_000,
      'application/octet-stream',
      'x-uuencode',
      `M${'0'.repeat(60)}\n`,
      'begin 644 a\n',
    );
    let [largest, octets] = [0, 0];
    const write = (chunk: Buffer) => {
      largest = Math.max(largest, chunk.length);
      octets += chunk.length;
    };
    const walker = createWalker(
      'message',
      () => ({ write, end: () => {} }),
      attemptLimits(limits, mail.length),
    );
    walker.write(mail);
    walker.end();
    assert.equal(octets, Math.floor(1_000_000 / 62) * 45 + 45);
    assert.ok(largest <= 64 * 1024, `${largest} octets at once`);
  });

  it('ordinary mail has room: 900 parts with names, 20 levels, 3 MB of text', async () => {
    const named = partsWith(100_000, 'Content-Disposition: attachment; filename="=?utf-8?q?a=C3=A9?=.xml"');
    for (const mail of [named, deepMultipart(3_000_000, 'a line of text\r\n', '', 20)]) {
      const { spent, ...ended } = await costOf(mail);
      assert.deepEqual(ended, { decode: 'ok', handoff: 'ok', encode: 'ok' });
      assert.ok(Number(spent) < 500_000, `${spent}`);
    }
  });

  it('text, and what stands in the document, draw on the budget of the attempt', async () => {
    const inline = (mail: Buffer, work: number, output = limits.output) =>
      readParts('message', [mail], {
        inline: true,
        limits: attemptLimits({ ...limits, work, output }, mail.length),
      });
    // UTF-8 that is not flowed needs no parser, and is not weighed as if it did.
    assert.equal((await inline(single(400_000, 'text/plain', '7bit', '\n'), 100_000)).length, 1);
    const lines = single(400_000, 'text/plain; charset=iso-8859-1', '7bit', '\n');
    await assert.rejects(inline(lines, 100_000), { code: 'work-limit' });
    assert.equal((await inline(lines, 1_000_000)).length, 1);
    const octets = single(30_000, 'application/octet-stream', 'binary', 'x');
    const attempt = attemptLimits({ ...limits, output: 0 }, 0);
    await assert.rejects(readParts('message', [octets], { inline: true, limits: attempt }), {
      code: 'output-limit',
    });
    assert.equal((await inline(octets, 1_000_000, 0)).length, 1);
  });

  it('what is streamed out draws on one budget too, both passes and the keys', async () => {
    const mail = single(200_000, 'text/plain', '7bit', 'a line\r\n');
    const sign = {
      identity: alice.identity,
      sign: 'detached',
      signatureScheme: 'pkcs1',
      at: new Date(0),
    } as const;
    const run = async (work: number) => {
      const budget = new Budget({ work });
      for await (const _ of encode(() => [mail], { ...sign, budget }));
      return budget.spent;
    };
    const spent = await run(1_000_000);
    const once = new Budget();
    encodeSync(mail, { ...sign, budget: once });
    assert.ok(spent > once.spent, 'the survey counts');
    const work = spent / (1 + mail.length / (5 << 20));
    assert.ok((await run(work * 1.001)) === spent);
    await assert.rejects(run(work * 0.999), { code: 'work-limit' });
    assert.equal(defaultMessageLimits.budget, undefined);
  });
});
