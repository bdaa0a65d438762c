import { SealpostError } from '../errors.ts';

/** Prints an error as `sealpost: message` with its code and a hint line; returns the exit code. */
export function reportError(error: unknown): 1 | 2 {
  if (error instanceof SealpostError) {
    process.stderr.write(`sealpost: ${error.message} [${error.code}]\n`);
    if (error.hint) process.stderr.write(`hint: ${error.hint}\n`);
    return error.code === 'usage' ? 2 : 1;
  }
  process.stderr.write(
    `sealpost: defect: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return 1;
}
