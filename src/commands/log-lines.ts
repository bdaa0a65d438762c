/** Lines of the daemon's log about a message: from files, standard input, or the journal of systemd. */
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { SealpostError } from '../errors.ts';
import { standardInput } from './output.ts';

export interface LogLine {
  /** Milliseconds since the epoch. */
  at: number;
  /** For people: role, level and message, then the other fields. */
  text: string;
  /** As the daemon wrote it. */
  fields: Record<string, unknown>;
}

export interface LogSources {
  /** Files; `-` is standard input. */
  log?: string[];
  /** A unit of systemd, or true for all of ours. */
  journal?: string | boolean;
  /** Milliseconds since the epoch: where to begin in the journal. */
  since: number;
}

/** The lines that name the id. `file-access` if a source cannot be read. */
export function logLines(id: string, sources: LogSources): AsyncGenerator<LogLine> {
  return readLog(sources, id);
}

/** All lines, or those that name the id. `file-access` if a source cannot be read. */
export async function* readLog({ log = [], journal, since }: LogSources, id = ''): AsyncGenerator<LogLine> {
  for (const file of log) {
    const stream = file === '-' ? Readable.from(standardInput()) : createReadStream(file);
    yield* linesOf(stream, id, file);
  }
  if (journal === undefined || journal === false) return;
  const unit = typeof journal === 'string' ? journal : 'sealpost*';
  const from = `--since=@${Math.floor(since / 1000)}`;
  const child = spawn('journalctl', ['--no-pager', '--quiet', '--output=cat', from, `--unit=${unit}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said = `${said}${chunk}`.slice(0, 500);
  });
  const over = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(reasonOf(error)));
    child.once('close', (code) => resolve(code === 0 ? undefined : said.trim() || `exit code ${code}`));
  });
  yield* linesOf(child.stdout, id, 'journalctl');
  const wrong = await over;
  if (wrong !== undefined)
    throw new SealpostError('file-access', `journalctl: ${wrong}`, {
      hint: 'give the log as a file with --log, or call as a user who may read the journal',
    });
}

/** Such as ENOENT: what the system says has the name of the file a second time. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error ? String(error.code) : error.message;
}

/** Longest line that is looked at, in characters; ours are shorter. */
const longest = 1_000_000;

async function* linesOf(stream: Readable, id: string, source: string): AsyncGenerator<LogLine> {
  const find = (line: string) => (line.includes(id) ? lineOf(line) : undefined);
  let rest = '';
  try {
    for await (const chunk of stream.setEncoding('utf8')) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > longest) rest = '';
      for (const line of lines) {
        const found = find(line);
        if (found) yield found;
      }
    }
  } catch (error) {
    throw new SealpostError('file-access', `${source} cannot be read: ${reasonOf(error)}`);
  }
  const found = find(rest);
  if (found) yield found;
}

const levels: Record<number, string> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** Undefined for what is not a line of our log. */
function lineOf(line: string): LogLine | undefined {
  const parsed = parse(line);
  if (parsed === undefined) return undefined;
  const { time, level, role, msg, pid: _, ...rest } = parsed;
  const at = typeof time === 'number' ? time : Date.parse(String(time));
  if (Number.isNaN(at)) return undefined;
  const shown = Object.entries(rest).map(([name, value]) => `${name}=${asText(value)}`);
  const name = levels[Number(level)] ?? String(level);
  return { at, text: [role, name, msg, ...shown].filter(Boolean).join(' '), fields: parsed };
}

const asText = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
