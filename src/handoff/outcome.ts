import { consequenceOf, SealpostError } from '../errors.ts';
import type { JobOutcome } from '../queue/types.ts';
import type { Facts, Outcome } from './types.ts';

/** The outcome for one of our own errors, by the table of codes; undefined for any other error. */
export function outcomeOf(error: unknown): Outcome | undefined {
  if (!(error instanceof SealpostError)) return undefined;
  const { code } = error;
  const message = error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
  const consequence = consequenceOf(code);
  if (consequence === 'suspend') return { refused: true, code, message };
  // If a store is away, the destination was not even asked.
  return { retry: true, code, message, ...(consequence === 'wait' ? { untried: true } : {}) };
}

/** The outcome if the daemon stops during an attempt. */
export const stopped: Outcome = {
  retry: true,
  code: 'handoff-failed',
  message: 'the hand-off was stopped',
  untried: true,
};

/** What happens to the job after a failed attempt. */
export function jobOutcome(outcome: Exclude<Outcome, { done: true }>, facts: Facts): JobOutcome {
  if ('refused' in outcome) return { suspend: outcome.code, facts };
  const { code: retry, after, untried = false, peer } = outcome;
  return {
    ...{ retry, facts, untried },
    ...(peer === undefined ? {} : { peer }),
    ...(after === undefined ? {} : { after }),
  };
}

/** The code of a foreign error, for a message to the operator. Never its text, which may contain arguments. */
export function foreignCode(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code);
  return error instanceof Error ? error.name : 'unknown';
}
