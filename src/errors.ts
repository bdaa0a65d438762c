/**
 * Errors with stable codes. Every failure that a person or another program may see has a code from the one table.
 * A code never changes its meaning once released. The message is for the operator. The cause stays private: logs name
 * only its code. The partner sees neither.
 */

import { type Consequence, type ErrorClass, type ErrorRow, errorRows, type Place } from './error-table.ts';

export type { Consequence, ErrorClass, ErrorRow, Place, Reply } from './error-table.ts';

export type ErrorCode = keyof typeof errorRows;

/** The one table of codes. `docs/reason-codes.md` and the verdict schema are made from it. */
export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = errorRows;

/** What follows from the class, where the row does not say otherwise. */
const classes: Readonly<Record<ErrorClass, Required<Pick<ErrorRow, 'seen' | 'effect' | 'http'>>>> = {
  message: { seen: ['message', 'command'], effect: 'suspend', http: 422 },
  peer: { seen: ['message'], effect: 'retry', http: 502 },
  store: { seen: ['message', 'start', 'command', 'log'], effect: 'wait', http: 503 },
  operator: { seen: ['start', 'command'], effect: 'suspend', http: 500 },
  bug: { seen: ['message', 'log'], effect: 'retry', http: 500 },
};

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorRows, code);
}

/** All codes, in the order of the table. */
export const errorCodes: readonly ErrorCode[] = Object.keys(errorRows).filter(isErrorCode);

/** The row of a code as it is stored or sent; undefined for one that this version does not know. */
export function errorRow(code: string): ErrorRow | undefined {
  return isErrorCode(code) ? errorTable[code] : undefined;
}

/** What a failure with this code means for the message that was being worked on. */
export function consequenceOf(code: ErrorCode): Consequence {
  const row = errorTable[code];
  return row.effect ?? classes[row.class].effect;
}

/** What a message waits for that is suspended with this code; undefined if keys and certificates do not help it. */
export function waitsFor(code: string): ErrorRow['waits'] {
  return errorRow(code)?.waits;
}

/** The codes of all that waits for certificates or keys. */
export const waitingCodes: readonly ErrorCode[] = errorCodes.filter((code) => waitsFor(code) !== undefined);

/** The HTTP status for an error, whatever was thrown. */
export function httpStatusOf(error: unknown): number {
  const row = errorTable[toErrorInfo(error).code];
  return row.http ?? classes[row.class].http;
}

/** Where a code appears, apart from SMTP replies. */
export function placesOf(code: ErrorCode): readonly Place[] {
  const row = errorTable[code];
  return row.seen ?? classes[row.class].seen;
}

export interface ErrorOptionsExtra {
  /** What to do about it in this case, where the table's sentence is too general: one line for the operator. */
  hint?: string;
  cause?: unknown;
}

/** The one error class: a stable code, a message for the operator, a private cause. */
export class SealpostError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptionsExtra = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SealpostError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** The error as a code and message, whatever was thrown. An unknown error becomes `internal`. */
export function toErrorInfo(error: unknown): { code: ErrorCode; message: string } {
  if (error instanceof SealpostError) return { code: error.code, message: error.message };
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}

/** True for an error of ours that is of one of these classes. */
export function isOfClass(error: unknown, ...classes: ErrorClass[]): error is SealpostError {
  return error instanceof SealpostError && classes.includes(errorTable[error.code].class);
}

/** True for an error of Node or a library whose `code` is the given one (ENOENT, ECONNREFUSED ...). */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
