/**
 * What the dearest mail of the tests costs, each in a process of its own: seconds of processor time and megabytes at
 * most, and both for each octet of the mail.
 *
 *   npm run bench:cost
 *   node bench/worst-cost.ts --only names
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as z from 'zod';
import { figure, printTable, progress } from './table.ts';
import { dearMail } from './worst-cost-mail.ts';

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const report = z.object({
  octets: z.number(),
  seconds: z.number(),
  megabytes: z.number(),
  outcome: z.string(),
});

/** One task of the worker in a process of its own; what it said, or how it ended. */
async function inProcess(...args: string[]): Promise<unknown> {
  const child = fork(join(import.meta.dirname, 'worst-cost-worker.ts'), args, {
    execArgv: ['--openssl-legacy-provider', '--expose-gc', '--max-old-space-size=4096'],
  });
  const ended = once(child, 'exit');
  const [said] = await Promise.race([once(child, 'message'), ended]);
  await ended;
  return said;
}

const folder = mkdtempSync(join(tmpdir(), 'sealpost-cost-'));
const rows: string[][] = [];
for (const { name, step } of dearMail.filter((each) => each.name.includes(values.only))) {
  progress(name);
  await inProcess('make', name, folder);
  const said = await inProcess(step, name, folder);
  const read = report.safeParse(said);
  if (!read.success) {
    rows.push([name, step, '', '', '', '', '', `the process ended with ${String(said)}`]);
    continue;
  }
  const { octets, seconds, megabytes, outcome } = read.data;
  const perOctet = [(seconds * 1e6) / octets, (megabytes * (1 << 20)) / octets];
  rows.push([name, step, ...[octets / 1000, seconds, megabytes, ...perOctet].map(figure), outcome]);
}
rmSync(folder, { recursive: true });
progress('');
printTable(
  'What dear mail costs',
  ['', 'step', 'KB', 'seconds', 'MB', 'us for an octet', 'octets for an octet', 'outcome'],
  rows,
);
