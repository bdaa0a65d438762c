/**
 * Partner files whose settings are made to cost: nothing is compared with each of thousands, and little is said of
 * them.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nearest } from '../../src/config/explain.ts';
import { readPartner } from '../../src/config/partner-reader.ts';
import { ConfigSource } from '../../src/config/source.ts';

const many = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, at) => line(at));
const read = (lines: readonly string[]) => readPartner(lines.join('\n'), '/tmp', 'acme.yaml');

describe('a partner file of 256 KiB', () => {
  it('with 20,000 unknown settings has 50 of them named, and the number of the others', () => {
    const { problems } = read([
      'name: acme',
      'addresses: [a@b.example]',
      ...many(20_000, (at) => `k${at}x: 1`),
    ]);
    assert.equal(problems.length, 51);
    assert.equal(problems.filter(({ message }) => message === 'is not a setting').length, 50);
    assert.match(problems.at(-1)?.message ?? '', /^has 19950 more that are not settings$/);
  });

  it('with 50 unknown settings has each of them named, and nothing more', () => {
    const { problems } = read(['name: acme', 'addresses: [a@b.example]', ...many(50, (at) => `k${at}x: 1`)]);
    assert.equal(problems.length, 50);
    assert.ok(problems.every(({ message, line }) => message === 'is not a setting' && line > 2));
  });

  it('compares no key with each other key', () => {
    // as the library that reads YAML would, if it were told to look for keys that are written twice
    let compared = 0;
    const { some } = Array.prototype;
    Array.prototype.some = function (
      this: unknown[],
      test: (each: unknown, at: number, all: unknown[]) => unknown,
    ) {
      return some.call(this, (each, at, all) => {
        compared += 1;
        return test(each, at, all);
      });
    };
    try {
      assert.equal(
        new ConfigSource(many(2000, (at) => `k${at}: 1`).join('\n'), 'x').syntaxProblems.length,
        0,
      );
    } finally {
      Array.prototype.some = some;
    }
    assert.ok(compared < 20_000, `${compared} comparisons for 2,000 keys`);
  });

  it('with one key 40,000 times has 100 of them named', () => {
    const { problems } = read(many(40_000, () => 'a: 1'));
    assert.equal(problems.length, 100);
    assert.ok(problems.every(({ message, setting }) => message === 'is written twice' && setting === 'a'));
    assert.equal(problems[0]?.line, 2);
  });

  it('finds a key that is written twice in a list, in a group, and in quotes', () => {
    for (const [text, column] of [
      ['{ a: 1, b: 2, a: 3 }', 18],
      ['[{ c: 1 }, { a: 1, "a": 2 }]', 23],
      ["{ a: 1, 'a': 2 }", 12],
    ] as const) {
      const [problem, ...more] = new ConfigSource(`x: ${text}`, 'x.yaml').syntaxProblems;
      assert.deepEqual([problem?.setting, problem?.message, more.length], ['a', 'is written twice', 0]);
      assert.equal(problem?.column, column);
    }
    // the same key in two groups is not twice
    assert.equal(new ConfigSource('x: [{ a: 1 }, { a: 2 }]', 'x.yaml').syntaxProblems.length, 0);
  });

  it('with a name of 64 letters gets a suggestion, with one of 65 none', () => {
    const known = 'a'.repeat(64);
    assert.equal(nearest(`${known.slice(1)}b`, [known]), known);
    assert.equal(nearest(`${known}a`, [known]), undefined);
  });
});
