import type { Config } from '../config/schema.ts';
import { defaultMessageLimits, type MessageLimits } from '../message/limits.ts';

/** The limits of the configuration in the terms of the message room. */
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
