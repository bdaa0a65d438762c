/**
 * Writes docs/sealpost.schema.json and docs/partner.schema.json, which editors complete and check configuration and
 * partner files with, from the schema in src/config/schema.ts: `npm run docs:config-schema`. A test fails when a file
 * is not what this writes.
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
  moment: momentPattern.source,
};

export const schemaFiles = ['sealpost.schema.json', 'partner.schema.json'] as const;

/** The text of a file of docs/. What a person may write, so settings with a default are not required. */
export function configJsonSchema(name: (typeof schemaFiles)[number]): string {
  const [title, schema] = titles[name];
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      // the entries of partners have a file of their own
      if (zodSchema === partnerSchema && schema !== partnerSchema) {
        for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
        jsonSchema.$ref = 'partner.schema.json';
        return;
      }
      // our formats are no formats of JSON Schema, where a duration is written as P1D
      const pattern = patterns[jsonSchema.format ?? ''];
      if (pattern === undefined) return;
      delete jsonSchema.format;
      if (pattern !== '') jsonSchema.pattern = pattern;
    },
  });
  return `${JSON.stringify({ $schema, title, ...writtenOnce(rest) }, null, 2)}\n`;
}

/** Octets from which a part that stands in several places is written once. */
const worthOnce = 300;

/** Moves parts that stand in several places, such as a route, to `$defs`. */
function writtenOnce(schema: object): object {
  const places = new Map<string, number>();
  const texts = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const text = JSON.stringify(value);
    const count = places.get(text) ?? 0;
    places.set(text, count + 1);
    // what is inside of a part that is there already is written with it
    if (count === 0) for (const each of Object.values(value)) texts(each);
  };
  texts(schema);
  const defs: Record<string, unknown> = {};
  const names = new Map<string, string>();
  const written = (value: unknown, within: string): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((each) => written(each, within));
    const text = JSON.stringify(value);
    const inner = () =>
      Object.fromEntries(Object.entries(value).map(([key, each]) => [key, written(each, key)]));
    const isSchema = 'type' in value || 'anyOf' in value || 'oneOf' in value;
    if (!isSchema || text.length < worthOnce || (places.get(text) ?? 0) < 2) return inner();
    let name = names.get(text);
    if (name === undefined) {
      const alike = Object.keys(defs).filter((each) => each.replace(/\d+$/, '') === within).length;
      name = alike === 0 ? within : `${within}${alike + 1}`;
      names.set(text, name);
      defs[name] = {};
      defs[name] = inner();
    }
    return { $ref: `#/$defs/${name}` };
  };
  const top = Object.entries(schema).map(([key, value]) => [key, written(value, key)]);
  return { ...Object.fromEntries(top), $defs: defs };
}

if (import.meta.main)
  for (const name of schemaFiles)
    writeFileSync(resolve(import.meta.dirname, '../docs', name), configJsonSchema(name));
