import { ConfigError, formatProblem } from '../config/problem.ts';
import { errorTable, SealpostError } from '../errors.ts';
import { printError } from './output.ts';

/** Prints an error as `sealpost: message` with its code, and what to do about it; returns the exit code. */
export function reportError(error: unknown): 1 | 2 {
  if (error instanceof ConfigError) {
    const errors = error.problems.filter(({ severity }) => severity === 'error');
    const [first = ''] = error.message.split('\n');
    printError(`sealpost: ${first} [${error.code}]`);
    for (const problem of errors) printError(formatProblem(problem));
    return 1;
  }
  if (error instanceof SealpostError) {
    printError(`sealpost: ${error.message} [${error.code}]`);
    printError(`hint: ${error.hint ?? errorTable[error.code].remedy}`);
    return error.code === 'usage' ? 2 : 1;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  for (const line of `sealpost: defect: ${text}`.split('\n')) printError(line);
  return 1;
}
