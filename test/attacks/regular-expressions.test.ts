import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { type Node, parse } from 'acorn';

/*
 * Every regular expression of the program, with its proof of linearity: recheck builds the automaton and decides. What
 * it cannot decide counts as super-linear. Mail is made to find the one that was written without a thought of that.
 */
process.env.RECHECK_BACKEND = 'pure';
const { checkSync } = await import('recheck');

const root = join(import.meta.dirname, '../..');

/** Those that are made while the program runs, and why mail cannot make them dear. By file, as they stand there. */
const composed: Record<string, string[]> = {
  // names of keys of our own; one quantifier, which nothing but the end follows
  'src/backup/kinds.ts': [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the file
    'new RegExp(`^(?:inbound|handoff|outbound):${job}$`)',
  ],
  // what Redis says of itself, and a name of ours; `^name:` begins at a line and `\S+` ends with it
  'src/redis/durability.ts': [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the file
    "new RegExp(`^${name}:(\\\\S+)`, 'm')",
  ],
  'src/queue/pressure.ts': [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the file
    "new RegExp(`^${name}:(\\\\d+)`, 'm')",
  ],
  // the list of Redis's clients; no quantifier
  'src/redis/private-server.ts': [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the file
    "new RegExp(` name=sealpost-${keeperName} `, 'g')",
  ],
};

interface Expression {
  source: string;
  flags: string;
}

/** The parts of acorn's tree that are used here. */
type Tree = Node & {
  regex?: { pattern: string; flags: string };
  callee?: Node & { name?: string };
};

const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && 'type' in value && 'start' in value;

/** Each node of the tree once. */
function* nodes(value: unknown): Generator<Tree> {
  if (Array.isArray(value)) for (const each of value) yield* nodes(each);
  else if (isTree(value)) {
    yield value;
    for (const each of Object.values(value)) if (typeof each === 'object') yield* nodes(each);
  }
}

function expressionsOf(code: string): { literals: Expression[]; calls: string[] } {
  const script = stripTypeScriptTypes(code);
  const literals: Expression[] = [];
  const calls: string[] = [];
  for (const node of nodes(parse(script, { ecmaVersion: 'latest', sourceType: 'module' }))) {
    if (node.regex !== undefined) literals.push({ source: node.regex.pattern, flags: node.regex.flags });
    if (node.callee?.name === 'RegExp') calls.push(script.slice(node.start, node.end));
  }
  return { literals, calls };
}

function isLinear({ source, flags }: Expression): boolean {
  const { status } = checkSync(source, flags, { checker: 'automaton', timeout: null });
  return status === 'safe';
}

describe('regular expressions that take the square of the length, or worse', () => {
  const files = globSync(['src/**/*.ts', 'workers/**/*.ts'], { cwd: root }).map((file) => ({
    file: relative(root, join(root, file)),
    ...expressionsOf(readFileSync(join(root, file), 'utf8')),
  }));

  it('each literal is proved to be linear', () => {
    const places = new Map<string, { expression: Expression; files: string[] }>();
    for (const { file, literals } of files) {
      for (const expression of literals) {
        const key = `/${expression.source}/${expression.flags}`;
        places.set(key, { expression, files: [...(places.get(key)?.files ?? []), file] });
      }
    }
    assert.ok(places.size > 100, `${places.size} expressions were found`);
    const wrong = [...places].filter(([, { expression }]) => !isLinear(expression));
    assert.deepEqual(
      wrong.map(([text, place]) => `${text} in ${place.files.join(', ')}`),
      [],
      'write it so that recheck can prove it, or scan by hand',
    );
  });

  it('those that are made at run time stand in the list above', () => {
    const made = files.filter(({ calls }) => calls.length > 0).map(({ file, calls }) => [file, calls]);
    assert.deepEqual(Object.fromEntries(made), composed);
  });

  it('the proof finds what it is for', () => {
    for (const [source, linear] of [
      ['[;\\s]*$', false],
      ['<body(?:\\s[^>]*)?>', false],
      ['^(?:a+)+$', false],
      ['^[;\\s]*x$', true],
    ] as const)
      assert.equal(isLinear({ source, flags: 'i' }), linear, source);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: code that is taken apart
    const code = 'const a: string = b ? /x/.test(b) : `${/y/u}`; new RegExp(a);';
    const { literals, calls } = expressionsOf(code);
    assert.deepEqual(literals, [
      { source: 'x', flags: '' },
      { source: 'y', flags: 'u' },
    ]);
    assert.deepEqual(calls, ['new RegExp(a)']);
  });
});
