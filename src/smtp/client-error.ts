import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import { cleanText } from '../log.ts';

/** A failure before or during a transaction. `reply` is the server's, if there was one. */
export class ClientError extends Error {
  readonly code: number | null;
  readonly reply: string;
  readonly stage: 'connect' | 'tls' | 'login' | 'message';
  readonly recipients: readonly { recipient: string; code: number | null; reply: string }[];
  /** How much of the message was passed to the connection. */
  readonly passed: 'nothing' | 'part' | 'all';
  /** Recipients that an LMTP server had accepted the message for when it failed. */
  taken: readonly string[] = [];

  constructor(
    stage: ClientError['stage'],
    error: SMTPConnection.SMTPError | string,
    passed: ClientError['passed'] = 'nothing',
    hint?: string,
  ) {
    const found = typeof error === 'string' ? { reply: error, code: null } : readError(error);
    const reply = hint === undefined ? found.reply : `${found.reply}; ${hint}`;
    super(reply);
    this.stage = stage;
    this.passed = passed;
    this.code = found.code;
    this.reply = reply;
    this.recipients = typeof error === 'string' ? [] : rejectedOf(error.rejectedErrors);
  }
}

export function rejectedOf(errors: SMTPConnection.SMTPError[] | undefined): ClientError['recipients'] {
  return (errors ?? []).map((error) => ({ recipient: error.recipient ?? '', ...readError(error) }));
}

function readError(error: SMTPConnection.SMTPError): { code: number | null; reply: string } {
  const text = error.response || error.message || error.code || 'unknown error';
  return { code: error.responseCode || null, reply: cleanReply(text) };
}

/** A reply for the ledger: one line, no control characters, at most 400 characters. */
export function cleanReply(text: string): string {
  return cleanText(text, 400);
}
