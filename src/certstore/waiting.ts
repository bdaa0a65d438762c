/** What a message waits for, and how that stands, without the keys and certificates themselves. */
import { waitsFor } from '../errors.ts';

/** What decides which keys and certificates a message waits for. */
export interface Waiting {
  direction: 'inbound' | 'outbound';
  reason: string;
  mailbox: string | null;
  /** Key of the partner (`partnerKey`); null if unknown. */
  partner: string | null;
}

export interface Standing {
  /** Digest of those that count now. */
  now: string;
  /** The same without those that a rule approved a short while ago (`retry.onKeys.delay`). */
  settled: string;
  /** Outbound: why mail cannot be protected with the settled ones; null if it can. */
  lack: string | null;
  /** Outbound: the same with those that count now. */
  lackNow: string | null;
}

/** A name for all messages that wait for the same. */
export function standingName({ direction, reason, mailbox, partner }: Waiting): string {
  const waits = waitsFor(reason) ?? 'nothing';
  const of = direction === 'inbound' && waits === 'key' ? [mailbox] : [mailbox, partner];
  return JSON.stringify([direction, waits, ...of]);
}
