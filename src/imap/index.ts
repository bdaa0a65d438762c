/**
 * Mailboxes that are fetched over IMAP: each is polled, and stored messages are then moved, marked or deleted. Holds no
 * keys. Begin with `poller.ts`, then `folder.ts`.
 */

export { attendPollers } from './attended.ts';
export { createCheckpoints } from './checkpoint.ts';
export type { ImapConfig } from './connect.ts';
export { createImapPoller } from './poller.ts';
export { probeMailbox } from './probe.ts';
