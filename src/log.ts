import { type DestinationStream, type Logger, pino } from 'pino';
import { SealpostError } from './errors.ts';
import { printableJson } from './printable.ts';

export type Log = Logger;

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * The parts of an error that may be logged: class, code and message of our own errors. Of foreign errors only class and
 * code, because libraries put arguments (payload, password) into messages and properties.
 */
function describeError(error: unknown): Record<string, unknown> {
  if (error instanceof SealpostError) {
    const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
    return { code: error.code, message: error.message, ...cause };
  }
  if (error instanceof Error) {
    const code = 'code' in error ? { code: String(error.code) } : {};
    return {
      type: error.name,
      ...code,
      at: error.stack
        ?.split('\n')
        .find((line) => line.includes(' at '))
        ?.trim(),
    };
  }
  return { type: typeof error };
}

/** Text from somebody else, for log and ledger: one line without control and invisible characters, cut to `max`. */
export function cleanText(text: string, max: number): string {
  return text
    .slice(0, max * 4)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .slice(0, max);
}

/** A structured logger (JSON lines). Use `{ err }` for errors: it is reduced to what is safe to keep. */
export function createLog(level: LogLevel, role: string, stream?: DestinationStream): Log {
  const options = { level, base: { role, pid: process.pid }, serializers: { err: describeError } };
  const target = stream ?? pino.destination({ dest: 2, sync: true });
  // the log may be read on a terminal, and contains text from partners and their servers
  return pino(options, { write: (line) => target.write(printableJson(line)) });
}

interface Repeated {
  /** How often since the last line. */
  more: number;
  fields: Record<string, unknown>;
}

const repeatedEvery = 30_000;
const repeated = new WeakMap<Log, Map<string, Repeated>>();

/**
 * For events that occur with every message while something is away or full. Logs one line at once, then one every 30
 * seconds with the number of further events (`more`) and the fields of the last one. Events with the same `key` are
 * counted together.
 */
export function logRarely(
  log: Log,
  level: 'warn' | 'error',
  key: string,
  fields: Record<string, unknown>,
  message: string,
): void {
  const keys = repeated.get(log) ?? new Map<string, Repeated>();
  repeated.set(log, keys);
  const known = keys.get(key);
  if (known !== undefined) {
    known.more += 1;
    known.fields = fields;
    return;
  }
  const entry: Repeated = { more: 0, fields };
  keys.set(key, entry);
  log[level](fields, message);
  const timer = setInterval(() => {
    if (entry.more === 0) {
      clearInterval(timer);
      keys.delete(key);
      return;
    }
    log[level]({ ...entry.fields, more: entry.more }, message);
    entry.more = 0;
  }, repeatedEvery).unref();
}
