/** Work that no budget counted: a mail of one megabyte took two minutes. What is counted here is work, not time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Budget } from '../../src/budget.ts';
import { decodeCharset } from '../../src/message/content-type.ts';
import { MultipartSplitter, NullSink } from '../../src/message/index.ts';
import { decodeSync } from '../../src/smime/index.ts';
import {
  attributesOf,
  certificatesNamed,
  dashes,
  deepAttributes,
  encodedMultiparts,
  manyParameters,
} from './cost-bombs.ts';
import { options } from './support.ts';

function decoded(octets: Buffer) {
  const budget = new Budget();
  const { verdict } = decodeSync(octets, { ...options, budget });
  return { verdict, spent: budget.spent };
}

describe('multiparts in multiparts', () => {
  it('are searched by lines, so that boundaries of dashes in a line of dashes are found but once', () => {
    const looked: number[] = [];
    const octets = Buffer.from(`--b\r\n\r\n${'--b'.repeat(1000)}\r\n--b--\r\n`);
    const counting = Object.assign(Buffer.from(octets), {
      indexOf(value: Buffer, from: number) {
        looked.push(from);
        return octets.indexOf(value, from);
      },
    });
    const splitter = new MultipartSplitter('b', { part: () => new NullSink() });
    splitter.write(counting);
    splitter.end();
    assert.equal(splitter.parts, 1);
    assert.ok(looked.length <= 4, `${looked.length} searches`);
  });

  it('draw for each level', () => {
    const spent = (levels: number) => decoded(dashes(levels, 100_000)).spent;
    const [one, many] = [spent(1), spent(90)];
    assert.ok(many - one > 89 * 100, `${one} for one level, ${many} for 90`);
  });

  it('draw for decoding, once for each level', () => {
    const [one, ten] = [1, 10].map((levels) => decoded(encodedMultiparts(levels, 100_000)).spent);
    assert.ok((ten ?? 0) - (one ?? 0) > 9 * 100_000 * 0.05, `${one} for one level, ${ten} for ten`);
  });

  it('draw for the octets of each header', () => {
    const [short, long] = [1, 5000].map((count) => decoded(manyParameters(10, count)).spent);
    assert.ok(
      (long ?? 0) - (short ?? 0) > 10 * 5000 * 4,
      `${short} with short headers, ${long} with long ones`,
    );
  });

  it('end the message where there are too many levels, lines or parts for it', () => {
    const budget = new Budget({ work: 5000 });
    const { verdict } = decodeSync(dashes(90, 100_000), { ...options, budget });
    assert.equal(verdict.error?.code, 'work-limit');
  });
});

describe('signed attributes', () => {
  it('of many elements are not encoded anew', () => {
    const [few, many] = [1000, 400_000].map((elements) => decoded(attributesOf(elements, 1)));
    assert.equal(few?.verdict.signature, 'invalid');
    assert.equal(many?.verdict.signature, 'invalid');
    // what reading them costs is by their octets; re-encoding each would cost 3 units more, for 4 certificates
    assert.ok((many?.spent ?? 0) < 400_000, `${many?.spent} units`);
  });

  it('draw for each element, for each certificate', () => {
    const [one, four] = [1, 4].map((certificates) => decoded(attributesOf(1000, 1, certificates)).spent);
    assert.ok((four ?? 0) - (one ?? 0) >= 3 * 3 * 1000, `${one} with one certificate, ${four} with four`);
  });

  it('in one another draw for their octets at each level, and end the message where that is too much', () => {
    const [flat, deep] = [1, 41].map((levels) => decoded(deepAttributes(10_000, levels)).spent);
    // four certificates, for each of which the attributes are re-encoded
    assert.ok((deep ?? 0) - (flat ?? 0) > 4 * 40 * 10_000 * 0.015, `${flat} at one level, ${deep} at 41`);
    assert.equal(decoded(deepAttributes(1_000_000, 50)).verdict.error?.code, 'work-limit');
  });

  it('that name a large certificate draw for its digest, each time', () => {
    const [small, large] = [1000, 100_000].map((octets) => decoded(certificatesNamed(20, octets)).spent);
    // 20 times 99,000 octets through SHA-3; the key and the reading of the certificate are far less
    assert.ok((large ?? 0) - (small ?? 0) > 20 * 99_000 * 0.008, `${small} units, and ${large}`);
  });
});

describe('charsets', () => {
  it('have one decoder each, whatever case they are written in', (context) => {
    const made = context.mock.method(globalThis, 'TextDecoder');
    for (let round = 0; round < 1000; round++)
      for (const charset of ['iso-2022-jp', 'ISO-2022-JP', 'no-such-charset'])
        decodeCharset(charset, Buffer.from('a'));
    assert.ok(made.mock.callCount() <= 2, `${made.mock.callCount()} decoders`);
  });
});
