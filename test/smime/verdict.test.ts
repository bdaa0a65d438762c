import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { verdictJsonSchema } from '../../src/smime/verdict/verdict-schema.ts';

describe('the schema of the verdict', () => {
  it('is what docs/verdict.schema.json says (node scripts/verdict-schema.ts writes it)', () => {
    const file = resolve(import.meta.dirname, '../../docs/verdict.schema.json');
    assert.equal(readFileSync(file, 'utf8'), verdictJsonSchema());
  });
});
