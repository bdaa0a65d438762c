/** The files that a configuration consists of, and those that it names. */
import { existsSync, readdirSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { originOf } from './origin.ts';
import { listPartnerFiles } from './partner-files.ts';
import type { Config } from './schema.ts';

/** What could be the path of a file. Other texts do no harm, because no such file exists. */
export function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return isAbsolute(value) ? [value] : [];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(pathsIn) : [];
}

/** Absolute paths of the configuration with its partner files, and of everything that could be a file it names. */
export function configFiles(file: string, config: Config): { configuration: string[]; named: string[] } {
  const { folder } = listPartnerFiles(file, originOf(config)?.setting);
  const configuration = [
    resolve(file),
    ...folder.names.map((name) => join(folder.path, name)),
    ...profilesIn(config.profiles.folder),
  ];
  const known = new Set(configuration);
  return { configuration, named: [...new Set(pathsIn(config))].filter((path) => !known.has(path)).sort() };
}

function profilesIn(folder: string | undefined): string[] {
  if (folder === undefined || !existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^[^.].*\.ya?ml$/.test(name))
    .map((name) => join(folder, name));
}
