import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { readCorpus, regressions } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { mutate, script } from './mutate.ts';
import { type Cost, check, Finding } from './target.ts';

/**
 * Fuzzes until its time is over and reports progress to the parent. The current input is in the file `current`, so that
 * the parent can keep it when this process hangs or runs out of memory.
 */
const [, , current = '', minutes = '1', firstSeed = '1'] = process.argv;
const until = Date.now() + Number(minutes) * 60_000;
const batchSize = 100;
/** Larger ones are run, not kept to be mutated further. */
const mostKept = 16 * 1024;
const mostInputs = 3000;
/** The dearest inputs by octet are kept too, whatever they cover, so that what costs much is made to cost more. */
const mostCostly = 150;
/** Smaller inputs count as this many octets, because the fixed cost of a run is not a finding. */
const fewestOctets = 1500;
const costly: { octets: Buffer; score: number }[] = [];

const file = openSync(current, 'w');
const inputs = readCorpus();
const coverage = new Coverage();
const known = new Set<string>();
let runs = 0;
let findings = 0;
let slowest = 0;
let memory = 0;
let firstInUse: number | undefined;
const codes = new Map<string, number>();

function run(octets: Buffer): void {
  ftruncateSync(file, 0);
  writeSync(file, octets, 0, octets.length, 0);
  runs++;
  const start = process.cpuUsage();
  try {
    const { verdict, cost } = check(octets);
    rank(octets, cost);
    const code = verdict.error?.code ?? 'ok';
    codes.set(code, (codes.get(code) ?? 0) + 1);
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    if (!error.message.startsWith('hang') || isSlowAgain(octets)) keep(octets, error.message);
  }
  const { user, system } = process.cpuUsage(start);
  slowest = Math.max(slowest, (user + system) / 1000);
}

function runBatch(seed: number): void {
  // every second batch is of the dear ones
  const from = seed % 2 === 0 && costly.length > 10 ? costly.map(({ octets }) => octets) : inputs;
  const batch = fc.sample(script, { seed, numRuns: batchSize }).map((each) => mutate(each, from));
  for (const octets of batch) run(octets);
  memory = Math.max(memory, process.memoryUsage.rss());
  // one in ten of a batch that brought something new: to run each again for it would cost more than it finds
  if (coverage.news() === 0 || inputs.length >= mostInputs) return;
  const few = batch.filter((octets, index) => octets.length <= mostKept && index % 10 === seed % 10);
  inputs.push(...few.map(alone));
}

/** Microseconds for each octet, and a microsecond for each KB of memory: whichever is the more. */
function rank(octets: Buffer, { time, memory: taken }: Cost): void {
  const score = Math.max(time, taken / 1024) / Math.max(octets.length, fewestOctets);
  const last = costly.at(-1);
  if (costly.length >= mostCostly && last !== undefined && score <= last.score) return;
  costly.push({ octets: alone(octets), score });
  costly.sort((a, b) => b.score - a.score);
  costly.splice(mostCostly);
}

/** A copy in memory of its own: a view would keep the whole mutant, or the pool, that it was cut from. */
function alone(octets: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(octets.length);
  copy.set(octets);
  return copy;
}

/** MB of heap and buffers that are still in use after a collection. */
function inUse(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return Math.round((heapUsed + external) / 1024 / 1024);
}

/** The collector or compiler may have had its moment just then. */
function isSlowAgain(octets: Buffer): boolean {
  try {
    check(octets);
    return false;
  } catch {
    return true;
  }
}

/** One file for each kind of finding, by where it was thrown or its message. */
function keep(octets: Buffer, message: string): void {
  findings++;
  const kind = message
    .split('\n')
    .slice(0, 2)
    .join(' ')
    .replace(/\d+ (?:ms|units|octets)/g, '');
  if (known.has(kind)) return;
  known.add(kind);
  const name = createHash('sha256').update(octets).digest('hex').slice(0, 16);
  writeFileSync(join(regressions, name), octets);
  process.send?.({ finding: name, message });
}

for (const octets of inputs) run(octets);
coverage.news();
const fromCorpus = coverage.blocks;
for (let seed = Number(firstSeed); Date.now() < until; seed++) {
  // between the batches, so that what is in use is not that of one of them
  if (seed % 25 === 0) report();
  else process.send?.({ alive: runs });
  runBatch(seed);
}
report();
closeSync(file);
process.disconnect?.();

function report(): void {
  const now = inUse();
  firstInUse ??= now;
  process.send?.({
    runs,
    findings,
    slowest: Math.round(slowest),
    memory: Math.round(memory / 1024 / 1024),
    inUse: [firstInUse, now],
    inputs: inputs.length,
    dearest: Math.round(costly[0]?.score ?? 0),
    blocks: [fromCorpus, coverage.blocks],
    codes: Object.fromEntries(codes),
  });
}
