/**
 * All output of commands goes through here: line by line, with foreign characters escaped, and with one way to handle
 * an output that cannot be written.
 */
import { styleText } from 'node:util';
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
  /** Of standard output; absent if it is not a terminal. */
  terminal?: Terminal;
}

export interface Terminal {
  /** Places in a line. */
  readonly columns: number;
  readonly rows: number;
  readonly colours: boolean;
}

/** What text means; colours are for terminals only, and nothing is said by colour alone. */
export type Style = 'heading' | 'good' | 'bad' | 'waiting' | 'quiet';

/** Text with a style, or without one. */
export interface Piece {
  text: string;
  style?: Style | undefined;
}

const styles: Record<Style, Parameters<typeof styleText>[0]> = {
  heading: 'bold',
  good: 'green',
  bad: 'red',
  waiting: 'yellow',
  quiet: 'dim',
};

/** `hasColors` knows NO_COLOR, and terminals that have none. */
const ownTerminal: Terminal = {
  get columns() {
    return process.stdout.columns || 80;
  },
  get rows() {
    return process.stdout.rows || 24;
  },
  get colours() {
    return process.stdout.hasColors();
  },
};

export const ownStreams: Streams = {
  input: () => process.stdin,
  output: (octets) => void process.stdout.write(octets),
  error: (text) => void process.stderr.write(text),
  ...(process.stderr.isTTY && {
    progress: (text: string) => void process.stderr.write(`\r\u001b[K${text}`),
  }),
  ...(process.stdout.isTTY && { terminal: ownTerminal }),
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

/** The terminal that standard output is; undefined for a pipe or a file. */
export function terminal(): Terminal | undefined {
  return streams.terminal;
}

/** One line with styled text, as a terminal shows it. */
export function styled(pieces: readonly Piece[]): string {
  const colours = streams.terminal?.colours === true;
  return pieces
    .map(({ text, style }) => {
      const shown = printable(text);
      return colours && style !== undefined
        ? styleText(styles[style], shown, { validateStream: false })
        : shown;
    })
    .join('');
}

/** One line on standard output, in colours on a terminal that has them. */
export function printPieces(pieces: readonly Piece[]): void {
  streams.output(`${styled(pieces)}\n`);
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

/** What an act did: as JSON if that is asked for, else as a sentence. */
export function printDone(options: { json?: boolean }, done: object, sentence: string): void {
  if (options.json) printJson(done);
  else printLine(sentence);
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

const gone = Promise.withResolvers<void>();

/** Resolves when nobody reads standard output any more: what prints for ever ends then. */
export const outputGone: Promise<void> = gone.promise;

/**
 * Standard output may be a pipe whose reader has gone (`| head`): the command ends silently. A full or broken output is
 * an error, reported once. Errors of standard error are ignored, because there is nowhere to report them.
 */
export function guardOutput(): void {
  let told = false;
  process.stdout.on('error', (error: Error) => {
    gone.resolve();
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
