/** Why a message is where it is, and what to do about it. Computed once, for commands, API, console and alerts. */
import { errorRow } from '../errors.ts';
import type { Facts, LedgerEvent, MessageRecord } from './types.ts';

export interface Explanation {
  /** A code of the table of errors. */
  code: string;
  /** What happened, in words. */
  why: string;
  /** What a person should do, in one sentence. */
  next: string;
}

/** Codes for one rule of several. The record knows which one it was. */
const severalCauses: ReadonlySet<string> = new Set(['policy-refused', 'sender-invalid']);

/**
 * For a suspended message, its reason, and the one behind `attempts-exhausted`; for one whose last attempt failed, the
 * code of that. Empty if nothing is wrong. A code of a later version is left out.
 */
export function explanationsOf({ reason, events }: Pick<MessageRecord, 'reason' | 'events'>): Explanation[] {
  const last = events.at(-1);
  const suspension = events.findLast(({ type }) => type === 'suspended')?.facts;
  const behind = suspension?.last;
  const why = (code: string, cause: string) => {
    const isSaid = severalCauses.has(code) && suspension?.reason === code;
    return isSaid && typeof suspension.message === 'string' && suspension.message !== ''
      ? suspension.message
      : cause;
  };
  const codes = reason === null ? [last?.type === 'retried' ? last.facts.reason : null] : [reason, behind];
  return codes.flatMap((code) => {
    const row = typeof code === 'string' ? errorRow(code) : undefined;
    return row === undefined
      ? []
      : [{ code: String(code), why: why(String(code), row.cause), next: row.remedy }];
  });
}

export interface Attempts {
  /** Failed attempts of the current step. */
  attempts: number;
  /** What failed last, in this step or an earlier one; null if nothing did. */
  lastError: { code: string; at: number; facts: LedgerEvent['facts'] } | null;
  /** Milliseconds since the epoch; 0: it waits for its turn; null: nothing of it is queued. */
  next: number | null;
}

/** After one of these, an earlier failure no longer matters for the next attempt. */
const begins: readonly LedgerEvent['type'][] = [
  'received',
  'decoded',
  'delivered',
  'queued',
  'sent',
  'resumed',
  'decode-again',
  'terminated',
  'dropped',
];
const failures: readonly LedgerEvent['type'][] = ['retried', 'suspended', 'report-failed'];

/** @param due as `Ledger.due` says */
export function attemptsOf(
  { state, events }: Pick<MessageRecord, 'state' | 'events'>,
  due: number | null,
): Attempts {
  const begun = events.findLastIndex(({ type }) => begins.includes(type));
  const step = events.slice(begun + 1);
  // with several destinations, each has its own attempts: those that already have the message do not count
  const reached = step.filter(({ type }) => type === 'handed-off').map(({ facts }) => facts.destination);
  const failed = step.findLast(
    ({ type, facts }) => type === 'retried' && !reached.includes(facts.destination ?? ''),
  );
  const error = events.findLast(({ type }) => failures.includes(type));
  return {
    attempts: Number(failed?.facts.attempt ?? 0),
    lastError: error ? { code: codeOf(error), at: error.at, facts: error.facts } : null,
    next: state === 'suspended' ? null : due,
  };
}

function codeOf({ facts }: LedgerEvent): string {
  return typeof facts.reason === 'string' ? facts.reason : 'internal';
}

/** What the other side said, or what the failure says about itself; undefined if neither says anything. */
export function saidOf({ reply, message }: Facts): string | undefined {
  return [reply, message].find((each): each is string => typeof each === 'string' && each !== '');
}

/** The same, after the host that said it. */
export function hostSaid(facts: Facts, silent = 'it does not answer'): string {
  const said = saidOf(facts) ?? silent;
  return typeof facts.host === 'string' ? `${facts.host}: ${said}` : said;
}
