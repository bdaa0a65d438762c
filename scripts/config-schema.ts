/**
 * Writes docs/sealpost.schema.json and docs/partner.schema.json, which editors complete and check configuration and
 * partner files with, from the schema in src/config/schema.ts: `npm run docs:config-schema`. A test fails when a file is
 * not what this writes.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { configSchema, partnerSchema } from '../src/config/schema.ts';
import { momentPattern } from '../src/config/term-settings.ts';
import { durationUnits, sizeUnits } from '../src/config/unit-text.ts';

const titles = {
  'sealpost.schema.json': ['Sealpost configuration', configSchema],
  'partner.schema.json': ['Sealpost partner file', partnerSchema],
} as const;

const unitPattern = (units: Record<string, number>) =>
  `^\\s*\\d+(\\.\\d+)?\\s*(${Object.keys(units).join('|')})\\s*$`;

const patterns: Record<string, string> = {
  path: '',
  duration: unitPattern(durationUnits),
  size: unitPattern(sizeUnits),
  moment: momentPattern,
};

export const schemaFiles = ['sealpost.schema.json', 'partner.schema.json'] as const;

/** The text of a file of docs/. What a person may write, so settings with a default are not required. */
export function configJsonSchema(name: (typeof schemaFiles)[number]): string {
  const [title, schema] = titles[name];
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      // our formats are no formats of JSON Schema, where a duration is written as P1D
      const pattern = patterns[jsonSchema.format ?? ''];
      if (pattern === undefined) return;
      delete jsonSchema.format;
      if (pattern !== '') jsonSchema.pattern = pattern;
    },
  });
  return `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`;
}

if (import.meta.main)
  for (const name of schemaFiles)
    writeFileSync(resolve(import.meta.dirname, '../docs', name), configJsonSchema(name));
