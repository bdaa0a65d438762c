import { Budget } from '../budget.ts';
import type { Config } from '../config/index.ts';
import { defaultMessageLimits, type MessageLimits } from '../message/index.ts';

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

/** As `messageLimits`, with a budget for one attempt to hand off a message of this size. */
export function attemptLimits(
  limits: Pick<Config['limits'], 'parts' | 'depth' | 'headerSize' | 'work' | 'output'>,
  octets: number,
): MessageLimits {
  const { work, output } = limits;
  const budget = new Budget({ work, output });
  budget.received(octets);
  return { ...messageLimits(limits), budget };
}
