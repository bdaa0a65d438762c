import { type DestinationStream, type Logger, pino } from 'pino';
import { SealpostError } from './errors.ts';

export type Log = Logger;

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * What of an error may go into a log: class, code and message of our own errors; of foreign ones only
 * class and code, since libraries put arguments (payload, password) into messages and properties.
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

/** A structured logger (JSON lines). Use `{ err }` for errors: it is reduced to what is safe to keep. */
export function createLog(level: LogLevel, role: string, stream?: DestinationStream): Log {
  const options = { level, base: { role, pid: process.pid }, serializers: { err: describeError } };
  return stream ? pino(options, stream) : pino(options, pino.destination({ dest: 2, sync: true }));
}
