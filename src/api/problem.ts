/** Errors as answers: problem documents (RFC 9457) with the stable codes of the one table. */
import { z } from 'zod';
import { type ErrorCode, errorTable, httpStatusOf, SealpostError, toErrorInfo } from '../errors.ts';

export const problemSchema = z
  .object({
    type: z.string().describe('`urn:sealpost:` and the code.'),
    title: z.string().describe('What the code means; the same for all errors with it.'),
    status: z.number().int().describe('The HTTP status.'),
    code: z.string().describe('Stable code; docs/reason-codes.md has all of them.'),
    detail: z.string().optional().describe('What is wrong in this case.'),
    hint: z.string().optional().describe('What to do about it in this case.'),
  })
  .describe('An error (RFC 9457).');
export type Problem = z.output<typeof problemSchema>;

export const problemType = 'application/problem+json';

/**
 * The answer for an error. Errors of the daemon itself are described in the log alone: from status 500 on, a client
 * gets the code and nothing else.
 */
export function problemOf(error: unknown): Problem {
  const { code, message } = toErrorInfo(error);
  const status = httpStatusOf(error);
  const { cause: title } = errorTable[code];
  const about = { type: `urn:sealpost:${code}`, title, status, code };
  if (status >= 500) return about;
  const hint = error instanceof SealpostError ? error.hint : undefined;
  return { ...about, detail: message, ...(hint === undefined ? {} : { hint }) };
}

/** The same, from a code alone. */
export function refusal(code: ErrorCode, message: string, hint?: string): SealpostError {
  return new SealpostError(code, message, hint === undefined ? {} : { hint });
}

/** A problem of the call is a problem of the request. */
export async function asRequest<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'usage')
      throw refusal('request-invalid', error.message, error.hint);
    throw error;
  }
}
