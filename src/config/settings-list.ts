/** The settings of a configuration as people see them: value, default, what it is, and where it stands. */
import { stringify } from 'yaml';
import type { z } from 'zod';
import { sourceOf } from './origin.ts';
import { formatSetting, type SettingPath } from './problem.ts';
import { type Config, configSchema } from './schema.ts';
import { isRecord, isSecret, optionsOf, settingsOf, shapeOf } from './shape.ts';

export interface ListedSetting {
  /** `mailboxes[0].imap.host` */
  path: string;
  /** As it is written; a list of groups is its number of entries. */
  value: string;
  /** As it is written; '' if there is none. */
  default: string;
  /** File and line; null for a default. */
  origin: string | null;
  description: string;
}

/** Longest value. */
const longest = 200;

const written = (value: unknown) =>
  value === undefined
    ? ''
    : stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim().slice(0, longest);

/**
 * Settings of every group; of lists such as `partners` the number of entries. It holds no secrets: the file has none.
 */
export async function listSettings(config: Config): Promise<ListedSetting[]> {
  const sources = await sourceOf(config);
  const found: ListedSetting[] = [];
  const visit = (schema: z.core.$ZodType, path: SettingPath, value: unknown, inFile: unknown) => {
    const { core, description = '', default: standard } = shapeOf(schema);
    const below = isSecret(schema) || optionsOf(schema) !== undefined ? undefined : settingsOf(core);
    if (below && (path.length === 0 || isRecord(value))) {
      const values = isRecord(value) ? value : {};
      const set = isRecord(inFile) ? inFile : {};
      for (const [name, each] of Object.entries(below)) visit(each, [...path, name], values[name], set[name]);
      return;
    }
    if (below && value === undefined) return;
    const isList = Array.isArray(value) && value.some(isRecord);
    const place = inFile === undefined ? undefined : sources.problem(path, '');
    found.push({
      path: formatSetting(path),
      value: isList ? `${value.length} ${value.length === 1 ? 'entry' : 'entries'}` : written(value),
      default: written(standard),
      origin: place === undefined ? null : `${place.file}${place.line === undefined ? '' : `:${place.line}`}`,
      description,
    });
  };
  visit(configSchema, [], config, sources.main.value);
  return found;
}
