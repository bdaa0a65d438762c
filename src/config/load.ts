import { dirname, resolve } from 'node:path';
import { explainIssue } from './explain.ts';
import { KeptPartners, keepLater } from './kept-partners.ts';
import { programOfThis } from './known.ts';
import { rememberOrigin } from './origin.ts';
import { listPartnerFiles } from './partner-files.ts';
import { readPartnerFolder } from './partner-reader.ts';
import { ConfigError, hasErrors, type Problem, type SettingPath, sortProblems } from './problem.ts';
import { readProfiles } from './profile-files.ts';
import { checkRules } from './rules.ts';
import { type Config, configSchema } from './schema.ts';
import { readConfigText } from './secrets.ts';
import { isRecord, mapFormat } from './shape.ts';
import { ConfigSource } from './source.ts';
import { Sources } from './sources.ts';

/** A usable configuration, with the place of each setting for later messages. */
export interface LoadedConfig {
  config: Config;
  source: Sources;
  /** Warnings only. */
  problems: Problem[];
}

/** What is known about a configuration with errors, for `check`, which reports everything. */
export interface Rejected {
  source: Sources;
  /** The files and folders that it names, as absolute paths. */
  paths: [SettingPath, string][];
  /** Present if each setting is valid by itself. */
  config?: Config;
}

/**
 * Reads a configuration with its partner files. Relative paths are resolved against the folder of the file in which
 * they stand; the files that they lead to are not read. Reports all problems at once.
 *
 * @param text the YAML text
 * @param file its name, for messages and as the base of relative paths
 * @param keep whether partner files that have not changed are taken from what is kept in the data folder
 * @returns without `config` if one of the problems is an error
 */
export function readConfig(
  text: string,
  file: string,
  keep = false,
): LoadedConfig | { config?: never; problems: Problem[]; rejected?: Rejected } {
  const main = new ConfigSource(text, file);
  if (main.syntaxProblems.length > 0) return { problems: sortProblems(main.syntaxProblems) };

  const base = dirname(resolve(file));
  const paths: [SettingPath, string][] = [];
  const located = mapFormat(configSchema, main.value, 'path', (text, at) => {
    const path = resolve(base, text);
    paths.push([at, path]);
    return path;
  });
  const parsed = configSchema.safeParse(located);
  const written = isRecord(main.value) ? main.value : {};
  const setting = typeof written.partnerFiles === 'string' ? written.partnerFiles : undefined;
  const listed = listPartnerFiles(file, setting);
  const { folder } = listed;
  const own = Array.isArray(written.partners) ? written.partners.length : 0;
  const source = new Sources(main, own, folder);
  const kept =
    keep && parsed.success && folder.names.length > 0
      ? new KeptPartners(parsed.data.dataDir, programOfThis(), folder.path)
      : undefined;
  const read = readPartnerFolder(folder, own, source, kept);
  const isKept = kept?.save() ?? true;
  const found = [...listed.problems, ...read.problems];
  const all = [...paths, ...read.paths];
  if (!parsed.success || hasErrors(found)) {
    const issues = parsed.error?.issues ?? [];
    const problems = issues.flatMap((issue) => explainIssue(issue, configSchema, main));
    return {
      problems: sortProblems([...problems, ...found], source.names),
      rejected: { source, paths: all },
    };
  }
  const profiled = readProfiles(parsed.data, [...parsed.data.partners, ...read.partners], source);
  const { partners, profiles, book } = profiled;
  const config: Config = { ...parsed.data, partners, partnerFiles: folder.path };
  found.push(...profiled.problems, ...checkRules(config, source, book));
  const problems = sortProblems(found, source.names);
  rememberOrigin(config, { file, text, setting, own, folder, profiles });
  if (hasErrors(problems)) return { problems, rejected: { source, paths: all, config } };
  if (kept !== undefined && !isKept) keepLater(config, kept);
  return { config, source, problems };
}

/**
 * Reads the configuration file.
 *
 * @param text its text, if it has been read already
 * @throws {ConfigError} `config-invalid` with all problems and their places
 * @throws {SealpostError} `file-access`
 */
export function openConfig(file: string, text = readConfigText(file)): LoadedConfig {
  const read = readConfig(text, file, true);
  if (read.config === undefined) throw new ConfigError(file, read.problems);
  return read;
}

/** `openConfig` for a program that needs only the values. */
export function loadConfig(file: string): Config {
  return openConfig(file).config;
}
