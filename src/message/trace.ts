import { createHmac } from 'node:crypto';
import type { HeaderBlock } from './headers.ts';

/** Field of a mail that has been with us: in which mailbox of ours, or that we have sent it to a partner. */
export const traceField = 'X-Sealpost-Trace';

/** In the place of a mailbox, for mail to partners. No mailbox can have that name. */
const partners = '(partners)';

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
  let key: Buffer | undefined;
  return (mailbox) => {
    key ??= deriveKey('mail trace');
    return createHmac('sha256', key).update(mailbox).digest('base64url').slice(0, 27);
  };
}

/** The value of the field in mail to partners. */
export const sentTrace = (trace: Tracer): string => trace(partners);

/**
 * Why a mail goes round in circles: we have sent it to a partner before, it has been in this mailbox, or at more than
 * 100 servers. Undefined if it does not. Anybody can write the field who has seen one, and then has only their own mail
 * refused.
 *
 * @param mailbox where it arrives; undefined for a mail that is to leave
 */
export function loopOf(
  { fields }: Pick<HeaderBlock, 'fields'>,
  trace: Tracer,
  mailbox?: string,
): string | undefined {
  const key = traceField.toLowerCase();
  const traces = fields.filter((field) => field.key === key).map(({ value }) => value);
  if (traces.length > 0) {
    if (traces.includes(sentTrace(trace))) return 'it was sent to a partner from here before';
    if (mailbox !== undefined && traces.includes(trace(mailbox)))
      return 'it has been handed on from this mailbox before';
  }
  const hops = fields.filter((field) => field.key === 'received').length;
  return hops > mostHops ? `it has passed through more than ${mostHops} servers` : undefined;
}
