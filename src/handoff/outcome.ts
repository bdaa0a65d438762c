import type { Outcome } from '../queue/index.ts';

/** The outcome if the daemon stops during an attempt. */
export const stopped = {
  retry: 'handoff-failed',
  facts: { message: 'the hand-off was stopped' },
  untried: true,
} as const satisfies Outcome;

/** The code of a foreign error, for a message to the operator. Never its text, which may contain arguments. */
export function foreignCode(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code);
  return error instanceof Error ? error.name : 'unknown';
}
