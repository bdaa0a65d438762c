import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import * as z from 'zod';

/**
 * Fuzzes the whole decoder: mutants of the messages in `test/fuzz/corpus`, by structure (BER, MIME) and by octet,
 * guided by V8's coverage and by the cost per octet: half of the mutants are made from the most expensive inputs so
 * far. Each run must end in a verdict within the time and memory that `test/fuzz/target.ts` states, and within the work
 * that its budget counted. Inputs that fail are kept in `test/fuzz/regressions`.
 *
 *     npm run fuzz -- --minutes 10 --seed 1
 */
const root = resolve(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
  },
});

const reportSchema = z.object({
  runs: z.number(),
  findings: z.number(),
  slowest: z.number(),
  memory: z.number(),
  inUse: z.tuple([z.number(), z.number()]),
  inputs: z.number(),
  dearest: z.number(),
  blocks: z.tuple([z.number(), z.number()]),
  codes: z.record(z.string(), z.number()),
});
const messageSchema = z.union([
  reportSchema,
  z.object({ alive: z.number() }),
  z.object({ finding: z.string(), message: z.string() }),
]);

const folder = mkdtempSync(join(tmpdir(), 'sealpost-fuzz-'));
const current = join(folder, 'current');
const worker = fork(join(root, 'test/fuzz/worker.ts'), [current, values.minutes, values.seed], {
  // the engine's coverage takes most of it; what one input may take is in target.ts
  execArgv: ['--openssl-legacy-provider', '--max-old-space-size=512', '--expose-gc'],
});

let last: z.infer<typeof reportSchema> | undefined;
let died = 0;
let heard = Date.now();
const watch = setInterval(() => {
  // a batch takes a second or two; a busy machine may give a fuzzer little of its time
  if (Date.now() - heard > 180_000) worker.kill('SIGKILL');
}, 5_000);

worker.on('message', (message) => {
  heard = Date.now();
  const found = messageSchema.parse(message);
  if ('finding' in found) process.stderr.write(`fuzz: found ${found.finding}: ${found.message}\n`);
  else if ('runs' in found) last = found;
});
worker.on('exit', (code, signal) => {
  clearInterval(watch);
  if (code !== 0) {
    died = 1;
    const octets = readFileSync(current);
    const name = createHash('sha256').update(octets).digest('hex').slice(0, 16);
    writeFileSync(join(root, 'test/fuzz/regressions', name), octets);
    process.stderr.write(`fuzz: the worker ended with ${signal ?? code} at ${name}\n`);
  }
  rmSync(folder, { recursive: true });
  if (last !== undefined) {
    const { runs, findings, slowest, memory, inUse, inputs, dearest, blocks, codes } = last;
    process.stdout.write(
      `fuzz: seed ${values.seed}, ${values.minutes} min: ${runs} inputs, ${findings} findings; slowest ${slowest} ms; ` +
        `the process had at most ${memory} MB, in use were ${inUse[0]} MB at first and ${inUse[1]} MB in the end; ` +
        `${inputs} inputs kept, the dearest at ${dearest} us for an octet; blocks covered ${blocks[0]} by the corpus, ${blocks[1]} in the end\n` +
        `fuzz: verdicts ${JSON.stringify(codes)}\n`,
    );
  }
  process.exitCode = died !== 0 || (last?.findings ?? 0) > 0 ? 1 : 0;
});
