import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';

const folder = join(import.meta.dirname, 'bad');

/** Each file begins with what must be said of it: comment lines `#:`, then the configuration. */
describe('bad config', () => {
  for (const name of readdirSync(folder)) {
    it(name, () => {
      const text = readFileSync(join(folder, name), 'utf8');
      const expected = text
        .split('\n')
        .filter((line) => line.startsWith('#: '))
        .map((line) => line.slice(3));
      const read = readConfig(text, name);
      assert.equal(read.config, undefined, 'an error was expected');
      const found = read.problems.map((problem) => formatProblem(problem).slice(name.length + 1));
      if (process.env.SEALPOST_SHOW !== undefined) console.log(found.map((line) => `#: ${line}`).join('\n'));
      assert.deepEqual(found, expected);
      assert.doesNotMatch(found.join('\n'), /hunter2/, 'a secret is repeated');
    });
  }
});
