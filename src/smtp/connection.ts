import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { SMTPServer } from 'smtp-server';
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import type { Gate } from './gate.ts';
import { connectionsOpen, connectionsTotal, refusals } from './metrics.ts';
import { type Reply, replyTo } from './replies.ts';
import type { Transaction } from './transaction.ts';

/** Errors of the client (5xx) in a row, without an accepted message, before it is sent away (as Postfix does). */
const MAX_ERRORS = 20;

export interface ConnectionPolicy {
  gate: Gate;
  /** Milliseconds before the greeting; who talks earlier is sent away. */
  greetingDelay: number;
  /** Milliseconds that a client may take for one command, octet by octet or not. */
  commandTimeout: number;
}

/**
 * A session of smtp-server with what the library leaves out: one gate for all listeners that answers before
 * anything else, a greeting delay of our choice, enhanced status codes of our own table, a deadline for each
 * command (its idle timeout starts anew with each octet) and for DATA, and a limit of errors.
 */
export class Connection extends SMTPConnection {
  /** The DATA in progress. */
  transaction: Transaction | undefined;
  readonly #policy: ConnectionPolicy;
  #leave: (() => void) | undefined;
  #errors = 0;
  #heardAt = Date.now();

  constructor(
    server: SMTPServer,
    socket: Socket | TLSSocket,
    policy: ConnectionPolicy,
    options?: SMTPConnectionOptions | null,
  ) {
    super(server, socket, options);
    this.#policy = policy;
  }

  override init(): void {
    this._setListeners(() => {
      const entry = this.#policy.gate.enter(this.remoteAddress);
      if ('refusal' in entry) {
        this.reply(entry.refusal);
        return;
      }
      this.#leave = entry.leave;
      connectionsTotal.inc();
      connectionsOpen.set(this.#policy.gate.open);
      if (this.#policy.greetingDelay === 0) this.connectionReady();
      else setTimeout(() => this.connectionReady(), this.#policy.greetingDelay).unref();
    });
  }

  /** Replies of our own begin with their enhanced status; the library's get theirs from the library. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const own = typeof data === 'string' && /^[245]\.\d\.\d{1,3} /.test(data);
    super.send(code, data, own ? false : context);
    this.#heardAt = Date.now();
    if (code < 400) return;
    refusals.inc({ code: String(code) });
    if (code >= 500 && ++this.#errors >= MAX_ERRORS && !this._closing) this.reply(replyTo('too-many-errors'));
  }

  reply(reply: Reply): void {
    this.send(reply.code, `${reply.enhanced} ${reply.text}`, false);
  }

  /** A message was accepted: earlier errors are forgiven. */
  forgive(): void {
    this.#errors = 0;
  }

  override _onClose(): void {
    super._onClose();
    this.#leave?.();
    this.#leave = undefined;
    connectionsOpen.set(this.#policy.gate.open);
  }

  /** True between MAIL and the reply to DATA. */
  get inTransaction(): boolean {
    return this.transaction !== undefined || (this.session.envelope?.mailFrom ?? false) !== false;
  }

  /** Sends away a client that takes too long. To be called now and then. */
  checkDeadlines(now: number): void {
    if (this._closing || this._closed) return;
    if (this.transaction !== undefined) {
      const late = this.transaction.overdue(now);
      if (late === 'client') {
        this.transaction.fail(replyTo('too-slow'));
        this.reply(replyTo('too-slow'));
      } else if (late === 'store') {
        // the parser waits for the spool and will not read on: answer now, and let the client come again
        this.transaction.fail(replyTo('spool-write'));
        this.send(421, '4.3.0 The message can not be stored now, try again', false);
      }
      return;
    }
    if (this._handlerPending || now - this.#heardAt <= this.#policy.commandTimeout) return;
    this.reply(replyTo('idle'));
    // the library sends nothing during a TLS handshake and waits for the peer's end; this one had its time
    if (this._upgrading) this._socket.destroy();
  }

  /** Ends the session at once. */
  cut(): void {
    this.reply(replyTo('draining'));
    this._socket.destroySoon();
  }
}
