/** Turns what the schema found wrong into words that say what to do. */
import { z } from 'zod';
import type { Problem, SettingPath } from './problem.ts';
import {
  chooseOption,
  isRecord,
  isSecret,
  optionsOf,
  schemaAt,
  settingsOf,
  shapeOf,
  valueAt,
} from './shape.ts';
import type { ConfigSource } from './source.ts';

const secretHint =
  'write file: PATH or env: NAME below it; a secret is never part of the configuration itself';

/** What may be written for a schema: `true or false`, `a time span such as 30s`. */
function wanted(schema: z.core.$ZodType | undefined): string {
  if (schema === undefined) return 'another value';
  const { core, format } = shapeOf(schema);
  if (format === 'duration') return 'a time span with its unit, such as 30s';
  if (format === 'size') return 'a size with its unit, such as 100MiB';
  if (format === 'moment') return 'a day or a time with its offset, such as 2027-01-01';
  if (format === 'path') return 'a path to a file or folder';
  if (core instanceof z.core.$ZodEnum) return `one of ${Object.values(core._zod.def.entries).join(', ')}`;
  if (core instanceof z.core.$ZodBoolean) return 'true or false';
  if (core instanceof z.core.$ZodNumber)
    return z.toJSONSchema(core).type === 'integer' ? 'a whole number' : 'a number';
  if (core instanceof z.core.$ZodArray) return 'a list: [a, b], or one entry per line after "- "';
  if (core instanceof z.core.$ZodObject)
    return `settings below it: ${Object.keys(core._zod.def.shape).join(', ')}`;
  return 'text';
}

/** What a missing setting is for, with a hint on what to write unless any text will do. */
function meaning(schema: z.core.$ZodType | undefined, what: string): string {
  const description = schema === undefined ? undefined : shapeOf(schema).description;
  if (description === undefined) return `write ${what}`;
  return what === 'text' || what.startsWith('a path') ? description : `${description} Write ${what}`;
}

/** Describes a value without repeating it, because it may be a secret in the wrong place. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a group of settings';
  return typeof value === 'string' ? 'text' : `a ${typeof value}`;
}

/** Number of changed, missing, extra or swapped letters between two names. */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const change = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(at(i - 1, j) + 1, (row[j - 1] ?? 0) + 1, change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, at(i - 2, j - 2) + 1);
      row.push(best);
    }
  }
  return at(a.length, b.length);
}

/** Our names are shorter. Comparing a longer one would cost its length for each of them. */
const longestName = 64;
/** Unknown settings of one group that are reported, at most. */
const mostUnknown = 50;

/** The known name that was probably meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > longestName) return undefined;
  const simple = (text: string) => text.toLowerCase().replace(/[-_]/g, '');
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const each of known) {
    const distance = editDistance(simple(name), simple(each));
    if (distance < least) [best, least] = [each, distance];
  }
  return best;
}

/** The possible types, for the path of a `type` that selects an alternative. */
function typesAt(path: SettingPath, schema: z.core.$ZodType, source: ConfigSource): string[] {
  const union = schemaAt(schema, path.slice(0, -1), source.value);
  const types = ((union && optionsOf(union)) ?? []).map((option) => settingsOf(option)?.type);
  return types.flatMap((type) =>
    type instanceof z.core.$ZodLiteral ? type._zod.def.values.map(String) : [],
  );
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  return meant === undefined ? `known here: ${known.join(', ')}` : `did you mean ${meant}?`;
}

/** Turns one finding of the schema into problems with the file. `schema` is the schema of the whole file. */
export function explainIssue(
  issue: z.core.$ZodIssue,
  schema: z.core.$ZodType,
  source: ConfigSource,
): Problem[] {
  const path: SettingPath = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  const value = valueAt(source.value, path);
  const here = schemaAt(schema, path, source.value);
  const what = wanted(here);
  const problem = (message: string, hint?: string) => [
    source.problem(path, message, hint === undefined ? {} : { hint }),
  ];

  if (issue.code === 'unrecognized_keys') {
    const options = here === undefined ? undefined : optionsOf(here);
    const chosen = options === undefined ? here : chooseOption(options, value);
    const known = Object.keys((chosen && settingsOf(chosen)) ?? {});
    const problems = issue.keys
      .slice(0, mostUnknown)
      .map((key) =>
        source.problem([...path, key], 'is not a setting', { hint: unknownKey(key, known), at: 'key' }),
      );
    const more = issue.keys.length - problems.length;
    return more > 0
      ? [...problems, source.problem(path, `has ${more} more that are not settings`)]
      : problems;
  }
  if (value === undefined) {
    if (issue.code === 'invalid_union' && issue.discriminator !== undefined)
      return problem('is missing', `write one of ${typesAt(path, schema, source).join(', ')}`);
    return problem('is missing', here && optionsOf(here) ? secretHint : meaning(here, what));
  }
  if (value === null) return problem('has no value', `write ${what}, or remove the line`);

  switch (issue.code) {
    case 'invalid_type':
      if (issue.expected === 'string' && !isRecord(value) && !Array.isArray(value) && what === 'text')
        return problem(`is ${kindOf(value)}, not text`, 'write it in quotes');
      if (issue.expected === 'int') return problem('is not a whole number');
      return problem(`is ${kindOf(value)}`, `write ${what}`);
    case 'invalid_value':
      return problem('is not a known value', `write ${what}`);
    case 'too_big':
      return problem(`must be at most ${issue.maximum}`);
    case 'too_small':
      if (issue.origin === 'array') return problem('is empty', `write at least ${issue.minimum} entry`);
      if (issue.origin === 'string') return problem('is empty', `write ${what}`);
      return problem(`must be at least ${issue.minimum}`);
    case 'invalid_format':
      if (issue.format === 'url')
        return problem('is not a URL that can be used here', 'write it in full, such as https://host/path');
      return problem('has characters that are not allowed, or too many', issue.message);
    case 'invalid_union':
      return explainUnion(issue, path, here, schema, source, value);
    default:
      return problem(issue.message);
  }
}

function explainUnion(
  issue: z.core.$ZodIssueInvalidUnion,
  path: SettingPath,
  here: z.core.$ZodType | undefined,
  schema: z.core.$ZodType,
  source: ConfigSource,
  value: unknown,
): Problem[] {
  if (issue.discriminator !== undefined) {
    const known = typesAt(path, schema, source);
    const meant = typeof value === 'string' ? nearest(value, known) : undefined;
    const hint = `write one of ${known.join(', ')}${meant === undefined ? '' : `; did you mean ${meant}?`}`;
    return [source.problem(path, 'is not a known value', { hint })];
  }
  const options = (here && optionsOf(here)) ?? [];
  const secret = here === undefined || isSecret(here);
  const hint = secret ? secretHint : 'write a path, or a group with the path as file';
  if (!isRecord(value)) return [source.problem(path, `is ${kindOf(value)}`, { hint })];
  const names = options.map((option) => Object.keys(settingsOf(option) ?? {}));
  const written = Object.keys(value);
  const of = (known: readonly string[]) => written.every((key) => known.includes(key));
  if (written.length > 1 && of(names.flat()) && !names.some(of))
    return [source.problem(path, `has ${written.join(' and ')}`, { hint: 'keep one of them' })];
  const chosen = chooseOption(options, value);
  const found = chosen === undefined ? undefined : issue.errors[options.indexOf(chosen)];
  if (found === undefined)
    return [source.problem(path, secret ? 'has no file or env' : 'has no file', { hint })];
  return found.flatMap((each) =>
    explainIssue({ ...each, path: [...issue.path, ...each.path] }, schema, source),
  );
}
