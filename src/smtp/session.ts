import type { Readable } from 'node:stream';
import type { SMTPServerAddress, SMTPServerSession } from 'smtp-server';
import { SealpostError, toErrorInfo } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { parseMailbox } from '../message/index.ts';
import type { Intake } from '../queue/index.ts';
import { traced } from '../spans.ts';
import { type Acceptance, type Receiving, traceOf } from './acceptance.ts';
import type { Connection } from './connection.ts';
import type { Gate } from './gate.ts';
import { messagesAccepted, octetsAccepted } from './metrics.ts';
import { isRefusal, type Reply, ReplyError, replyFor, replyTo } from './replies.ts';
import { type DataLimits, Transaction } from './transaction.ts';

interface SessionParts {
  acceptance: Acceptance;
  intake: Partial<Pick<Intake, 'refusal'>>;
  log: Log;
  gate: Gate;
  requireTls: boolean;
  maxRecipients: number;
  limits: DataLimits;
}

type Done = (error?: Error | null, message?: string) => void;

/** The commands of a mail transaction: MAIL, RCPT, DATA. */
export class Session {
  readonly #parts: SessionParts;
  readonly #connections = new WeakMap<SMTPServerSession, Connection>();
  /**
   * Accepted recipients of the transaction, with what they stand for. smtp-server makes a new envelope for each
   * transaction.
   */
  readonly #accepted = new WeakMap<object, Map<string, string>>();
  /** When the first recipient was named, in milliseconds since the epoch. */
  readonly #began = new WeakMap<object, number>();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  register(connection: Connection): void {
    this.#connections.set(connection.session, connection);
  }

  connectionOf(smtp: SMTPServerSession): Connection {
    const connection = this.#connections.get(smtp);
    if (connection === undefined) throw new SealpostError('internal', 'an SMTP session without a connection');
    return connection;
  }

  mail({ address }: SMTPServerAddress, smtp: SMTPServerSession, done: Done): void {
    const refusal = this.#refuseMail(address, smtp);
    done(refusal === undefined ? null : new ReplyError(refusal));
  }

  #refuseMail(address: string, smtp: SMTPServerSession): Reply | undefined {
    const { gate, requireTls, acceptance, intake } = this.#parts;
    if (gate.draining) return replyTo('draining');
    if (requireTls && !smtp.secure) return replyTo('tls-required');
    const connection = this.connectionOf(smtp);
    const refusal = acceptance.refuseMail(connection);
    if (refusal !== undefined) return refusal;
    // Refuse before the octets arrive, not after.
    const full = intake.refusal?.();
    if (full) return replyFor(full);
    try {
      if (address !== '') parseMailbox(address, { utf8: true });
    } catch {
      return replyTo('sender-syntax');
    }
    try {
      acceptance.sender(address, connection);
      return undefined;
    } catch (error) {
      connection.note(error);
      return replyFor(error);
    }
  }

  recipient({ address }: SMTPServerAddress, smtp: SMTPServerSession, done: Done): void {
    const connection = this.connectionOf(smtp);
    try {
      const found = this.#parts.acceptance.recipient(address, connection, senderOf(smtp));
      const accepted = this.#accepted.get(smtp.envelope) ?? new Map<string, string>();
      // smtp-server ignores case when it compares addresses; here they are kept as written
      if (accepted.size >= this.#parts.maxRecipients && !accepted.has(address)) {
        done(new ReplyError(replyTo('too-many-recipients')));
        return;
      }
      this.#accepted.set(smtp.envelope, accepted.set(address, found));
      if (!this.#began.has(smtp.envelope)) this.#began.set(smtp.envelope, Date.now());
    } catch (error) {
      connection.note(error);
      done(new ReplyError(replyFor(error)));
      return;
    }
    done();
  }

  data(stream: Readable, smtp: SMTPServerSession, done: Done): void {
    const connection = this.connectionOf(smtp);
    const { acceptance, limits, log } = this.#parts;
    const receiving = acceptance.begin({
      smtp,
      connection,
      from: senderOf(smtp),
      recipients: this.#accepted.get(smtp.envelope) ?? new Map(),
    });
    const transaction = new Transaction(receiving.writer, limits, log, performance.now());
    connection.transaction = transaction;

    stream.on('data', (chunk: Buffer) => {
      const wait = transaction.push(chunk);
      if (wait !== undefined) {
        stream.pause();
        wait.then(() => stream.resume());
      } else if (transaction.octets > limits.maxSize * 2 + 2 ** 20) {
        // already refused, but a client that never stops sending is cut off
        connection.reply(replyTo('too-slow'));
      }
    });
    stream.on('error', () => transaction.fail(replyTo('too-slow')));
    stream.on('close', () => {
      // the client left or was disconnected before the final dot, so nothing of the message is kept
      if (connection.transaction === transaction && !stream.readableEnded) {
        transaction.fail(replyTo('too-slow'));
        connection.transaction = undefined;
      }
    });
    stream.on('end', async () => {
      const refused = transaction.end() ?? refusedBy(receiving, transaction);
      const answer = refused ?? (await this.#store(receiving, smtp, transaction));
      if (typeof answer === 'string') connection.forgive();
      else connection.note(transaction.cause);
      if (typeof answer === 'string') done(null, answer);
      else done(new ReplyError(answer));
      // a pipelining client may already have started the next transaction
      if (connection.transaction === transaction) connection.transaction = undefined;
      if (this.#parts.gate.draining) connection.reply(replyTo('draining'));
    });
  }

  /** The text of the 250, or the reply to a failure, within the time limit. */
  async #store(
    receiving: Receiving,
    smtp: SMTPServerSession,
    transaction: Transaction,
  ): Promise<string | Reply> {
    const { log, limits } = this.#parts;
    try {
      const { octets } = transaction;
      const since = this.#began.get(smtp.envelope);
      const storing = traced('receive', { octets }, () => receiving.store(transaction.messageId), { since });
      const stored = await within(limits.storeTimeout, storing, (err) =>
        log.error({ err }, 'a commit failed after its deadline'),
      );
      messagesAccepted.inc();
      octetsAccepted.inc(transaction.octets);
      const ids = stored.map(({ id }) => id);
      const duplicates = stored.filter(({ duplicate }) => duplicate).length;
      const what = duplicates === stored.length ? 'duplicate noted' : 'message accepted';
      log.info({ ids, duplicates, octets: transaction.octets, origin: traceOf(smtp) }, what);
      return `2.0.0 Ok: queued as ${ids.join(' ')}`;
    } catch (error) {
      transaction.cause = error;
      if (!isRefusal(error)) {
        const facts = { err: error, octets: transaction.octets };
        // while Redis is unreachable or full, every message fails like this
        logRarely(log, 'error', `store ${toErrorInfo(error).code}`, facts, 'a message could not be stored');
      }
      // The commit may still succeed. Then the client sends again, and the intake recognizes the content.
      return replyFor(error);
    }
  }
}

const senderOf = ({ envelope: { mailFrom } }: SMTPServerSession) =>
  mailFrom === false ? '' : mailFrom.address;

/** The reply to a mail that is refused because of its header. Its octets are removed. */
function refusedBy(receiving: Receiving, transaction: Transaction): Reply | undefined {
  const { header } = transaction;
  const error = header && receiving.refusal?.(header);
  if (error === undefined) return undefined;
  transaction.cause = error;
  transaction.fail(replyFor(error));
  return transaction.failure;
}

/**
 * Resolves as the promise does, or with `redis-unreachable` after `ms` milliseconds. A failure after that goes to
 * `late`.
 */
async function within<T>(ms: number, promise: Promise<T>, late: (error: unknown) => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let expired = false;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      expired = true;
      reject(new SealpostError('redis-unreachable', 'the store did not answer in time'));
    }, ms);
  });
  promise.catch((error: unknown) => {
    if (expired) late(error);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
