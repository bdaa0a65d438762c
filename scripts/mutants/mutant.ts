/** A harmful change of the code, and the tests that are expected to detect it. */
export interface Mutant {
  room: string;
  file: string;
  /** Found exactly once in the file. */
  find: string;
  replace: string;
  /**
   * Test files, relative to `test/`, without `.test.ts`. `daemon/flow~is.sent` runs those alone whose name, with the
   * names of the suites around it, matches the expression.
   */
  tests: readonly string[];
  /** The consequence for users. */
  why: string;
}

export type Row = readonly [file: string, find: string, replace: string, tests: string, why: string];

/**
 * The mutants of a room; files are relative to `src/`, unless they begin with `workers/`, `bin/` or
 * `scripts/`, tests are separated by spaces.
 */
export function mutants(room: string, rows: readonly Row[]): Mutant[] {
  return rows.map(([file, find, replace, tests, why]) => ({
    room,
    file: /^(?:workers|bin|scripts)\//.test(file) ? file : `src/${file}`,
    find,
    replace,
    tests: tests.split(' '),
    why,
  }));
}

/** The file, relative to `test/`, and the expression for the names of its tests. */
export function testOf(test: string): [file: string, pattern: string | undefined] {
  const [file = '', pattern] = test.split('~');
  return [file, pattern];
}

/** The text of its file with the mutant in it; undefined unless the text it changes occurs exactly once. */
export function mutate(text: string, { find, replace }: Mutant): string | undefined {
  const parts = text.split(find);
  return parts.length === 2 ? parts.join(replace) : undefined;
}
