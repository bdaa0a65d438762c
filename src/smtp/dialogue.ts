/** The dialogue with a server, line by line and without secrets, and failures together with the server's reply. */
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import { cleanText, type Log, withoutSecrets } from '../log.ts';

/** Called with each line: `>` is what we say, `<` is what the server says. */
export type Trace = (direction: '>' | '<', line: string) => void;

/** Longest line in the log, in characters. */
const longestLine = 400;

/** Logs the dialogue if the log was at `debug` when the connection began. Otherwise it is not even assembled. */
export function loggedDialogue(log: Log, about: Record<string, string>): Trace | undefined {
  if (log.level !== 'debug' && log.level !== 'trace') return undefined;
  return (direction, line) =>
    log.debug({ ...about, direction, line: cleanText(line, longestLine) }, 'dialogue of a route');
}

/** Lines of a dialogue that are kept for a failure, and characters of each. */
const linesKept = 16;
const longestKept = 200;

/** The last lines of a dialogue. */
export class Recorder {
  readonly #lines: Parameters<Trace>[] = [];

  readonly trace: Trace = (direction, line) => {
    this.#lines.push([direction, line]);
    if (this.#lines.length > linesKept) this.#lines.shift();
  };

  /** Made when they are asked for, because most connections do not fail. */
  get lines(): readonly string[] {
    return this.#lines.map(([direction, line]) => `${direction} ${cleanText(line, longestKept)}`);
  }
}

/**
 * A logger for nodemailer. Everything after AUTH is masked until the server has decided; some servers repeat a command
 * that they do not like.
 *
 * @param secrets that no line shows
 */
export function traceLogger(trace: Trace, secrets: readonly string[]) {
  let secret = false;
  const debug = (entry: unknown, ...text: unknown[]) => {
    const tnx: unknown = typeof entry === 'object' && entry !== null && 'tnx' in entry ? entry.tnx : '';
    const [message] = text;
    if (typeof message !== 'string') return;
    for (const line of message.split(/\r?\n/)) {
      if (tnx === 'client') {
        const auth = /^AUTH [A-Z0-9-]+/i.exec(line)?.[0];
        if (auth !== undefined) trace('>', `${auth} ***`);
        else trace('>', secret ? '***' : line);
        secret ||= auth !== undefined;
      } else if (tnx === 'server') {
        // a challenge may repeat what we sent
        const goesOn = secret && line.startsWith('334');
        trace('<', goesOn ? '334 ***' : withoutSecrets(line, secrets));
        secret = goesOn;
      }
    }
  };
  const nothing = () => {};
  return {
    level: nothing,
    trace: nothing,
    debug,
    info: nothing,
    warn: nothing,
    error: nothing,
    fatal: nothing,
  };
}

/** A failure before or during a transaction. `reply` is the server's, if there was one. */
export class ClientError extends Error {
  readonly code: number | null;
  readonly reply: string;
  readonly stage: 'connect' | 'tls' | 'login' | 'message';
  readonly recipients: readonly { recipient: string; code: number | null; reply: string }[];
  /** How much of the message had been passed to the connection. */
  readonly passed: 'nothing' | 'part' | 'all';
  /** Recipients for which an LMTP server had already accepted the message. */
  taken: readonly string[] = [];
  /** The last lines of the dialogue, without secrets and content. */
  dialogue: readonly string[] = [];

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
