/**
 * All output of commands goes through here: line by line, with foreign characters escaped, and with one way to handle
 * an output that cannot be written.
 */
import { hasCode } from '../errors.ts';
import { printable, printableJson } from '../printable.ts';

/** Where a command reads and writes. */
export interface Streams {
  /** Standard input, opened on first use. */
  input(): AsyncIterable<Buffer>;
  output(octets: Buffer | string): void;
  error(text: string): void;
  /** One line that replaces the one before; absent unless a person is watching. */
  progress?(text: string): void;
}

export const ownStreams: Streams = {
  input: () => process.stdin,
  output: (octets) => void process.stdout.write(octets),
  error: (text) => void process.stderr.write(text),
  ...(process.stderr.isTTY && {
    progress: (text: string) => void process.stderr.write(`\r\u001b[K${text}`),
  }),
};

let streams = ownStreams;

/** Sets where the commands of this process read and write from now on. */
export function useStreams(wanted: Streams): void {
  streams = wanted;
}

/** The octets of standard input. */
export function standardInput(): AsyncIterable<Buffer> {
  return streams.input();
}

/** One line on standard output. */
export function printLine(text: string): void {
  streams.output(`${printable(text)}\n`);
}

/** One line on standard error. */
export function printError(text: string): void {
  streams.error(`${printable(text)}\n`);
}

/** Shows on a terminal how far it is; '' removes it. Elsewhere it does nothing. */
export function showProgress(text: string): void {
  streams.progress?.(printable(text));
}

/** @param indent spaces; on one line unless given */
export function printJson(value: unknown, indent?: number): void {
  streams.output(`${printableJson(JSON.stringify(value, null, indent))}\n`);
}

/** Decoded or encoded octets unchanged, as `--out -` asks. */
export function printOctets(octets: Buffer): void {
  streams.output(octets);
}

/** Help, which is our own text in several lines. */
export function writeText(text: string): void {
  streams.output(text);
}

/** A usage error whose foreign text is already escaped. */
export function writeError(text: string): void {
  streams.error(text);
}

/**
 * Standard output may be a pipe whose reader has gone (`| head`): the command ends silently. A full or broken output is
 * an error, reported once. Errors of standard error are ignored, because there is nowhere to report them.
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
