/**
 * The configuration as others may see it. This works by an allow-list: numbers, switches, and words that the schema
 * itself offers are shown. For anything chosen freely (names, hosts, addresses, paths, secrets), it only shows that it
 * is set.
 */
import { z } from 'zod';
import { configSchema } from './schema.ts';
import { chooseOption, isRecord, isSecret, optionsOf, settingsOf, shapeOf } from './shape.ts';

const isSet = 'set';

type Schema = z.core.$ZodType;

/** Words that the schema offers at this place. */
function wordsOf(schema: Schema): readonly unknown[] {
  const { core } = shapeOf(schema);
  if (core instanceof z.core.$ZodEnum) return Object.values(core._zod.def.entries);
  if (core instanceof z.core.$ZodLiteral) return core._zod.def.values;
  return (optionsOf(schema) ?? []).flatMap(wordsOf);
}

/** Schemas of the entries of a list. */
function entriesOf(schema: Schema): Schema | undefined {
  const { core } = shapeOf(schema);
  if (core instanceof z.core.$ZodArray) return core._zod.def.element;
  return (optionsOf(schema) ?? []).map(entriesOf).find((each) => each !== undefined);
}

function share(schema: Schema | undefined, value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (schema === undefined || isSecret(schema)) return isSet;
  if (typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'string') return wordsOf(schema).includes(value) ? value : isSet;
  if (Array.isArray(value)) {
    const entry = entriesOf(schema);
    return value.map((each) => share(entry, each));
  }
  if (!isRecord(value)) return isSet;
  const options = optionsOf(schema);
  const chosen = options === undefined ? schema : chooseOption(options, value);
  const settings = chosen && settingsOf(chosen);
  if (settings === undefined) return isSet;
  // a key that the schema does not have was chosen freely, too
  const shared = Object.keys(settings).flatMap((key) =>
    Object.hasOwn(value, key) && value[key] !== undefined ? [[key, share(settings[key], value[key])]] : [],
  );
  return Object.fromEntries(shared);
}

/** @param config as loaded, or as somebody wrote it */
export function shareable(config: unknown): unknown {
  return share(configSchema, config);
}

const names = new Set<string>();
function collect(schema: Schema, seen = new Set<unknown>()): void {
  const { core } = shapeOf(schema);
  if (seen.has(core)) return;
  seen.add(core);
  for (const [name, below] of Object.entries(settingsOf(schema) ?? {})) {
    names.add(name);
    collect(below, seen);
  }
  const entry = entriesOf(schema);
  for (const each of [...(optionsOf(schema) ?? []), ...(entry ? [entry] : [])]) collect(each, seen);
}

/** A setting as a problem names it, if it consists of names in the schema. An unknown name may be anything. */
export function shareableSetting(setting: string): string {
  if (names.size === 0) collect(configSchema);
  const words = setting
    .replaceAll(/\[\d+\]/g, '')
    .split('.')
    .filter(Boolean);
  return words.every((word) => names.has(word)) ? setting : 'unknown';
}
