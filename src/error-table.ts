/**
 * The rows of the one table of errors. `errors.ts` is the way in; nothing else reads this file.
 */

import { backupRows } from './error-backup.ts';
import { doorRows } from './error-doors.ts';
import { policyRows } from './error-policy.ts';

/**
 * Whose move it is.
 * - `message`: this one message cannot be processed as it is, however often it is tried.
 * - `peer`: another server failed or refused: a partner's, a destination's, a mail server.
 * - `store`: Redis, the disk or the object store is away or full, which affects every message.
 * - `operator`: a setting, a file, a key or a call must be corrected.
 * - `bug`: a defect of Sealpost.
 */
export type ErrorClass = 'message' | 'peer' | 'store' | 'operator' | 'bug';

/**
 * What a failed step of a message leads to. `suspend`: a person has to look at it. `retry`: the attempt counts, and
 * after `retry.attempts` the message is suspended. `wait`: it is tried until it works, and no attempt counts.
 */
export type Consequence = 'suspend' | 'retry' | 'wait';

/** An SMTP reply: code (RFC 5321 section 4.2), enhanced status (RFC 3463), and a text that reveals nothing more. */
export interface Reply {
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
}

/** Where a code appears, apart from SMTP replies: the ledger, an IMAP folder, a start, a command, the log. */
export type Place = 'message' | 'imap' | 'start' | 'command' | 'log';

export interface ErrorRow {
  readonly class: ErrorClass;
  /** What happened. */
  readonly cause: string;
  /** What the operator should do: one sentence. */
  readonly remedy: string;
  /** Where it appears, if it differs from the class; SMTP replies are separate. */
  readonly seen?: readonly Place[];
  /** What it leads to, if it differs from the class. */
  readonly effect?: Consequence;
  /** What a message that is suspended with it waits for: it is replayed when that comes. */
  readonly waits?: 'certificate' | 'key';
  /** What an SMTP client is told, unless it is the general 451. */
  readonly smtp?: Reply;
  /** HTTP status, if it differs from that of the class. */
  readonly http?: number;
}

const sendAgain = 'Ask the partner to send the message again.';
const cut =
  'Ask the partner to send the message again, and look for a size limit or a gateway that cuts mail.';
const modified = 'Ask the partner to send the message again, and look for a gateway that modifies mail.';
const fixedLimit = 'Ask the partner what made the message; these limits are fixed.';

export const errorRows = {
  // the octets of a message: asn1, cms
  'asn1-malformed': {
    class: 'message',
    cause: 'the octets are not BER: a tag, length or end is wrong',
    remedy: cut,
  },
  'asn1-truncated': {
    class: 'message',
    cause: 'the octets end in the middle of a BER element',
    remedy: cut,
  },
  'asn1-limit': {
    class: 'message',
    cause: 'nesting, size or count goes beyond the limits for BER',
    remedy: fixedLimit,
  },
  'cms-malformed': {
    class: 'message',
    cause: 'the BER is well-formed but is not the CMS structure that it claims to be',
    remedy: cut,
  },
  'cms-unsupported': {
    class: 'message',
    cause: 'a content type, version or algorithm that is not supported',
    remedy: 'Ask the partner to use an algorithm that docs/conformance.md lists.',
  },
  'cms-limit': {
    class: 'message',
    cause: 'more recipients, signers, certificates or octets than the limits allow',
    remedy: fixedLimit,
  },
  'decrypt-no-key': {
    class: 'message',
    cause: 'none of the keys here belongs to a recipient of the message',
    remedy:
      'See which key it is with sealpost certs show and a serial number of the event; add that key, or send the partner your current certificate.',
    waits: 'key',
  },
  'decrypt-failed': {
    class: 'message',
    cause: 'the message could not be decrypted with the key it names',
    remedy: modified,
  },
  'decrypt-policy': {
    class: 'message',
    cause: 'the kind of encryption is not allowed',
    remedy: 'Ask the partner for AES-GCM in AuthEnvelopedData or AES-CBC in EnvelopedData.',
  },
  'signature-invalid': {
    class: 'message',
    cause: 'the signed octets or the signature were changed, or the signature is not from that key',
    remedy: modified,
    waits: 'certificate',
  },
  // message, smime, pki; then config, files, command line
  'mime-malformed': {
    class: 'message',
    cause: 'a header or a MIME structure cannot be read',
    remedy: sendAgain,
    smtp: { code: 554, enhanced: '5.6.0', text: 'The header of the message is malformed' },
  },
  'mime-limit': {
    class: 'message',
    cause: 'nesting, number of parts or header size goes beyond the limits',
    smtp: { code: 554, enhanced: '5.6.0', text: 'The message goes beyond the limits' },
    remedy: 'If the mail is genuine, raise limits.headerSize, limits.parts or limits.depth.',
  },
  'transfer-encoding': {
    class: 'message',
    cause: 'the body does not match its transfer encoding',
    remedy: sendAgain,
  },
  'layer-limit': {
    class: 'message',
    cause: 'more nested S/MIME layers than the limit',
    remedy: 'If the mail is genuine, raise limits.layers.',
  },
  'work-limit': {
    class: 'message',
    cause:
      'processing would exceed the work budget: large keys, many signers, recipients or password iterations',
    remedy: 'If the mail is genuine, raise limits.work; 1,000,000 units are about a second.',
  },
  'output-limit': {
    class: 'message',
    cause: 'the message would expand beyond its output budget, such as by nested compression',
    remedy: 'If the mail is genuine, raise limits.output.',
  },
  'not-smime': {
    class: 'message',
    cause: 'the message is neither signed nor encrypted',
    remedy: 'Terminate the message, or set notSmime: pass for the mailbox.',
  },
  'encode-recipient': {
    class: 'operator',
    cause: 'no certificate of the partner is valid now and not revoked, or it cannot be used for encryption',
    remedy: 'Ask the partner for a certificate that is valid now and allows encryption, and configure it.',
    waits: 'certificate',
    seen: ['message', 'command'],
  },
  'encode-signer': {
    class: 'operator',
    cause: 'the identity cannot sign: it has expired, may not sign, or has an unsupported key',
    remedy: 'Renew the certificate of the identity, or name another identity.',
    waits: 'key',
    seen: ['message', 'command'],
  },
  'encode-policy': {
    class: 'operator',
    cause: 'the algorithm is weak and must be allowed explicitly',
    remedy: 'Choose a stronger algorithm, or set allowWeak.',
    seen: ['message', 'start', 'command'],
  },
  'certificate-malformed': {
    class: 'operator',
    cause: 'the file or octets are not an X.509 certificate',
    remedy: 'Replace the file by a certificate in PEM or DER.',
    seen: ['start', 'command', 'message'],
  },
  'key-malformed': {
    class: 'operator',
    cause: 'the file is not a readable private key',
    remedy: 'Replace the file by a private key in PEM or DER, or by a PKCS#12 file.',
  },
  'key-mismatch': {
    class: 'operator',
    cause: 'the private key does not belong to the certificate',
    remedy: 'Name the certificate and the key that were made together.',
  },
  password: {
    class: 'operator',
    cause: 'the password is missing or wrong',
    remedy: 'Give the password that the file or message was encrypted with.',
  },
  'config-invalid': {
    class: 'operator',
    cause: 'the configuration has errors',
    remedy: 'Correct the settings that sealpost check reports, then reload.',
    seen: ['start', 'command', 'message'],
  },
  'file-access': {
    class: 'operator',
    cause: 'a file cannot be read or written',
    remedy: 'Check that the path exists, and that the user that runs Sealpost may use it.',
    seen: ['start', 'command', 'message'],
    effect: 'retry',
  },
  'file-mode': {
    class: 'operator',
    cause: 'a secret file is readable by others',
    remedy: 'Remove the permissions of group and others (chmod go= FILE).',
    seen: ['start', 'command', 'message'],
    effect: 'retry',
  },
  'listen-failed': {
    class: 'operator',
    cause: 'cannot listen on an address',
    remedy: 'Stop the program that uses the address, or configure another one.',
    seen: ['start'],
  },
  usage: {
    class: 'operator',
    cause: 'usage error',
    remedy: 'Correct the call; --help shows what the command takes.',
    seen: ['command'],
    http: 400,
  },
  // queue, spool
  'redis-unreachable': {
    class: 'store',
    cause: 'Redis does not answer',
    remedy: 'Start Redis, or correct redis.url; Sealpost reconnects by itself.',
  },
  'redis-not-durable': {
    class: 'operator',
    cause: 'the Redis server could lose accepted messages',
    remedy: 'Set appendonly, appendfsync and maxmemory-policy as the hint says, and connect the replicas.',
    seen: ['message', 'start', 'command', 'log'],
    effect: 'wait',
    http: 503,
  },
  'redis-full': {
    class: 'store',
    cause: 'Redis has no memory or disk left',
    remedy: 'Give Redis more memory or disk; Sealpost goes on by itself.',
    smtp: { code: 452, enhanced: '4.3.1', text: 'No room for the message now, try again' },
  },
  'queue-full': {
    class: 'store',
    cause: 'the queue, Redis or the disk is near its limit: nothing new is accepted at the moment',
    remedy: 'See sealpost health for what is full; accepted messages are still processed.',
    seen: ['command', 'log'],
    smtp: { code: 452, enhanced: '4.3.1', text: 'No room for the message now, try again later' },
  },
  'spool-write': {
    class: 'store',
    cause: 'the octets could not be stored',
    remedy: 'Check that the spool folder or the object store can be written to.',
    effect: 'retry',
  },
  'spool-full': {
    class: 'store',
    cause: 'the spool folder or object store is full',
    remedy: 'Make room in the spool folder or object store.',
    effect: 'retry',
    smtp: { code: 452, enhanced: '4.3.1', text: 'No room for the message now, try again' },
  },
  'spool-unreachable': {
    class: 'store',
    cause: 'the object store is unavailable',
    remedy: 'Bring the object store back; Sealpost goes on by itself.',
  },
  'spool-refused': {
    class: 'operator',
    cause: 'the object store denies access: check credentials, permissions and bucket',
    remedy: 'Correct the credentials, permissions or bucket of spool.s3.',
    seen: ['message', 'start', 'command', 'log'],
    effect: 'wait',
    http: 503,
  },
  'spool-missing': {
    class: 'message',
    cause: 'the stored octets are gone',
    remedy: 'Restore the spool folder or bucket; otherwise ask the partner to send the message again.',
    seen: ['message'],
    http: 410,
  },
  'spool-corrupt': {
    class: 'message',
    cause: 'the stored octets cannot be decrypted with the spool key, or were changed',
    remedy: 'Restore the spool and its key; otherwise ask the partner to send the message again.',
    seen: ['message', 'start'],
    http: 500,
  },
  'message-unknown': {
    class: 'operator',
    cause: 'there is no such message',
    remedy: 'Find the id with sealpost messages list.',
    seen: ['command'],
    http: 404,
  },
  'message-busy': {
    class: 'operator',
    cause: 'the message is being worked on',
    remedy: 'Try again when the message is delivered or suspended.',
    seen: ['command'],
    http: 409,
  },
  'partner-busy': {
    class: 'operator',
    cause: 'there is mail for the partner that is not sent',
    remedy: 'Wait until it is sent, or remove the partner with --force: the mail is then suspended.',
    seen: ['command'],
  },
  'original-gone': {
    class: 'operator',
    cause: 'the original octets of the message are no longer kept',
    remedy: 'Ask the partner to send the message again; retention.original says how long originals are kept.',
    seen: ['command'],
    http: 410,
  },
  'reload-refused': {
    class: 'operator',
    cause: 'the new configuration was rejected; the old one is still in use',
    remedy: 'Correct what the message names, check with sealpost check, and reload again.',
    seen: ['command', 'log'],
  },
  // the way of a message
  'mailbox-unknown': {
    class: 'operator',
    cause: 'the mailbox is not configured, or no longer',
    remedy: 'Configure the mailbox, or terminate the message.',
    seen: ['message'],
    smtp: { code: 550, enhanced: '5.1.1', text: 'No such mailbox here' },
    http: 404,
  },
  'address-invalid': {
    class: 'message',
    cause: 'an envelope address that is not allowed in SMTP',
    remedy: 'Correct the address.',
    smtp: { code: 501, enhanced: '5.1.3', text: 'The recipient address has a syntax error' },
    http: 400,
  },
  'message-too-large': {
    class: 'message',
    cause: 'the message is larger than the limit',
    remedy: 'If the mail is genuine, raise maxSize of smtp or of the IMAP mailbox.',
    seen: ['imap', 'command'],
    smtp: { code: 552, enhanced: '5.3.4', text: 'The message is larger than the limit' },
    http: 413,
  },
  'message-empty': {
    class: 'message',
    cause: 'the message has no octets',
    remedy: 'Send a message with content.',
    seen: ['imap', 'command'],
    smtp: { code: 554, enhanced: '5.6.0', text: 'The message is empty' },
    http: 400,
  },
  'partner-unknown': {
    class: 'operator',
    cause: 'no partner with that name or address is configured',
    remedy: 'Add the partner to the configuration.',
    seen: ['message', 'command', 'log'],
    smtp: { code: 550, enhanced: '5.1.1', text: 'No such partner here' },
    http: 404,
  },
  'sender-invalid': {
    class: 'message',
    cause: 'a known sender is required, and From or Sender is missing, repeated or unreadable',
    remedy: 'Ask the partner to write one From field that contains only its addresses.',
    seen: ['message'],
  },
  'policy-refused': {
    class: 'message',
    cause: 'encryption, a trusted signature or a matching sender is required and missing',
    remedy: 'Ask the partner to protect mail as required, add its certificate, or change require.',
    waits: 'certificate',
    seen: ['message'],
  },
  'policy-aead': {
    class: 'message',
    cause: 'authenticated encryption is required, but the message does not use it',
    remedy: 'Ask the partner for AES-GCM; if it has always used it, find out who modifies mail in transit.',
    seen: ['message'],
  },
  'policy-weak': {
    class: 'message',
    cause: 'an algorithm or key of the message is weaker than required',
    remedy: 'Ask the partner for another algorithm or key, or change require or strong.',
    seen: ['message'],
  },
  'policy-profile': {
    class: 'message',
    cause: 'the message does not meet the profile that its mailbox or partner demands',
    remedy: 'Read which rule it misses; ask the partner to change, or change minimumProfile.',
    seen: ['message'],
  },
  ...policyRows,
  'destination-unknown': {
    class: 'operator',
    cause: 'the mailbox no longer has a destination of that name',
    remedy: 'Restore the destination in the configuration, or terminate the message.',
    seen: ['message'],
  },
  'handoff-failed': {
    class: 'peer',
    cause: 'a destination did not accept the message',
    remedy: 'Read the message of the event, and bring the destination back.',
  },
  'handoff-refused': {
    class: 'peer',
    cause:
      'a mail server that messages are handed off to permanently refused the message, or none of its recipients is allowed',
    remedy:
      'Read the reply in the event; correct recipients and allow of the destination, or the server, and resume.',
    effect: 'suspend',
  },
  'mail-loop': {
    class: 'message',
    cause:
      'the mail goes in circles: it was sent to a partner or handed on from this mailbox before, or passed through 100 servers',
    remedy: 'Find out which server sends it back; terminate the message when that is mended.',
    smtp: { code: 554, enhanced: '5.4.6', text: 'The message has been here before' },
  },
  'send-failed': {
    class: 'peer',
    cause: "the partner's server could not be reached or deferred the message",
    remedy: 'Read the reply in the event; check the route of the partner, or wait until its server is back.',
  },
  'tls-failed': {
    class: 'peer',
    cause:
      'no server of the partner met the TLS policy of the route, of DANE or of MTA-STS, so nothing was sent',
    remedy:
      'Read the message of the event; ask the partner to correct its TLS or what it publishes, or correct tls, pins or ca of the route.',
  },
  'dns-failed': {
    class: 'peer',
    cause: "the resolver gave no usable answer about the partner's domain or server, so nothing was sent",
    remedy:
      'Read the message of the event; look at your resolver (dns.resolver) and at the DNSSEC of the domain.',
  },
  'token-failed': {
    class: 'peer',
    cause: 'the token endpoint of a mail server gave no token to log in with',
    remedy: 'Read the message, which names the setting; Sealpost asks again, less and less often.',
    seen: ['message', 'command', 'log'],
  },
  'send-refused': {
    class: 'peer',
    cause: "the partner's server permanently refused the message",
    remedy: 'Read the reply in the event, correct the address or the message, and send again.',
    effect: 'suspend',
  },
  expired: {
    class: 'message',
    cause: 'the message was not sent by the time that its notAfter names',
    remedy: 'Terminate it, or submit it again with a later time.',
    seen: ['message'],
  },
  'not-yet': {
    class: 'peer',
    cause: 'the message waits for its notBefore, or for a service window of the partner',
    remedy: 'Nothing: sealpost messages show says when it is due.',
    effect: 'wait',
  },
  'never-open': {
    class: 'operator',
    cause: 'no service window of the partner opens ever again',
    remedy: 'Correct windows of the partner, and resume the message.',
    seen: ['message'],
  },
  'imap-failed': {
    class: 'peer',
    cause: 'the mailbox could not be read over IMAP',
    remedy: 'Check host, login and TLS of the mailbox; Sealpost keeps trying.',
    seen: ['command', 'log'],
  },
  ...doorRows,
  ...backupRows,
  'attempts-exhausted': {
    class: 'peer',
    cause: 'all retry attempts have failed',
    remedy: 'Remove the cause that "last" in the event names, then resume the message.',
    effect: 'suspend',
  },
  'worker-crashed': {
    class: 'bug',
    cause: 'processing the message crashed the process several times',
    remedy: 'Report it; the message does no harm while it is suspended.',
    seen: ['message'],
    effect: 'suspend',
  },
  internal: {
    class: 'bug',
    cause: 'a bug in Sealpost',
    remedy: 'Report it with the line of the log.',
    seen: ['message', 'command', 'log'],
  },
} as const satisfies Record<string, ErrorRow>;
