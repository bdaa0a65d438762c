/** Why a message stands where it stands, and what to do about it: one table, for commands, console and alerts. */
import { errorRow } from '../errors.ts';
import type { MessageRecord } from './types.ts';

export interface Explanation {
  /** A code of the table of errors. */
  code: string;
  /** What happened, in words. */
  why: string;
  /** What a person should do: one sentence. */
  next: string;
}

/**
 * Of a suspended message its reason, and the one behind `attempts-exhausted`; of one whose last attempt failed the code
 * of that. Empty if nothing is wrong. A code of a later version is left out.
 */
export function explanationsOf({ reason, events }: Pick<MessageRecord, 'reason' | 'events'>): Explanation[] {
  const last = events.at(-1);
  const behind = events.findLast(({ type }) => type === 'suspended')?.facts.last;
  const codes = reason === null ? [last?.type === 'retried' ? last.facts.reason : null] : [reason, behind];
  return codes.flatMap((code) => {
    const row = typeof code === 'string' ? errorRow(code) : undefined;
    return row === undefined ? [] : [{ code: String(code), why: row.cause, next: row.remedy }];
  });
}
