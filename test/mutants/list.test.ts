/** The list of `npm run mutants` is true: each text is in its file exactly once, and each test is there. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { allMutants, mutate, testOf } from '../../scripts/mutants/index.ts';

const root = join(import.meta.dirname, '../..');

describe('the list of mutants', () => {
  it('names texts that are in their file exactly once, and changes them', () => {
    const texts = new Map<string, string>();
    const wrong: string[] = [];
    for (const { file, find, replace } of allMutants) {
      const text = texts.get(file) ?? readFileSync(join(root, file), 'utf8');
      texts.set(file, text);
      const times = text.split(find).length - 1;
      if (times !== 1 || find === replace) wrong.push(`${file}: ${times} times: ${find}`);
    }
    assert.deepEqual(wrong, []);
  });

  it('leaves each file one that can be read: what does not parse, any test notices', () => {
    const wrong: string[] = [];
    for (const mutant of allMutants) {
      const changed = mutate(readFileSync(join(root, mutant.file), 'utf8'), mutant) ?? '';
      try {
        stripTypeScriptTypes(changed);
      } catch (error) {
        wrong.push(`${mutant.file}: ${mutant.find}: ${error}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('names tests that are there', () => {
    const missing = allMutants
      .flatMap(({ tests }) => tests)
      .filter((test) => {
        const [name, pattern] = testOf(test);
        const file = join(root, 'test', `${name}.test.ts`);
        return !existsSync(file) || !new RegExp(pattern ?? '').test(readFileSync(file, 'utf8'));
      });
    assert.deepEqual([...new Set(missing)], []);
  });

  it('has at least 120 of them, ten in each room', () => {
    assert.ok(allMutants.length >= 120);
    const rooms = Map.groupBy(allMutants, ({ room }) => room);
    for (const room of 'asn1 message pki cms smime partner config queue smtp imap handoff daemon pipeline'.split(
      ' ',
    ))
      assert.ok((rooms.get(room)?.length ?? 0) >= 10, room);
  });
});
