import { createRequire } from 'node:module';
import type { DestinationStream, Logger } from 'pino';
import { SealpostError } from './errors.ts';
import { printableJson } from './printable.ts';

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

type Write = (fields: object | string, message?: string) => void;

/** A structured logger: of pino's, what is used here. */
export interface Log extends Record<Exclude<LogLevel, 'silent'>, Write> {
  level: LogLevel;
  child(fields: object, options?: { level: LogLevel }): Log;
}

const severity: Record<LogLevel, number> = {
  ...{ trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 },
  silent: Number.POSITIVE_INFINITY,
};

/**
 * Loads pino with the first line that is to be written: most commands write none, and pino is a tenth of their time.
 */
class LateLog implements Log {
  level: LogLevel;
  readonly #make: () => Logger;
  #made: Logger | undefined;

  /** @param make a logger that writes lines of all levels */
  constructor(level: LogLevel, make: () => Logger) {
    this.level = level;
    this.#make = make;
  }

  child(fields: object, { level } = { level: this.level }): Log {
    return new LateLog(level, () => this.#open().child(fields));
  }

  fatal(fields: object | string, message?: string): void {
    this.#write('fatal', fields, message);
  }

  error(fields: object | string, message?: string): void {
    this.#write('error', fields, message);
  }

  warn(fields: object | string, message?: string): void {
    this.#write('warn', fields, message);
  }

  info(fields: object | string, message?: string): void {
    this.#write('info', fields, message);
  }

  debug(fields: object | string, message?: string): void {
    this.#write('debug', fields, message);
  }

  trace(fields: object | string, message?: string): void {
    this.#write('trace', fields, message);
  }

  #write(level: Exclude<LogLevel, 'silent'>, fields: object | string, message?: string): void {
    if (severity[level] < severity[this.level]) return;
    if (typeof fields === 'string') this.#open()[level](fields);
    else this.#open()[level](fields, message);
  }

  #open(): Logger {
    this.#made ??= this.#make();
    return this.#made;
  }
}

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

const base64Word = /[A-Za-z0-9+/]{12,}={0,2}/g;

/** Text of a server that may repeat what it was told: secrets, and base64 of them or a part of it, are masked. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  const known = secrets.filter((secret) => secret !== '');
  const encoded = known.map((secret) => Buffer.from(secret).toString('base64'));
  let masked = text;
  for (const form of [...encoded, ...known].sort((a, b) => b.length - a.length))
    masked = masked.replaceAll(form, '***');
  return masked.replace(base64Word, (word) => (encoded.some((form) => form.includes(word)) ? '***' : word));
}

/** How times are written: milliseconds since the epoch, or ISO 8601 in UTC. */
export const logTimes = ['epoch', 'iso'] as const;
export type LogTimes = (typeof logTimes)[number];

/** A structured logger (JSON lines). Use `{ err }` for errors: it is reduced to what is safe to keep. */
export function createLog(
  level: LogLevel,
  role: string,
  stream?: DestinationStream,
  times: LogTimes = 'epoch',
): Log {
  const log = new LateLog(level, () => {
    const { pino }: typeof import('pino') = createRequire(import.meta.url)('pino');
    const options = {
      level: 'trace',
      base: { role, pid: process.pid },
      serializers: { err: describeError },
      ...(times === 'iso' && { timestamp: pino.stdTimeFunctions.isoTime }),
    };
    const target = stream ?? pino.destination({ dest: 2, sync: true });
    // the log may be read on a terminal, and contains text from partners and their servers
    return pino(options, { write: (line) => target.write(printableJson(line)) });
  });
  trees.set(log, { root: log, level, changed: {}, rooms: new Map() });
  return log;
}

/** Parts of the program whose level can be changed by itself while it runs. */
export const logRooms = [
  ...['alert', 'api', 'certstore', 'console', 'consumer', 'daemon', 'drop', 'handoff', 'imap', 'lookup'],
  ...['queue', 'redis', 'replay', 'smtp', 'spool'],
] as const;
export type LogRoom = (typeof logRooms)[number];

export function isLogRoom(name: string): name is LogRoom {
  return logRooms.some((room) => room === name);
}

export function isLogLevel(text: string): text is LogLevel {
  return logLevels.some((level) => level === text);
}

/** Levels that differ from the configured one, by room; `all` for what has no level of its own. */
export type LevelChanges = Readonly<Partial<Record<LogRoom | 'all', LogLevel>>>;

/** The loggers of a process. */
interface LogTree {
  root: Log;
  /** As configured. */
  level: LogLevel;
  changed: LevelChanges;
  rooms: Map<LogRoom, Log>;
}

const trees = new WeakMap<Log, LogTree>();

/** The logger of a room: its lines have the field `room`, and its level can be changed by itself. */
export function roomLog(log: Log, room: LogRoom): Log {
  const tree = trees.get(log);
  if (tree === undefined) return log;
  const known = tree.rooms.get(room);
  if (known !== undefined) return known;
  const made = tree.root.child({ room }, { level: levelOf(tree, room) });
  tree.rooms.set(room, made);
  trees.set(made, tree);
  return made;
}

/** Changes levels of a process, in place of all earlier changes. */
export function changeLevels(log: Log, changed: LevelChanges): void {
  const tree = trees.get(log);
  if (tree === undefined) return;
  tree.changed = changed;
  tree.root.level = levelOf(tree, 'all');
  for (const [room, each] of tree.rooms) each.level = levelOf(tree, room);
}

function levelOf({ level, changed }: LogTree, room: LogRoom | 'all'): LogLevel {
  return changed[room] ?? changed.all ?? level;
}

interface Repeated {
  /** Lines that may still be written at once, until the next round. */
  left: number;
  /** How often since the last line. */
  more: number;
  write(more: number): void;
}

const repeatedEvery = 30_000;
/** By log, and there by key. */
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
  logSome(log, level, { key, most: 1 }, fields, message);
}

/**
 * For events of messages. The first `most` with the same `key` in 30 seconds have a line each; the others are counted,
 * and one line says how many there were (`more`), with the fields of the last one. The key names the kind and whose
 * message it is, so that many lines of one partner hide none of another.
 */
export function logSome(
  log: Log,
  level: 'info' | 'warn' | 'error',
  { key, most }: { key: string; most: number },
  fields: Record<string, unknown>,
  message: string,
): void {
  const keys = repeated.get(log) ?? startRounds(log);
  const entry = keys.get(key) ?? { left: most, more: 0, write: () => undefined };
  keys.set(key, entry);
  if (entry.left > 0) {
    entry.left -= 1;
    log[level](fields, message);
    return;
  }
  entry.more += 1;
  entry.write = (more) => {
    log[level]({ ...fields, more }, message);
    entry.left = most - 1;
  };
}

/** Counts what came since the last round, until nothing comes any more. */
function startRounds(log: Log): Map<string, Repeated> {
  const keys = new Map<string, Repeated>();
  repeated.set(log, keys);
  const timer = setInterval(() => {
    for (const [key, entry] of keys) {
      if (entry.more === 0) keys.delete(key);
      else entry.write(entry.more);
      entry.more = 0;
    }
    if (keys.size > 0) return;
    clearInterval(timer);
    repeated.delete(log);
  }, repeatedEvery).unref();
  return keys;
}
