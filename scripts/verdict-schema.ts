/**
 * Writes docs/verdict.schema.json from the schema in src/smime/verdict/verdict-schema.ts: `node scripts/verdict-schema.ts`.
 * A test fails when the file is not what this writes.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { verdictJsonSchema } from '../src/smime/verdict/verdict-schema.ts';

writeFileSync(resolve(import.meta.dirname, '../docs/verdict.schema.json'), verdictJsonSchema());
