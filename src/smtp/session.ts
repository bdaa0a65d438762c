import type { Readable } from 'node:stream';
import type { SMTPServerAddress, SMTPServerSession } from 'smtp-server';
import { SealpostError, toErrorInfo } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { parseMailbox } from '../message/index.ts';
import type { Intake, IntakeEntry, Origin } from '../queue/index.ts';
import type { SpoolWriter } from '../spool/index.ts';
import type { Connection } from './connection.ts';
import type { Gate } from './gate.ts';
import { messagesAccepted, octetsAccepted } from './metrics.ts';
import type { Recipients } from './recipients.ts';
import { type Reply, ReplyError, replyFor, replyTo } from './replies.ts';
import { type DataLimits, Transaction } from './transaction.ts';

interface SessionParts {
  recipients: Recipients;
  intake: Pick<Intake, 'begin' | 'commit'> & Partial<Pick<Intake, 'refusal'>>;
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
  /** Accepted recipients of the transaction, with their mailbox. smtp-server makes a new envelope for each. */
  readonly #accepted = new WeakMap<object, Map<string, string>>();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  register(connection: Connection): void {
    this.#connections.set(connection.session, connection);
  }

  mail({ address }: SMTPServerAddress, smtp: SMTPServerSession, done: Done): void {
    const refusal = this.#refuseMail(address, smtp);
    done(refusal === undefined ? null : new ReplyError(refusal));
  }

  #refuseMail(address: string, smtp: SMTPServerSession): Reply | undefined {
    if (this.#parts.gate.draining) return replyTo('draining');
    if (this.#parts.requireTls && !smtp.secure) return replyTo('tls-required');
    // Refuse before the octets arrive, not after.
    const full = this.#parts.intake.refusal?.();
    if (full) return replyFor(full);
    try {
      if (address !== '') parseMailbox(address, { utf8: true });
      return undefined;
    } catch {
      return replyTo('sender-syntax');
    }
  }

  recipient({ address }: SMTPServerAddress, smtp: SMTPServerSession, done: Done): void {
    try {
      const mailbox = this.#parts.recipients.find(address);
      const accepted = this.#accepted.get(smtp.envelope) ?? new Map<string, string>();
      // smtp-server compares addresses without case; these are kept as written
      if (accepted.size >= this.#parts.maxRecipients && !accepted.has(address)) {
        done(new ReplyError(replyTo('too-many-recipients')));
        return;
      }
      this.#accepted.set(smtp.envelope, accepted.set(address, mailbox));
    } catch (error) {
      done(new ReplyError(replyFor(error)));
      return;
    }
    done();
  }

  data(stream: Readable, smtp: SMTPServerSession, done: Done): void {
    const connection = this.#connections.get(smtp);
    if (connection === undefined) throw new SealpostError('internal', 'an SMTP session without a connection');
    const { limits, log } = this.#parts;
    const entries = this.#entries(smtp);
    const writer = this.#parts.intake.begin();
    const transaction = new Transaction(writer, limits, log, performance.now());
    connection.transaction = transaction;

    stream.on('data', (chunk: Buffer) => {
      const wait = transaction.push(chunk);
      if (wait !== undefined) {
        stream.pause();
        wait.then(() => stream.resume());
      } else if (transaction.octets > limits.maxSize * 2 + 2 ** 20) {
        // it was refused long ago; a client that never ends is cut off
        connection.reply(replyTo('too-slow'));
      }
    });
    stream.on('error', () => transaction.fail(replyTo('too-slow')));
    stream.on('close', () => {
      // the client left or was disconnected before the final dot: nothing of the message is kept
      if (connection.transaction === transaction && !stream.readableEnded) {
        transaction.fail(replyTo('too-slow'));
        connection.transaction = undefined;
      }
    });
    stream.on('end', async () => {
      const answer = transaction.end() ?? (await this.#store(writer, entries, transaction));
      if (typeof answer === 'string') connection.forgive();
      if (typeof answer === 'string') done(null, answer);
      else done(new ReplyError(answer));
      // a pipelining client may have started the next one meanwhile
      if (connection.transaction === transaction) connection.transaction = undefined;
      if (this.#parts.gate.draining) connection.reply(replyTo('draining'));
    });
  }

  /** The text of the 250, or the reply for a failure, within the time limit. */
  async #store(
    writer: SpoolWriter,
    entries: IntakeEntry[],
    transaction: Transaction,
  ): Promise<string | Reply> {
    const { intake, log, limits } = this.#parts;
    const messageId = transaction.messageId;
    for (const entry of entries) entry.messageId = messageId;
    try {
      const stored = await within(limits.storeTimeout, intake.commit(writer, entries), (err) =>
        log.error({ err }, 'a commit failed after its deadline'),
      );
      messagesAccepted.inc();
      octetsAccepted.inc(transaction.octets);
      const ids = stored.map(({ id }) => id);
      const duplicates = stored.filter(({ duplicate }) => duplicate).length;
      const what = duplicates === stored.length ? 'duplicate noted' : 'message accepted';
      log.info({ ids, duplicates, octets: transaction.octets, origin: entries[0]?.origin.detail }, what);
      return `2.0.0 Ok: queued as ${ids.join(' ')}`;
    } catch (error) {
      const facts = { err: error, octets: transaction.octets };
      // While Redis is away or full, every message fails like this.
      logRarely(log, 'error', `store ${toErrorInfo(error).code}`, facts, 'a message could not be stored');
      // it may still succeed: the client sends again, and the intake recognizes the content
      return replyFor(error);
    }
  }

  /** One entry for each mailbox, with its own recipients. */
  #entries(smtp: SMTPServerSession): IntakeEntry[] {
    const { mailFrom } = smtp.envelope;
    const from = mailFrom === false ? '' : mailFrom.address;
    const origin: Origin = { kind: 'smtp', detail: traceOf(smtp) };
    const byMailbox = new Map<string, string[]>();
    for (const [address, mailbox] of this.#accepted.get(smtp.envelope) ?? []) {
      const to = byMailbox.get(mailbox);
      if (to === undefined) byMailbox.set(mailbox, [address]);
      else to.push(address);
    }
    return Array.from(byMailbox, ([mailbox, to]) => ({
      mailbox,
      origin,
      envelope: { from, to },
      messageId: null,
    }));
  }
}

/** What a Received field would say (RFC 5321 section 4.4). */
function traceOf(smtp: SMTPServerSession): Record<string, string | number> {
  return {
    client: smtp.remoteAddress,
    helo: smtp.hostNameAppearsAs,
    protocol: smtp.transmissionType,
    ...(smtp.tlsOptions ? { tls: `${smtp.tlsOptions.version} ${smtp.tlsOptions.name}` } : {}),
  };
}

/** The value, or `redis-unreachable` after `ms` milliseconds; a later failure goes to `late`. */
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
