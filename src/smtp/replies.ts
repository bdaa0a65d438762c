import { type ErrorCode, SealpostError } from '../errors.ts';

/** An SMTP reply: code (RFC 5321 section 4.2), enhanced status (RFC 3463) and a text that tells the peer nothing more. */
export interface Reply {
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
}

/** What ends a command or a session without an error of another room behind it. */
type Condition =
  | 'draining'
  | 'too-many-connections'
  | 'too-many-errors'
  | 'too-many-commands'
  | 'too-many-recipients'
  | 'unknown-parameter'
  | 'too-slow'
  | 'idle'
  | 'tls-required'
  | 'sender-syntax'
  | 'line-ends';

const localError: Reply = {
  code: 451,
  enhanced: '4.3.0',
  text: 'The message cannot be stored now, try again',
};

/**
 * The one table from what went wrong to what the client reads. Whatever is not in it is a local error, 451:
 * the client keeps the message and tries again.
 */
const table: Partial<Record<ErrorCode | Condition, Reply>> = {
  'queue-full': { code: 452, enhanced: '4.3.1', text: 'No room for the message now, try again later' },
  'redis-full': { code: 452, enhanced: '4.3.1', text: 'No room for the message now, try again' },
  'spool-full': { code: 452, enhanced: '4.3.1', text: 'No room for the message now, try again' },
  'mailbox-unknown': { code: 550, enhanced: '5.1.1', text: 'No such mailbox here' },
  'address-invalid': { code: 501, enhanced: '5.1.3', text: 'The recipient address has a syntax error' },
  'message-too-large': { code: 552, enhanced: '5.3.4', text: 'The message is larger than the limit' },
  'message-empty': { code: 554, enhanced: '5.6.0', text: 'The message is empty' },
  draining: { code: 421, enhanced: '4.3.2', text: 'The service is being stopped, try again' },
  'too-many-connections': { code: 421, enhanced: '4.7.0', text: 'Too many connections, try again' },
  'too-many-errors': { code: 421, enhanced: '4.7.0', text: 'Too many errors' },
  'too-many-commands': { code: 421, enhanced: '4.7.0', text: 'Too many commands without a message' },
  'too-many-recipients': { code: 452, enhanced: '4.5.3', text: 'Too many recipients' },
  // RFC 5321 section 4.1.1.11: what was not offered is not known
  'unknown-parameter': { code: 555, enhanced: '5.5.4', text: 'A parameter is not known here' },
  'too-slow': { code: 421, enhanced: '4.4.2', text: 'The message took too long' },
  idle: { code: 421, enhanced: '4.4.2', text: 'No command in time' },
  'tls-required': { code: 530, enhanced: '5.7.0', text: 'Issue STARTTLS first' },
  'sender-syntax': { code: 501, enhanced: '5.1.7', text: 'The sender address has a syntax error' },
  // RFC 5321 section 2.3.8: CR and LF must not be sent but as CRLF. Refused, not repaired: what servers on
  // the way make of them differs, which is how a message is smuggled in another (CVE-2023-51764).
  'line-ends': { code: 550, enhanced: '5.6.0', text: 'A bare CR or LF is not allowed in a message' },
};

/** The reply for an error of any room. */
export function replyFor(error: unknown): Reply {
  return (error instanceof SealpostError ? table[error.code] : undefined) ?? localError;
}

/** The reply for a condition of the session, or for an error code by itself. */
export function replyTo(condition: Condition | ErrorCode): Reply {
  return table[condition] ?? localError;
}

/** Every reply of the table, for whoever documents them. */
export function replies(): Reply[] {
  return [localError, ...Object.values(table)];
}

/** A reply as smtp-server wants it: an Error with `responseCode`, the enhanced status before the text. */
export class ReplyError extends Error {
  readonly responseCode: number;

  constructor(reply: Reply) {
    super(`${reply.enhanced} ${reply.text}`);
    this.responseCode = reply.code;
  }
}
