import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode } from '../../src/smime/index.ts';
import { randomOf } from '../message/pushing.ts';
import { optionsOf, read, skip } from './row.ts';
import { rows } from './rows.ts';

function* chunks(octets: Buffer, next: () => number): Iterable<Buffer> {
  for (let at = 0; at < octets.length; ) {
    const size = next();
    yield octets.subarray(at, at + size);
    at += size;
  }
}

/** Larger files go octet by octet only in a long run. */
const small = process.env.SEALPOST_RUNS === undefined ? 20_000 : Number.POSITIVE_INFINITY;

describe('every file of the corpora, however it is cut', { skip }, () => {
  const groups = Map.groupBy(rows, ({ file }) => file.split('/')[0] ?? '');
  for (const [group, members] of groups) {
    it(`${group}: in random pieces and octet by octet`, async () => {
      for (const row of members) {
        // a random content key makes other noise each time
        if (row.expect.kind === 'refused' && row.expect.code === 'decrypt-failed') continue;
        const octets = row.octets?.() ?? read(row.file);
        const options = optionsOf(row);
        const whole = await decode(octets, options);
        const random = randomOf(octets.length);
        const pieces = [() => 1 + Math.floor(random() * 300), () => 1 + Math.floor(random() * 20_000)];
        if (octets.length <= small) pieces.push(() => 1);
        for (const size of pieces) {
          const cut = await decode(chunks(octets, size), options);
          assert.deepEqual(cut.verdict, whole.verdict, row.file);
          assert.deepEqual(cut.content, whole.content, row.file);
        }
      }
    });
  }
});
