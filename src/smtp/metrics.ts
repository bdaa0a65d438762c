import { counter, gauge } from '../metrics.ts';

export const connectionsTotal = counter('smtp_connections_total', 'SMTP connections that were accepted.');
export const connectionsOpen = gauge('smtp_connections_open', 'SMTP connections that are open now.');
export const messagesAccepted = counter(
  'smtp_messages_accepted_total',
  'Messages that got a 250 after DATA.',
);
export const octetsAccepted = counter('smtp_octets_accepted_total', 'Octets of the messages that got a 250.');
export const refusals = counter('smtp_refusals_total', 'Replies of 400 and above, by code.', ['code']);
export const sendResults = counter('smtp_sent_total', 'Results of sending, one for each recipient.', [
  'status',
]);
export const tlsResults = counter(
  'smtp_tls_total',
  'Connections to send mail over, by the TLS policy that applied and its result (RFC 8460 section 4.3).',
  ['policy', 'result'],
);
