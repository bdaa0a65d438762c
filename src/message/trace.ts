import { createHmac } from 'node:crypto';
import type { HeaderBlock } from './headers.ts';

/** Field of a mail that was handed on: which mailbox of ours it has been in. */
export const traceField = 'X-Sealpost-Trace';

/** RFC 5321, section 6.3: a server that counts hops must allow at least 100. */
const mostHops = 100;

/** The value of the field for a mailbox. */
export type Tracer = (mailbox: string) => string;

/**
 * The values say nothing to others, and two installations do not take each other's for their own.
 *
 * @param deriveKey gives the same key in all processes of the installation
 */
export function tracerOf(deriveKey: (purpose: string) => Buffer): Tracer {
  const key = deriveKey('mail trace');
  return (mailbox) => createHmac('sha256', key).update(mailbox).digest('base64url').slice(0, 27);
}

/**
 * Why a mail goes round in circles: it has been in this mailbox, or at more than 100 servers. Undefined if it does not.
 * Anybody can write the field who has seen one, and then has only their own mail refused.
 */
export function loopOf({ fields }: Pick<HeaderBlock, 'fields'>, token: string): string | undefined {
  const key = traceField.toLowerCase();
  let hops = 0;
  for (const field of fields) {
    if (field.key === key && field.value === token) return 'it has been handed on from this mailbox before';
    if (field.key === 'received') hops++;
  }
  return hops > mostHops ? `it has passed through more than ${mostHops} servers` : undefined;
}
