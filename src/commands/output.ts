/**
 * Everything that a command prints goes through here: line by line with foreign characters escaped, and with one
 * answer to an output that cannot be written.
 */
import { hasCode } from '../errors.ts';
import { printable, printableJson } from '../printable.ts';

/** One line on standard output. */
export function printLine(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** One line on standard error. */
export function printError(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

/** @param indent spaces; on one line unless given */
export function printJson(value: unknown, indent?: number): void {
  process.stdout.write(`${printableJson(JSON.stringify(value, null, indent))}\n`);
}

/** Decoded or encoded octets as they are: whoever says `--out -` wants them so. */
export function printOctets(octets: Buffer): void {
  process.stdout.write(octets);
}

/**
 * Standard output may be a pipe whose reader has gone (`| head`): the command ends its work without a word. One that
 * is full or broken is an error, told once. What cannot be written to standard error can be told nobody.
 */
export function guardOutput(): void {
  let told = false;
  process.stdout.on('error', (error: Error) => {
    if (hasCode(error, 'EPIPE') || told) return;
    told = true;
    process.exitCode = 1;
    const why = hasCode(error, 'ENOSPC')
      ? 'no space left'
      : 'code' in error
        ? String(error.code)
        : error.message;
    printError(`sealpost: cannot write to standard output: ${why} [file-access]`);
  });
  process.stderr.on('error', () => undefined);
}
