/**
 * Writes the JSON Schemas of what other programs get: docs/verdict.schema.json from
 * src/smime/verdict/verdict-schema.ts, and those of documents, reports, events and alerts from src/documents/:
 * `node scripts/verdict-schema.ts`. A test fails when a file is not what this writes.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { alertsDocument, eventsDocument, handoffDocument, reportDocument } from '../src/documents/index.ts';
import { verdictJsonSchema, verdictSchema } from '../src/smime/verdict/verdict-schema.ts';

const documents = {
  handoff: handoffDocument,
  report: reportDocument,
  events: eventsDocument,
  alerts: alertsDocument,
} as const;
export const documentNames = ['handoff', 'report', 'events', 'alerts'] as const;

/** The text of docs/NAME.schema.json (draft 2020-12). The verdict has a file of its own. */
export function documentJsonSchema(name: (typeof documentNames)[number]): string {
  const schema = z.toJSONSchema(documents[name], {
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema !== verdictSchema) return;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      jsonSchema.$ref = 'verdict.schema.json';
    },
  });
  return `${JSON.stringify(schema, null, 2)}\n`;
}

if (import.meta.main) {
  const write = (name: string, text: string) =>
    writeFileSync(resolve(import.meta.dirname, `../docs/${name}.schema.json`), text);
  write('verdict', verdictJsonSchema());
  for (const name of documentNames) write(name, documentJsonSchema(name));
}
