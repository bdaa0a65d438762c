/** Walks the schema as a tree, for places, relative paths, hints and the settings page. */
import { z } from 'zod';
import type { SettingPath } from './problem.ts';

/** A schema without its wrappers (optional, default), and what the wrappers say. */
export interface Shape {
  core: z.core.$ZodType;
  description: string | undefined;
  /** `path`, `duration`, `size` or `moment`, which are more specific than the type. */
  format: string | undefined;
  /** False if the setting is required. */
  optional: boolean;
  /** The default as you would write it; undefined if there is none. */
  default: unknown;
}

const shapes = new WeakMap<z.core.$ZodType, Shape>();

/**
 * Removes the wrappers. The outermost description counts. The results are kept, because a schema does not change and is
 * looked up for each setting that is written.
 */
export function shapeOf(schema: z.core.$ZodType): Shape {
  let shape = shapes.get(schema);
  if (shape === undefined) {
    shape = unwrapped(schema);
    shapes.set(schema, shape);
  }
  return shape;
}

function unwrapped(schema: z.core.$ZodType): Shape {
  const shape: Shape = {
    core: schema,
    description: undefined,
    format: undefined,
    optional: false,
    default: undefined,
  };
  for (;;) {
    const meta = z.globalRegistry.get(shape.core);
    shape.description ??= meta?.description;
    if (typeof meta?.format === 'string') shape.format ??= meta.format;
    if (shape.core instanceof z.core.$ZodOptional) shape.optional = true;
    else if (shape.core instanceof z.core.$ZodDefault || shape.core instanceof z.core.$ZodPrefault) {
      shape.optional = true;
      shape.default = shape.core._zod.def.defaultValue;
    } else if (!(shape.core instanceof z.core.$ZodPipe)) return shape;
    shape.core =
      shape.core instanceof z.core.$ZodPipe ? shape.core._zod.def.in : shape.core._zod.def.innerType;
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The name may be one that every object inherits: `constructor`, `__proto__`. */
function own<T>(record: Record<string, T> | undefined, key: string | number): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

/** The settings of an object; undefined for anything else. */
export function settingsOf(schema: z.core.$ZodType): Record<string, z.core.$ZodType> | undefined {
  const { core } = shapeOf(schema);
  return core instanceof z.core.$ZodObject ? core._zod.def.shape : undefined;
}

/** The alternatives of a union; undefined for anything else. */
export function optionsOf(schema: z.core.$ZodType): readonly z.core.$ZodType[] | undefined {
  const { core } = shapeOf(schema);
  return core instanceof z.core.$ZodUnion ? core._zod.def.options : undefined;
}

/** Whether a setting is a secret: one that may come from the environment. */
export function isSecret(schema: z.core.$ZodType): boolean {
  return optionsOf(schema)?.some((option) => settingsOf(option)?.env !== undefined) ?? false;
}

/**
 * The alternative of a union that a written value is meant to be: the one with its `type`, or else the one that has
 * most of its keys. Undefined if nothing fits.
 */
export function chooseOption(
  options: readonly z.core.$ZodType[],
  value: unknown,
): z.core.$ZodType | undefined {
  if (!isRecord(value)) return undefined;
  let best: z.core.$ZodType | undefined;
  let most = 0;
  for (const option of options) {
    const settings = settingsOf(option) ?? {};
    const type = settings.type === undefined ? undefined : shapeOf(settings.type).core;
    if (type instanceof z.core.$ZodLiteral) {
      if (type._zod.def.values.some((each) => each === value.type)) return option;
      continue;
    }
    const known = Object.keys(value).filter((key) => Object.hasOwn(settings, key)).length;
    if (known > most) [best, most] = [option, known];
  }
  return best;
}

/** One step down: the schema of a key or index. */
function child(schema: z.core.$ZodType, step: string | number, value: unknown): z.core.$ZodType | undefined {
  const options = optionsOf(schema);
  const chosen = options === undefined ? schema : chooseOption(options, value);
  if (chosen === undefined) return undefined;
  if (typeof step === 'string') return own(settingsOf(chosen), step);
  const { core } = shapeOf(chosen);
  return core instanceof z.core.$ZodArray ? core._zod.def.element : undefined;
}

/** The value at a place in what was written. */
export function valueAt(value: unknown, path: SettingPath): unknown {
  let current = value;
  for (const step of path) {
    if (Array.isArray(current)) current = typeof step === 'number' ? current[step] : undefined;
    else current = isRecord(current) ? own(current, step) : undefined;
  }
  return current;
}

/** The schema of a setting. `value` is the whole written configuration, which selects the alternatives. */
export function schemaAt(
  schema: z.core.$ZodType,
  path: SettingPath,
  value: unknown,
): z.core.$ZodType | undefined {
  let current: z.core.$ZodType | undefined = schema;
  path.forEach((step, index) => {
    if (current !== undefined) current = child(current, step, valueAt(value, path.slice(0, index)));
  });
  return current;
}

/** A copy of what was written, with `change` applied to each string of the given format. */
export function mapFormat(
  schema: z.core.$ZodType,
  value: unknown,
  format: string,
  change: (text: string, at: SettingPath) => string,
  at: SettingPath = [],
): unknown {
  if (typeof value === 'string') return shapeOf(schema).format === format ? change(value, at) : value;
  const down = (step: string | number, each: unknown) => {
    const below = child(schema, step, value);
    return below === undefined ? each : mapFormat(below, each, format, change, [...at, step]);
  };
  if (Array.isArray(value)) return value.map((each, index) => down(index, each));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, down(key, each)]));
}
