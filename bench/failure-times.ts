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
import { printTable } from './table.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '1000' } } });
const runs = Number(values.runs);

function shuffled<T>(all: readonly T[]): T[] {
  return all
    .map((each) => ({ each, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ each }) => each);
}

/** Milliseconds at some shares of the sorted times, and how much two distributions lie over each other. */
function distribution(times: readonly number[]): { p5: number; median: number; p95: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return { p5: at(0.05), median: at(0.5), p95: at(0.95) };
}

/**
 * Overlapping coefficient of two samples: 1 alike, 0 apart. The bins hold equal shares of both together, so that a few
 * slow runs do not stretch them until all others are in one.
 */
function overlap(a: readonly number[], b: readonly number[], bins = 20): number {
  const all = [...a, ...b].toSorted((x, y) => x - y);
  const edges = Array.from(
    { length: bins - 1 },
    (_, bin) => all[Math.floor(((bin + 1) * all.length) / bins)] ?? 0,
  );
  const histogram = (times: readonly number[]) => {
    const counts = Array<number>(bins).fill(0);
    for (const time of times) {
      const bin = edges.findIndex((edge) => time < edge);
      const at = bin < 0 ? bins - 1 : bin;
      counts[at] = (counts[at] ?? 0) + 1 / times.length;
    }
    return counts;
  };
  const other = histogram(b);
  return histogram(a).reduce((sum, share, bin) => sum + Math.min(share, other[bin] ?? 0), 0);
}

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
