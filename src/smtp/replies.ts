import { type ErrorCode, errorTable, isErrorCode, type Reply, SealpostError } from '../errors.ts';

export type { Reply } from '../errors.ts';

/** What ends a command or session without an error from another room. */
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
  | 'parameter-syntax'
  | 'login-required'
  | 'login-in-clear'
  | 'login-ended'
  | 'too-many-logins'
  | 'not-smtp'
  | 'line-ends';

const localError: Reply = {
  code: 451,
  enhanced: '4.3.0',
  text: 'The message cannot be stored now, try again',
};

/** The client's reply for each of these. Replies to error codes stand in the table of src/error-table.ts. */
const conditions: Readonly<Record<Condition, Reply>> = {
  draining: { code: 421, enhanced: '4.3.2', text: 'The service is shutting down, try again' },
  'too-many-connections': { code: 421, enhanced: '4.7.0', text: 'Too many connections, try again' },
  'too-many-errors': { code: 421, enhanced: '4.7.0', text: 'Too many errors' },
  'too-many-commands': { code: 421, enhanced: '4.7.0', text: 'Too many commands without a message' },
  'too-many-recipients': { code: 452, enhanced: '4.5.3', text: 'Too many recipients' },
  // RFC 5321 section 4.1.1.11: a parameter that was not offered is unknown
  'unknown-parameter': { code: 555, enhanced: '5.5.4', text: 'Unknown parameter' },
  'too-slow': { code: 421, enhanced: '4.4.2', text: 'The message took too long' },
  idle: { code: 421, enhanced: '4.4.2', text: 'No command in time' },
  'tls-required': { code: 530, enhanced: '5.7.0', text: 'Issue STARTTLS first' },
  'parameter-syntax': { code: 501, enhanced: '5.5.4', text: 'A parameter has a syntax error' },
  'login-required': { code: 530, enhanced: '5.7.0', text: 'Authentication required' },
  // RFC 4954 section 6
  'login-in-clear': { code: 538, enhanced: '5.7.11', text: 'Issue STARTTLS before AUTH' },
  'login-ended': { code: 421, enhanced: '4.7.0', text: 'The login is no longer valid, log in again' },
  'too-many-logins': { code: 421, enhanced: '4.7.0', text: 'Too many failed logins, try again later' },
  'not-smtp': { code: 421, enhanced: '4.7.0', text: 'This is a mail server' },
  'sender-syntax': { code: 501, enhanced: '5.1.7', text: 'The sender address has a syntax error' },
  // RFC 5321 section 2.3.8: CR and LF may only be sent as CRLF. A bare one is refused, not repaired, because servers on
  // the way treat it differently, and that lets one message be smuggled inside another (CVE-2023-51764).
  'line-ends': { code: 550, enhanced: '5.6.0', text: 'A bare CR or LF is not allowed in a message' },
};

/** The reply to an error. An error without a reply of its own is local: 451, and the client tries again. */
export function replyFor(error: unknown): Reply {
  return (error instanceof SealpostError ? errorTable[error.code].smtp : undefined) ?? localError;
}

/** The reply for a condition of the session, or for an error code by itself. */
export function replyTo(condition: Condition | ErrorCode): Reply {
  return isErrorCode(condition) ? (errorTable[condition].smtp ?? localError) : conditions[condition];
}

/** True if the message or its sender is at fault; anything else is a failure of our own. */
export function isRefusal(error: unknown): error is SealpostError {
  if (!(error instanceof SealpostError)) return false;
  const { class: whose, smtp } = errorTable[error.code];
  return smtp !== undefined && whose !== 'store';
}

/** Every reply, for documentation. */
export function replies(): Reply[] {
  const ofErrors = Object.values(errorTable).flatMap(({ smtp }) => smtp ?? []);
  return [localError, ...ofErrors, ...Object.values(conditions)];
}

/**
 * A reply as smtp-server expects it: an Error with `responseCode`, and the enhanced status at the start of the text.
 */
export class ReplyError extends Error {
  readonly responseCode: number;

  constructor(reply: Reply) {
    super(`${reply.enhanced} ${reply.text}`);
    this.responseCode = reply.code;
  }
}
