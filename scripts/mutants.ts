/**
 * Puts mutants into the code, one at a time, and reports which of them the tests detect: `npm run mutants -- [--only
 * ROOM|NUMBER,...] [--sample N] [--jobs 1|2] [--list] [--report FILE]`.
 *
 * All of them take hours of processor time: run it under `nice`. Each runs in a copy of the tree (hard links) in the
 * temporary folder, against the test files that its row names, each up to its first failure. One that fails runs again
 * without the mutant. If it fails then too, or if it failed for another reason than an assertion (an import, a missing
 * name, a timeout, no test that ran), the result is `unclear`.
 */
import {
  appendFileSync,
  chmodSync,
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Ended, endOf } from './mutants/exits.ts';
import { allMutants, type Mutant, mutate, testOf } from './mutants/index.ts';
import { Brood } from './mutants/processes.ts';

const root = join(import.meta.dirname, '..');
const copied = ['src', 'workers', 'test', 'scripts', 'bin', 'bench', 'config', 'deploy', 'docs', 'profiles'];
/** Milliseconds for one test file. */
const patience = 300_000;

/** What is running; ended with the runner. */
const broods = new Set<Brood>();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, async () => {
    await Promise.all([...broods].map((brood) => brood.end()));
    process.exit(1);
  });

type Outcome = 'noticed' | 'survived' | 'not-applicable' | 'unclear';

function linkTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) linkTree(source, target);
    else if (entry.isFile()) linkOrCopy(source, target);
  }
}

/** Links to another file system are impossible. */
function linkOrCopy(source: string, target: string): void {
  try {
    linkSync(source, target);
  } catch {
    cpSync(source, target);
  }
}

function makeTree(parent: string, name: string): string {
  const tree = join(parent, name);
  for (const folder of copied) linkTree(join(root, folder), join(tree, folder));
  for (const entry of readdirSync(root, { withFileTypes: true }))
    if (entry.isFile() && entry.name !== '.git') linkOrCopy(join(root, entry.name), join(tree, entry.name));
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  return tree;
}

/** Replaces a file by another; the link to the original is removed first. */
function put(file: string, text: string): void {
  rmSync(file);
  writeFileSync(file, text);
}

/** Runs a test file in the tree, up to its first failure, and ends all that it left behind. */
async function run(tree: string, test: string): Promise<Ended> {
  const [name, pattern] = testOf(test);
  const temporary = join(tree, 'tmp');
  mkdirSync(temporary, { recursive: true });
  const brood = new Brood(
    process.execPath,
    [
      '--openssl-legacy-provider',
      `--test-reporter=${join(root, 'scripts/mutants/first-failure.ts')}`,
      '--test-reporter-destination=stdout',
      ...(pattern === undefined ? [] : [`--test-name-pattern=${pattern}`]),
      join('test', `${name}.test.ts`),
    ],
    temporary,
    {
      cwd: tree,
      stdio: 'ignore',
      env: { ...process.env, TMPDIR: temporary, NODE_COMPILE_CACHE: join(tree, 'cache') },
    },
  );
  broods.add(brood);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    brood.child.kill('SIGKILL');
  }, patience);
  const code = await new Promise<number | null>((resolve) => {
    brood.child.once('exit', (status) => resolve(status));
    brood.child.once('error', () => resolve(null));
  });
  clearTimeout(timer);
  await brood.end();
  broods.delete(brood);
  rmSync(temporary, { recursive: true, force: true, maxRetries: 5 });
  return late ? 'late' : endOf(code);
}

/** The result of each test file without a mutant; run only if it failed with one. */
class Sound {
  readonly #known = new Map<string, Ended>();

  async of(tree: string, test: string): Promise<Ended> {
    const known = this.#known.get(test) ?? (await run(tree, test));
    this.#known.set(test, known);
    return known;
  }
}

interface Judgement {
  outcome: Outcome;
  /** Why it is unclear. */
  because?: string;
}

async function judge(tree: string, mutant: Mutant, sound: Sound): Promise<Judgement> {
  const file = join(tree, mutant.file);
  const original = readFileSync(file, 'utf8');
  const changed = mutate(original, mutant);
  if (changed === undefined) return { outcome: 'not-applicable' };
  const unclear: string[] = [];
  try {
    for (const test of mutant.tests) {
      put(file, changed);
      const ended = await run(tree, test);
      if (ended === 'passed') continue;
      put(file, original);
      const without = await sound.of(tree, test);
      if (without !== 'passed') unclear.push(`${test}: ${without} without any mutant`);
      else if (ended === 'failed') return { outcome: 'noticed' };
      else unclear.push(`${test}: ${ended}`);
    }
  } finally {
    put(file, original);
  }
  return unclear.length > 0 ? { outcome: 'unclear', because: unclear.join('; ') } : { outcome: 'survived' };
}

/** Works on all in order, some at a time, each in a tree of its own. */
async function inTrees<T>(
  trees: readonly string[],
  all: readonly T[],
  work: (tree: string, one: T) => Promise<void>,
) {
  const left = [...all];
  await Promise.all(
    trees.map(async (tree) => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await work(tree, next);
    }),
  );
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    sample: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    list: { type: 'boolean', default: false },
    report: { type: 'string' },
  },
});
const wanted = values.only?.split(',');
let chosen = allMutants
  .map((mutant, index) => ({ mutant, number: index + 1 }))
  .filter(({ mutant, number }) => !wanted || wanted.includes(mutant.room) || wanted.includes(String(number)));
if (values.sample !== undefined)
  chosen = chosen
    .map((each) => ({ each, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, Number(values.sample))
    .map(({ each }) => each);

const describe = ({ mutant, number }: (typeof chosen)[number]) =>
  `${String(number).padStart(3)} ${mutant.room.padEnd(8)} ${mutant.file}: ${mutant.why}`;

if (values.list) {
  for (const each of chosen) console.log(describe(each));
} else {
  // short, because socket paths are limited, and accessible to the users that servers run as
  const parent = mkdtempSync(join(tmpdir(), 'mutants-'));
  process.once('exit', () => rmSync(parent, { recursive: true, force: true, maxRetries: 5 }));
  chmodSync(parent, 0o755);
  const counts: Record<Outcome, number> = { noticed: 0, survived: 0, 'not-applicable': 0, unclear: 0 };
  const rooms = new Map<string, { run: number; noticed: number }>();
  const jobs = values.jobs === '2' ? 2 : 1;
  const trees = Array.from({ length: jobs }, (_, index) => makeTree(parent, `${index}`));
  const sound = new Sound();
  await inTrees(trees, chosen, async (tree, each) => {
    const { outcome, because } = await judge(tree, each.mutant, sound);
    counts[outcome]++;
    const room = rooms.get(each.mutant.room) ?? { run: 0, noticed: 0 };
    rooms.set(each.mutant.room, room);
    if (outcome === 'noticed' || outcome === 'survived') room.run++;
    if (outcome === 'noticed') room.noticed++;
    const line = `${outcome.padEnd(14)} ${describe(each)}${because === undefined ? '' : ` (${because})`}`;
    console.log(line);
    if (values.report !== undefined) appendFileSync(values.report, `${line}\n`);
  });
  for (const [room, { run, noticed }] of rooms) console.log(`${room.padEnd(8)} ${noticed} of ${run}`);
  const judged = counts.noticed + counts.survived;
  const score = judged === 0 ? 0 : Math.round((100 * counts.noticed) / judged);
  console.log(
    `${score} percent: ${counts.noticed} of ${judged} noticed; ${counts.unclear} unclear, ${counts['not-applicable']} not found`,
  );
  if (counts['not-applicable'] > 0) process.exitCode = 1;
}
