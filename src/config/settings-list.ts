/** The settings of a configuration as people see them: value, default, description, and place. */
import { stringify } from 'yaml';
import type { z } from 'zod';
import { sourceOf } from './origin.ts';
import { formatSetting, type SettingPath } from './problem.ts';
import { type Config, configSchema, partnerSchema } from './schema.ts';
import { isRecord, isSecret, optionsOf, settingsOf, shapeOf } from './shape.ts';
import type { Sources } from './sources.ts';

export interface ListedSetting {
  /** `mailboxes[0].imap.host` */
  path: string;
  /** As written. For a list of groups, the number of entries. */
  value: string;
  /** As written; '' if there is none. */
  default: string;
  /** File and line; null if the default applies. */
  origin: string | null;
  description: string;
}

/** Longest value that is shown. */
const longest = 200;

const written = (value: unknown) =>
  value === undefined
    ? ''
    : stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim().slice(0, longest);

/**
 * Settings of every group; for lists such as `partners`, only the number of entries. There are no secrets in it,
 * because the file has none.
 */
export async function listSettings(config: Config): Promise<ListedSetting[]> {
  const sources = await sourceOf(config);
  return listed(configSchema, [], { value: config, written: sources.main.value, sources });
}

/** Settings of a partner that say where its mail goes and how it logs in. They say nothing about protection. */
const ways: ReadonlySet<string> = new Set([
  ...['name', 'formerNames', 'addresses', 'certificates', 'route', 'backup', 'onSuspend', 'lookup'],
  ...['approval', 'noticesTo'],
]);

/**
 * How mail with partners is protected, and what is required of it: for each partner by its index, the settings that
 * have a value, as in `listSettings`, with paths below the partner.
 */
export async function partnerSettings(config: Config): Promise<(index: number) => ListedSetting[]> {
  const sources = await sourceOf(config);
  return (index) => {
    const value = config.partners[index];
    const written = sources.writtenPartner(index);
    const all = listed(partnerSchema, ['partners', index], { value, written, sources });
    const start = `${formatSetting(['partners', index])}.`;
    return all
      .map((each) => ({ ...each, path: each.path.replace(start, '') }))
      .filter((each) => each.value !== '' && !ways.has(/^\w+/.exec(each.path)?.[0] ?? ''));
  };
}

function listed(
  schema: z.core.$ZodType,
  from: SettingPath,
  { value, written: inFile, sources }: { value: unknown; written: unknown; sources: Sources },
): ListedSetting[] {
  const found: ListedSetting[] = [];
  const visit = (schema: z.core.$ZodType, path: SettingPath, value: unknown, inFile: unknown) => {
    const { core, description = '', default: standard } = shapeOf(schema);
    const below = isSecret(schema) || optionsOf(schema) !== undefined ? undefined : settingsOf(core);
    if (below && (path.length === from.length || isRecord(value))) {
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
  visit(schema, from, value, inFile);
  return found;
}
