/** Documents that Sealpost gave out, held against the schemas that it publishes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { z } from 'zod';
import {
  alertsDocument,
  eventsDocument,
  handoffDocument,
  reportDocument,
} from '../../src/documents/index.ts';

const schemas = {
  handoff: handoffDocument,
  report: reportDocument,
  events: eventsDocument,
  alerts: alertsDocument,
} as const;
export type DocumentName = keyof typeof schemas;

const read = (name: string) =>
  JSON.parse(readFileSync(resolve(import.meta.dirname, `../../docs/${name}.schema.json`), 'utf8'));

const validators = new Map<DocumentName, ValidateFunction>();

/** By the published JSON Schema. Formats are those of the schema in TypeScript. */
export function validatorOf(name: DocumentName): ValidateFunction {
  const known = validators.get(name);
  if (known) return known;
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(read('verdict'), 'verdict.schema.json');
  const made = ajv.compile(read(name));
  validators.set(name, made);
  return made;
}

/** @param value parsed JSON */
export function assertDocument(name: DocumentName, value: unknown): void {
  const schema: z.ZodType = schemas[name];
  const parsed = schema.safeParse(value);
  assert.ok(parsed.success, `${name}: ${JSON.stringify(parsed.error?.issues)}\n${JSON.stringify(value)}`);
  const validate = validatorOf(name);
  assert.ok(validate(value), `${name}: ${JSON.stringify(validate.errors)}\n${JSON.stringify(value)}`);
}
