import { SealpostError } from '../errors.ts';

/** The path to a setting from the top: `['mailboxes', 0, 'imap', 'host']`. */
export type SettingPath = readonly (string | number)[];

/** A place in the configuration file. Line and column start at 1. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

/** One problem with the configuration, or with something that it names. */
export interface Problem extends Position {
  severity: 'error' | 'warning';
  /** The setting as you would write it, `mailboxes[0].imap.host`; empty for the file as a whole. */
  setting: string;
  /** What is wrong. Never contains a secret, or the value of a setting that may be one. */
  message: string;
  /** What to do about it. */
  hint?: string;
  /**
   * Everything that the error affects, such as `mail to partner acme`. All else works, so the configuration can be used
   * and a reload proceeds. Absent for an error of the configuration itself.
   */
  only?: string;
}

/** The parts of a problem besides its place and message. */
export interface ProblemExtra {
  /** Default: an error. */
  severity?: Problem['severity'];
  hint?: string;
  only?: string;
  at?: 'key' | 'value';
}

/** Finds the place of a setting, for messages. */
export interface Places {
  /** The configuration file. */
  readonly file: string;
  problem(path: SettingPath, message: string, extra?: ProblemExtra): Problem;
}

/** Reports an error or warning at a setting. */
export type Report = (path: SettingPath, message: string, extra?: ProblemExtra) => void;

/** Names are case-insensitive, because they become file names, metrics labels and command-line arguments. */
export function checkNames(
  entries: readonly { name: string }[],
  where: SettingPath,
  what: string,
  report: Report,
): void {
  const seen = new Set<string>();
  entries.forEach(({ name }, index) => {
    if (seen.has(name.toLowerCase()))
      report([...where, index, 'name'], `${what} ${name} is a duplicate`, { hint: 'give it another name' });
    seen.add(name.toLowerCase());
  });
}

/** `mailboxes[0].imap.host` */
export function formatSetting(path: SettingPath): string {
  let text = '';
  for (const step of path) text += typeof step === 'number' ? `[${step}]` : text === '' ? step : `.${step}`;
  return text;
}

/** One line: `sealpost.yaml:3:5: error: mailboxes[0].name: is missing (hint)`. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, severity, setting, message, hint } = problem;
  const what = setting === '' ? message : `${setting}: ${message}`;
  return `${file}:${line}:${column}: ${severity}: ${what}${hint === undefined ? '' : ` (${hint})`}`;
}

/** In the order of the files and their lines, errors and warnings together. Files are in the order given. */
export function sortProblems(problems: readonly Problem[], files: readonly string[] = []): Problem[] {
  const place = new Map(files.map((file, index) => [file, index]));
  const of = ({ file }: Problem) => place.get(file) ?? -1;
  return [...problems].sort((a, b) => of(a) - of(b) || a.line - b.line || a.column - b.column);
}

/** Whether nothing can be used until this is mended. */
export const refuses = ({ severity, only }: Problem) => severity === 'error' && only === undefined;

export const hasErrors = (problems: readonly Problem[]) =>
  problems.some((problem) => problem.severity === 'error');

/** Errors shown in one message. `sealpost check` shows all. */
const mostErrors = 100;

/** `config-invalid` with all problems. The message has one line for each, so printing the message alone is enough. */
export class ConfigError extends SealpostError {
  readonly problems: readonly Problem[];

  /**
   * @param what says what was not done because of these problems, such as "acme is not added"; default: the file has
   *    errors
   */
  constructor(file: string, problems: readonly Problem[], what?: string) {
    const errors = problems.filter((problem) => problem.severity === 'error');
    const count = errors.length === 1 ? 'an error' : `${errors.length} errors`;
    const shown = errors.slice(0, mostErrors).map(formatProblem);
    if (errors.length > mostErrors) shown.push(`and ${errors.length - mostErrors} more`);
    super('config-invalid', [what ?? `${file} has ${count}`, ...shown].join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
