/**
 * How long each class of failed decryption takes, in process, and how much their times lie over each other (S3).
 *
 *   node --openssl-legacy-provider bench/failure-times.ts --runs 10000
 */
import { parseArgs } from 'node:util';
import { oids } from '../src/asn1/index.ts';
import { decodeSync } from '../src/smime/index.ts';
import { contentFailures, garbage, keyFailures, type Make } from '../test/attacks/decryption-failures.ts';
import { options } from '../test/attacks/support.ts';
import { distribution, overlap, shuffled } from './samples.ts';
import { printTable } from './table.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '1000' } } });
const runs = Number(values.runs);

const classes = Object.entries({ ...keyFailures, ...contentFailures });

// What a wrong key makes of id-data is content like any other: the fifth class fails only below it.
for (const [title, type, fifth] of [
  ['id-data', oids.data, {}],
  ['a nested SignedData', oids.signedData, { 'bad content': garbage }],
  ['a nested EnvelopedData', oids.envelopedData, { 'bad content': garbage }],
] as const) {
  const timed: [string, Make][] = [...classes, ...Object.entries(fifth)];
  const times = new Map<string, number[]>(timed.map(([name]) => [name, []]));
  for (let round = -5; round < runs; round++) {
    // all classes in each round, so that a slow moment hits all; in any order, so that none always follows another
    for (const [name, make] of shuffled(timed)) {
      const octets = make(type);
      const start = performance.now();
      decodeSync(octets, options);
      if (round >= 0) times.get(name)?.push(performance.now() - start);
    }
  }
  const [reference = []] = times.values();
  const rows = [...times].map(([name, taken]) => {
    const { p5, median, p95 } = distribution(taken);
    const alike = overlap(reference, taken).toFixed(3);
    return [name, ...[p5, median, p95].map((value) => value.toFixed(3)), alike];
  });
  // what two samples of one class have, which no two classes can exceed but by chance
  const mixed = shuffled(reference);
  const halves = overlap(mixed.slice(0, runs / 2), mixed.slice(runs / 2)).toFixed(3);
  rows.push(['one half of the first class with the other', '', '', '', halves]);
  const head = ['class', '5 % (ms)', 'median', '95 %', 'overlap with the first'];
  printTable(`The content claims to be ${title}; ${runs} runs of each class`, head, rows);
}
