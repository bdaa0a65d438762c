/**
 * The live matrix: our codec against openssl, Bouncy Castle, NSS and gpgsm, both directions, as a Markdown table.
 *
 *     npm run interop                               the table on standard output
 *     npm run interop -- --write docs/conformance.md   replaces the marked block in that file
 *     npm run interop -- --only DH                  the cases whose name contains that
 *     npm run interop -- --defects FOLDER           writes each message that failed, with its keys' names
 *
 * Exit code 0 if there is no defect, 1 if there is one, 2 for a usage error.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cases } from '../test/interop/cases.ts';
import { type Outcome, runMatrix } from '../test/interop/matrix.ts';
import { toMarkdown } from '../test/interop/table.ts';

const begin = '<!-- interop: begin -->';
const end = '<!-- interop: end -->';

/** Replaces the text between the two comments; the rest of the file stays. */
async function writeBlock(file: string, block: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${file} has no block between ${begin} and ${end}`);
  await writeFile(file, `${text.slice(0, from + begin.length)}\n\n${block}\n${text.slice(to)}`);
}

/** One folder entry for each defect: what was said, and the message. */
async function writeDefects(folder: string, outcome: Outcome): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { each, peer, direction, reason, status, message } of outcome.results) {
    if (status !== 'fail') continue;
    const name = `${direction}-${peer}-${each.id}`.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase();
    const facts = JSON.stringify({ case: each, peer, direction, reason }, undefined, 2);
    await writeFile(join(folder, `${name}.txt`), `${facts}\n`);
    if (message !== undefined) await writeFile(join(folder, `${name}.${message.form}`), message.octets);
  }
}

function options() {
  try {
    return parseArgs({
      options: {
        write: { type: 'string' },
        only: { type: 'string', default: '' },
        defects: { type: 'string' },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`interop: ${error instanceof Error ? error.message : error}\n`);
    process.exit(2);
  }
}

const { write, only, defects } = options();
const chosen = cases.filter(({ id }) => id.includes(only));
const terminal = process.stderr.isTTY;
// the peers' programs and the folder of test keys must not be left behind
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
process.once('SIGTERM', () => stop.abort());
const outcome = await runMatrix(chosen, {
  signal: stop.signal,
  progress: (done, all, { id }) => {
    if (terminal) process.stderr.write(`\r\x1b[K${done}/${all} ${id}`);
  },
}).catch((error: unknown) => {
  if (!stop.signal.aborted) throw error;
  process.exit(130);
});
if (terminal)
  process.stderr.write(`\r\x1b[K${outcome.results.length} results in ${outcome.seconds.toFixed(0)} s\n`);
for (const { name, missing } of outcome.absent)
  process.stderr.write(`interop: without ${name}: ${missing}\n`);
const markdown = toMarkdown(outcome);
if (write === undefined) process.stdout.write(markdown);
else await writeBlock(write, markdown);
if (defects !== undefined) await writeDefects(defects, outcome);
const failed = outcome.results.filter(({ status }) => status === 'fail').length;
if (failed > 0) process.stderr.write(`interop: ${failed} defects\n`);
process.exitCode = failed > 0 ? 1 : 0;
