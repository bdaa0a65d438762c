/** What attempts of all kinds of destinations have in common: their limits, how they end, and how they are counted. */
import { Budget } from '../budget.ts';
import type { Config, DestinationConfig } from '../config/index.ts';
import { defaultMessageLimits, type MessageLimits } from '../message/index.ts';
import { counter, histogram } from '../metrics.ts';
import type { Outcome } from '../queue/index.ts';
import { traced } from '../spans.ts';
import type { Destination } from './types.ts';

/** The configured limits, in the terms of the message room. */
export function messageLimits(
  limits: Pick<Config['limits'], 'parts' | 'depth' | 'headerSize'>,
): MessageLimits {
  return {
    ...defaultMessageLimits,
    parts: limits.parts,
    depth: limits.depth,
    headerOctets: limits.headerSize,
  };
}

/** Like `messageLimits`, with a budget for one attempt to hand off a message of this size. */
export function attemptLimits(
  limits: Pick<Config['limits'], 'parts' | 'depth' | 'headerSize' | 'work' | 'output'>,
  octets: number,
): MessageLimits {
  const { work, output } = limits;
  const budget = new Budget({ work, output });
  budget.received(octets);
  return { ...messageLimits(limits), budget };
}

/** The outcome if the daemon stops during an attempt. */
export const stopped = {
  retry: 'handoff-failed',
  facts: { message: 'the hand-off was stopped' },
  untried: true,
} as const satisfies Outcome;

/** The code of an error from outside, for a message to the operator. Never its text, which may contain arguments. */
export function foreignCode(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code);
  return error instanceof Error ? error.name : 'unknown';
}

const attempts = counter('handoff_attempts_total', 'Attempts to hand a message off, by kind and result', [
  'kind',
  'result',
]);
const seconds = histogram(
  'handoff_seconds',
  'Time of one attempt to hand a message off',
  [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  ['kind'],
);

/** Counts the attempts of a destination, and measures their time. */
export function counted(kind: DestinationConfig['type'], destination: Destination): Destination {
  return {
    name: destination.name,
    ...(destination.most === undefined ? {} : { most: destination.most }),
    ...(destination.pace && { pace: destination.pace }),
    async deliver(delivery, signal) {
      const done = seconds.startTimer({ kind });
      const facts = { destination: destination.name, kind };
      const outcome = await traced('hand off', facts, () => destination.deliver(delivery, signal));
      done();
      attempts.inc({ kind, result: resultOf(outcome) });
      return outcome;
    },
    report: (report, signal) => destination.report(report, signal),
    close: () => destination.close(),
  };
}

function resultOf(outcome: Outcome): string {
  if ('done' in outcome) return 'done';
  if ('suspend' in outcome) return 'refused';
  return outcome.untried === true ? 'untried' : 'retry';
}

/** The same for messages that are handed off while decoding. A refused hand-off does not count as an attempt. */
export async function countedTaken<T>(
  kind: DestinationConfig['type'],
  take: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const done = seconds.startTimer({ kind });
  const taken = await traced('hand off', { kind }, take);
  if (taken === undefined) return undefined;
  done();
  attempts.inc({ kind, result: 'done' });
  return taken;
}
