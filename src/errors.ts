/**
 * Errors with stable codes. Every failure that a person or another program may see has a code from
 * the list below; the code never changes its meaning once released. The message is public to the
 * operator; the cause stays private (logs name its code only), and the partner sees neither.
 */

/** All codes, one line each: code and what it means. Docs and the verdict schema are made from it. */
export const errorCodes = {
  // asn1, cms: the octets of the message
  'asn1-malformed': 'the octets are not BER: a tag, length or end is wrong',
  'asn1-truncated': 'the octets end in the middle of a BER element',
  'asn1-limit': 'nesting, size or count goes beyond the limits for BER',
  'cms-malformed': 'the BER is well-formed but is not the CMS structure that it claims to be',
  'cms-unsupported': 'a content type, version or algorithm that is not supported',
  'cms-limit': 'more recipients, signers, certificates or octets than the limits allow',
  'decrypt-no-key': 'none of the keys here belongs to a recipient of the message',
  'decrypt-failed': 'the message could not be decrypted with the key it names',
  'decrypt-policy': 'the kind of encryption is not allowed',
  'signature-invalid':
    'the signed octets or the signature were changed, or the signature is not from that key',
  // message, smime
  'mime-malformed': 'a header or a MIME structure cannot be read',
  'mime-limit': 'nesting, number of parts or header size goes beyond the limits',
  'transfer-encoding': 'the body does not match its transfer encoding',
  'layer-limit': 'more nested S/MIME layers than the limit',
  'work-limit': 'processing the message would exceed its work budget',
  'output-limit': 'the message would exceed its output budget',
  'not-smime': 'the message is neither signed nor encrypted',
  'encode-recipient': 'a message cannot be encrypted for this certificate',
  'encode-signer': 'a message cannot be signed with this identity',
  'encode-policy': 'the algorithm is weak and must be allowed explicitly',
  // pki
  'certificate-malformed': 'the file or octets are not an X.509 certificate',
  'key-malformed': 'the file is not a readable private key',
  'key-mismatch': 'the private key does not belong to the certificate',
  password: 'the password is missing or wrong',
  // config, files, command line
  'config-invalid': 'the configuration has errors',
  'file-access': 'a file cannot be read or written',
  'file-mode': 'a secret file is readable by others',
  'listen-failed': 'cannot listen on an address',
  usage: 'usage error',
  // queue
  'redis-unreachable': 'Redis does not answer',
  'redis-not-durable': 'the Redis server could lose accepted messages',
  'redis-full': 'Redis has no memory or disk left',
  'queue-full': 'the queue, Redis or the disk is near its limit: nothing new is accepted at the moment',
  'spool-write': 'the octets could not be stored',
  'spool-full': 'the spool folder or object store is full',
  'spool-unreachable': 'the object store is unavailable',
  'spool-refused': 'the object store denies access: check credentials, permissions and bucket',
  'spool-missing': 'the stored octets are gone',
  'spool-corrupt': 'the stored octets cannot be decrypted with the spool key, or were changed',
  'message-unknown': 'there is no such message',
  'message-busy': 'the message is being worked on',
  'original-gone': 'the original octets of the message are no longer kept',
  'reload-refused': 'the new configuration was rejected; the old one is still in use',
  // flow
  'mailbox-unknown': 'the recipient is not a configured mailbox',
  'address-invalid': 'an envelope address that is not allowed in SMTP',
  'message-too-large': 'the message is larger than the limit',
  'message-empty': 'the message has no octets',
  'partner-unknown': 'no partner of that name or address',
  'sender-invalid':
    'From or Sender is missing, repeated or unreadable, and the mailbox requires a known sender',
  'policy-refused': 'the verdict does not meet the policy of the mailbox or partner',
  'policy-aead': 'authenticated encryption is required, but the message does not use it',
  'policy-weak': 'an algorithm or key of the message is weaker than required',
  'destination-unknown': 'the mailbox no longer has a destination of that name',
  'handoff-failed': 'a destination did not accept the message',
  'handoff-refused': 'a destination permanently refused the message',
  'send-failed': "the partner's server could not be reached or deferred the message",
  'send-refused': "the partner's server permanently refused the message",
  'imap-failed': 'the mailbox could not be polled',
  'attempts-exhausted': 'all retry attempts have failed',
  'worker-crashed': 'processing the message crashed the process several times',
  internal: 'a bug in Sealpost',
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorOptionsExtra {
  /** What to do about it: one line for the operator. */
  hint?: string;
  cause?: unknown;
}

/** The one error class: a stable code, a message for the operator, a private cause. */
export class SealpostError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptionsExtra = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SealpostError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** The error as a code and message, whatever was thrown. An unknown error becomes `internal`. */
export function toErrorInfo(error: unknown): { code: ErrorCode; message: string } {
  if (error instanceof SealpostError) return { code: error.code, message: error.message };
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}

/** True for an error of Node or a library whose `code` is the given one (ENOENT, ECONNREFUSED ...). */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
