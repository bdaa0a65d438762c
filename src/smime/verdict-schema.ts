import * as z from 'zod';
import { verdictSchema } from './verdict.ts';

/** The verdict's JSON Schema (draft 2020-12) as the text of `docs/verdict.schema.json`. */
export function verdictJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(verdictSchema), null, 2)}\n`;
}
