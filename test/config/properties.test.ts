import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readConfig } from '../../src/config/load.ts';

const example = readFileSync(resolve(import.meta.dirname, '../../config/sealpost.example.yaml'), 'utf8');
const full = example.replaceAll(/^(\s*)#(?=\S)/gm, '$1').split('\n');
const lines = full.filter((line) => !/^\s*#/.test(line));
// SEALPOST_RUNS=100000 for a long run
const numRuns = Number(process.env.SEALPOST_RUNS ?? 100);

/** Whatever is written, the answer is a configuration or problems with a place inside the text, never a crash. */
function answers(text: string): void {
  const { config, problems } = readConfig(text, 'f.yaml');
  assert.ok(config !== undefined || problems.some(({ severity }) => severity === 'error'));
  const count = text.split('\n').length;
  for (const { line, column, message } of problems) {
    assert.ok(line >= 1 && line <= count && column >= 1, `${line}:${column} of ${count} lines`);
    assert.notEqual(message, '');
  }
}

describe('readConfig', () => {
  it('answers to any value in any place', () => {
    const value = fc.oneof(
      fc.json(),
      fc.constantFrom(
        '',
        '~',
        '[]',
        '{}',
        '[[]]',
        '{ file: [] }',
        '{ env: }',
        '&a [*a]',
        '*a',
        '!!binary x',
        '<<: 1',
        '- x',
        '? y',
        '"',
        '| x',
        '1e999',
        '-1',
        '.nan',
        '2026-01-01',
        '__proto__: { a: 1 }',
      ),
    );
    const property = fc.property(fc.nat(lines.length - 1), value, (index, text) => {
      const changed = lines.map((line, at) => (at === index ? line.replace(/:.*$/, `: ${text}`) : line));
      answers(changed.join('\n'));
    });
    fc.assert(property, { numRuns });
  });

  it('answers to lines that are missing, repeated or moved', () => {
    const property = fc.property(
      fc.subarray(lines.map((_, index) => index)),
      fc.nat(lines.length - 1),
      (kept, again) => {
        answers([...kept, again].map((index) => lines[index]).join('\n'));
      },
    );
    fc.assert(property, { numRuns });
  });

  it('answers to any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), answers), { numRuns });
  });
});
