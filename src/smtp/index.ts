/**
 * SMTP (RFC 5321) in both directions: the receiver (`server.ts`, `session.ts`), the sender (`send.ts`, `client.ts`) and
 * the one table from error to reply (`replies.ts`). This room holds no keys, and reads no more of a message than its
 * header. The receiver is loaded only when one is made, because processes that only send do not need it.
 */
import type { SmtpReceiver, SmtpReceiverParts } from './server.ts';

/** See `createSmtpReceiver` in `server.ts`. */
export async function createSmtpReceiver(parts: SmtpReceiverParts): Promise<SmtpReceiver> {
  const server = await import('./server.ts');
  return server.createSmtpReceiver(parts);
}

export type { Trace } from './dialogue.ts';
export { withBackup } from './failover.ts';
export { openSender } from './folder-sender.ts';
export { createLookups, type Lookups } from './lookups.ts';
export { probeRoute, type RouteProbe } from './probe-route.ts';
export { createSender } from './send.ts';
export type { OutboundMessage, RouteRate, Sender, SenderParts } from './sender.ts';
export type { SubmissionDoor, SubmittedMail } from './submission.ts';
