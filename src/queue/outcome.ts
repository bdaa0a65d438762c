/** Outcomes of steps, from errors. */
import { consequenceOf, SealpostError } from '../errors.ts';
import type { Facts, Outcome } from './types.ts';

/** The outcome of a failure, with facts to record. */
export type Failed = Exclude<Outcome, { done: true }> & { facts: Facts };

/**
 * The outcome for an error of our own, by the table of codes; undefined for any other. An unavailable store says
 * nothing about the message, so the attempt does not count.
 */
export function outcomeOf(error: unknown): Failed | undefined {
  if (!(error instanceof SealpostError)) return undefined;
  const { code } = error;
  const facts = { message: error.hint === undefined ? error.message : `${error.message}; ${error.hint}` };
  const consequence = consequenceOf(code);
  if (consequence === 'suspend') return { suspend: code, facts };
  return { retry: code, facts, ...(consequence === 'wait' ? { untried: true } : {}) };
}
