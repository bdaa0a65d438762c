/**
 * Mailboxes that are fetched over IMAP: each is polled, and what was stored durably is moved, marked or deleted. It
 * holds no keys. Begin with `poller.ts`, then `folder.ts`.
 */

export { attendPollers } from './attended.ts';
export { createCheckpoints } from './checkpoint.ts';
export type { ImapConfig } from './connect.ts';
export { createImapPoller } from './poller.ts';
export { probeMailbox } from './probe.ts';
