import { counter } from '../metrics.ts';

export const messagesFetched = counter('imap_messages_total', 'Messages that were fetched and stored.', [
  'mailbox',
]);
export const messagesSkipped = counter('imap_skipped_total', 'Messages that were left in the folder.', [
  'mailbox',
]);
export const sessionsFailed = counter('imap_failures_total', 'IMAP sessions that ended with an error.', [
  'mailbox',
]);
