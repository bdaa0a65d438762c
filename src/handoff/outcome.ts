import { consequenceOf, SealpostError } from '../errors.ts';
import type { JobOutcome } from '../queue/types.ts';
import type { Facts, Outcome } from './types.ts';

/** The outcome for an error of our own, as the table of codes says; undefined for any other. */
export function outcomeOf(error: unknown): Outcome | undefined {
  if (!(error instanceof SealpostError)) return undefined;
  const { code } = error;
  const message = error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
  const consequence = consequenceOf(code);
  if (consequence === 'suspend') return { refused: true, code, message };
  // A store that is away: the destination was not even asked.
  return { retry: true, code, message, ...(consequence === 'wait' ? { untried: true } : {}) };
}

/** The outcome when the daemon stops in the middle of an attempt. */
export const stopped: Outcome = {
  retry: true,
  code: 'handoff-failed',
  message: 'the hand-off was stopped',
  untried: true,
};

/** What becomes of the job of an attempt that did not succeed. */
export function jobOutcome(outcome: Exclude<Outcome, { done: true }>, facts: Facts): JobOutcome {
  if ('refused' in outcome) return { suspend: outcome.code, facts };
  const { code: retry, after, untried = false, peer } = outcome;
  return {
    ...{ retry, facts, untried },
    ...(peer === undefined ? {} : { peer }),
    ...(after === undefined ? {} : { after }),
  };
}

/** The code of a foreign error for a message to the operator: never its text, which may hold arguments. */
export function foreignCode(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code);
  return error instanceof Error ? error.name : 'unknown';
}
