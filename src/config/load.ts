import { dirname, resolve } from 'node:path';
import { explainIssue } from './explain.ts';
import { rememberOrigin } from './origin.ts';
import { ConfigError, hasErrors, type Problem, type SettingPath, sortProblems } from './problem.ts';
import { checkRules } from './rules.ts';
import { type Config, configSchema } from './schema.ts';
import { mapFormat } from './shape.ts';
import { ConfigSource } from './source.ts';
import { readConfigText } from './text.ts';

/** A usable configuration, with the place of each setting for later messages. */
export interface LoadedConfig {
  config: Config;
  source: ConfigSource;
  /** Warnings only. */
  problems: Problem[];
}

/** What is known of a configuration with errors, for `check`, which reports everything. */
export interface Rejected {
  source: ConfigSource;
  /** The files and folders it names, as absolute paths. */
  paths: [SettingPath, string][];
  /** Present if each setting is right on its own. */
  config?: Config;
}

/**
 * Reads a configuration. Relative paths are resolved against the folder of `file`; only the text is read. Reports all
 * problems at once.
 *
 * @param text The YAML text.
 * @param file Its name, for messages and as the base of relative paths.
 * @returns Without `config` if one of the problems is an error.
 */
export function readConfig(
  text: string,
  file: string,
): LoadedConfig | { config?: never; problems: Problem[]; rejected?: Rejected } {
  const source = new ConfigSource(text, file);
  if (source.syntaxProblems.length > 0) return { problems: sortProblems(source.syntaxProblems) };

  const base = dirname(resolve(file));
  const paths: [SettingPath, string][] = [];
  const located = mapFormat(configSchema, source.value, 'path', (text, at) => {
    const path = resolve(base, text);
    paths.push([at, path]);
    return path;
  });
  const parsed = configSchema.safeParse(located);
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => explainIssue(issue, configSchema, source));
    return { problems: sortProblems(problems), rejected: { source, paths } };
  }
  const problems = sortProblems(checkRules(parsed.data, source));
  rememberOrigin(parsed.data, { file, text });
  if (hasErrors(problems)) return { problems, rejected: { source, paths, config: parsed.data } };
  return { config: parsed.data, source, problems };
}

/**
 * Reads the configuration file.
 *
 * @param text Its text, if it has been read already.
 * @throws {ConfigError} `config-invalid` with all problems and their places.
 * @throws {SealpostError} `file-access`
 */
export function openConfig(file: string, text = readConfigText(file)): LoadedConfig {
  const read = readConfig(text, file);
  if (read.config === undefined) throw new ConfigError(file, read.problems);
  return read;
}

/** `openConfig` for a program that needs only the values. */
export function loadConfig(file: string): Config {
  return openConfig(file).config;
}
