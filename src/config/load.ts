import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { SealpostError } from '../errors.ts';
import { explainIssue } from './explain.ts';
import { ConfigError, hasErrors, type Problem, sortProblems } from './problem.ts';
import { checkRules } from './rules.ts';
import { type Config, configSchema } from './schema.ts';
import { mapFormat } from './shape.ts';
import { ConfigSource, isMissing, rememberSource } from './source.ts';

/** A configuration that can be used, with the place of each setting for later messages. */
export interface LoadedConfig {
  config: Config;
  source: ConfigSource;
  /** Warnings only. */
  problems: Problem[];
}

/**
 * Reads a configuration. Relative paths in it are resolved against the folder of `file`; nothing but the text is
 * looked at. Finds everything that is wrong at once.
 *
 * @param text The YAML text.
 * @param file Its name, for messages and as the base of relative paths.
 * @returns Without `config` when there is an error among the problems.
 */
export function readConfig(
  text: string,
  file: string,
): LoadedConfig | { config?: never; problems: Problem[] } {
  const source = new ConfigSource(text, file);
  if (source.syntaxProblems.length > 0) return { problems: sortProblems(source.syntaxProblems) };

  const base = dirname(resolve(file));
  const located = mapFormat(configSchema, source.value, 'path', (path) => resolve(base, path));
  const parsed = configSchema.safeParse(located);
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => explainIssue(issue, configSchema, source));
    return { problems: sortProblems(problems) };
  }
  const problems = sortProblems(checkRules(parsed.data, source));
  rememberSource(parsed.data, source);
  return hasErrors(problems) ? { problems } : { config: parsed.data, source, problems };
}

/**
 * Reads the configuration file.
 *
 * @throws {ConfigError} `config-invalid` with all problems and their places.
 * @throws {SealpostError} `file-access`
 */
export function openConfig(file: string): LoadedConfig {
  const read = readConfig(readText(file), file);
  if (read.config === undefined) throw new ConfigError(file, read.problems);
  return read;
}

/** `openConfig` for a program that needs only the values. */
export function loadConfig(file: string): Config {
  return openConfig(file).config;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const what = isMissing(error) ? 'there is no such file' : 'can not be read';
    throw new SealpostError('file-access', `configuration ${file}: ${what}`, {
      hint: 'name it with --config FILE; config/sealpost.example.yaml shows every setting',
      cause: error,
    });
  }
}
