import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { SMTPServer } from 'smtp-server';
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import type { Client } from '../client/index.ts';
import { SealpostError } from '../errors.ts';
import { DataParser } from './data-parser.ts';
import { isEnvid, isOrcpt, parametersOf, type RecipientDsn, type SmtpParameters } from './dsn.ts';
import { refusals } from './metrics.ts';
import { commandForLog } from './refusal-log.ts';
import { type Reply, replyTo } from './replies.ts';
import type { Transaction } from './transaction.ts';

/** Consecutive errors (5xx) without an accepted message before a client is disconnected (as in Postfix). */
export const MAX_ERRORS = 20;
/** Consecutive commands that do not advance a message before a client is disconnected (as in Postfix). */
export const MAX_IDLE_COMMANDS = 100;
const idleCommands = ['NOOP', 'RSET', 'VRFY', 'HELP', 'EHLO', 'HELO'];
/** Known parameters of MAIL (RFC 1870, 6152, 6531, 8689). RCPT has none. */
const mailParameters = ['SIZE', 'BODY', 'SMTPUTF8', 'REQUIRETLS'];
/** What submission knows in addition: DSN (RFC 3461), and AUTH (RFC 4954 section 5), whose value is never trusted. */
const submissionParameters = ['RET', 'ENVID', 'AUTH'];
const recipientParameters = ['NOTIFY', 'ORCPT'];
/** HTTP methods. None of them is an SMTP command, whatever follows. */
const httpMethod = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT|PRI)[ \t]/i;
/** A request line of HTTP, of any version and method. */
const httpRequest = /^[A-Za-z-]{3,20} \S.* HTTP\/\d(?:\.\d)?\s*$/;

/** A refusal, as it is logged and counted. */
export interface RefusedCommand {
  connection: Connection;
  code: number;
  reply: string;
  command: string;
  /** The error behind it, if there is one. */
  why: SealpostError | undefined;
}

export interface ConnectionPolicy {
  /** Programs log in and submit mail for partners. */
  submission: boolean;
  /** Milliseconds before the greeting. A client that talks earlier is disconnected. */
  greetingDelay: number;
  /** Milliseconds that a client may take for one command, even if it keeps sending single octets. */
  commandTimeout: number;
  /** Milliseconds for the TLS handshake. */
  handshakeTimeout: number;
  /** Called for each reply with a code of 400 or above. */
  onRefused: (refused: RefusedCommand) => void;
}

function nothing(): void {}

/**
 * A session of smtp-server with what the library lacks: a configurable greeting delay; our own enhanced status codes;
 * deadlines for each command, the TLS handshake and DATA (the library's idle timeout restarts with each octet); limits
 * on errors and idle commands; 555 for parameters that were not offered; and a fast DATA parser.
 */
export class Connection extends SMTPConnection {
  /** The DATA in progress. */
  transaction: Transaction | undefined;
  /** The client that has logged in. */
  client: Client | undefined;
  /** SHA-256 of the public key of the client's certificate, in hex. */
  pin: string | undefined;
  /** Parameters of the last MAIL. */
  mailParameters: SmtpParameters = new Map();
  readonly #policy: ConnectionPolicy;
  #onEnd: () => void = nothing;
  #errors = 0;
  #idleCommands = 0;
  #heardAt = performance.now();
  #command = '';
  /** What the client requests for each recipient, by address as written. */
  #dsn = new Map<string, RecipientDsn>();
  #why: unknown;
  /** The TLS socket of a handshake after STARTTLS, until the library takes it over. */
  #handshake: Socket | undefined;

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
      if (this.#policy.greetingDelay === 0) this.connectionReady();
      else setTimeout(() => this.connectionReady(), this.#policy.greetingDelay).unref();
    });
  }

  /** As in the library, but with our own search for the end of DATA. Also called by the library's constructor. */
  override _createParser(): DataParser {
    const parser = new DataParser({ maxCommandLength: this._server.options.maxCommandLength });
    // in a variable first: src/redis/commands.ts
    const oncommand: DataParser['oncommand'] = (command, callback) => this._onCommand(command, callback);
    parser.oncommand = oncommand;
    parser.on('error', (error) => this.send(421, `Error: ${error.message}`));
    return parser;
  }

  /** Calls `listener` when the connection has ended for any reason. */
  onceEnded(listener: () => void): void {
    this.#onEnd = listener;
    this._socket.once('close', () => this._onClose());
  }

  /** Our own replies already start with an enhanced status. The library would prefix its own. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const own = typeof data === 'string' && /^[245]\.\d\.\d{1,3} /.test(data);
    super.send(code, data, own ? false : context);
    this.#heardAt = performance.now();
    if (code < 400) return;
    refusals.inc({ code: String(code) });
    const reply = Array.isArray(data) ? data.join(' ') : (data ?? '');
    const why = this.#why instanceof SealpostError ? this.#why : undefined;
    this.#why = undefined;
    this.#policy.onRefused({ connection: this, code, reply, command: commandForLog(this.#command), why });
    if (code >= 500 && ++this.#errors >= MAX_ERRORS && !this._closing) this.reply(replyTo('too-many-errors'));
  }

  reply(reply: Reply): void {
    this.send(reply.code, `${reply.enhanced} ${reply.text}`, false);
  }

  /** Keeps the error for the log line of the reply that follows. */
  note(error: unknown): void {
    this.#why = error;
  }

  /** A message was accepted: earlier errors are forgiven. */
  forgive(): void {
    this.#errors = 0;
    this.#idleCommands = 0;
  }

  override _onCommand(command: Buffer, callback?: () => void): void {
    // what arrives during the handshake was sent in clear text, and the library drops it
    if (!this._upgrading) {
      this.#command = command.toString();
      const [verb = ''] = this.#command.split(' ', 1);
      if (idleCommands.includes(verb.toUpperCase()) && ++this.#idleCommands > MAX_IDLE_COMMANDS) {
        this.reply(replyTo('too-many-commands'));
        return;
      }
      // A website can make a browser send a form here, and lines of the form would be read as commands.
      if (httpMethod.test(this.#command) || httpRequest.test(this.#command)) {
        this.reply(replyTo('not-smtp'));
        return;
      }
      if (verb.toUpperCase() === 'AUTH' && this.#policy.submission && !this.secure) {
        this.reply(replyTo('login-in-clear'));
        setImmediate(() => this._whenWritable(callback ?? (() => {})));
        return;
      }
    }
    super._onCommand(command, callback);
  }

  /** AUTH exists, and is offered, only over TLS. */
  override _isDisabled(command: string): boolean {
    return super._isDisabled(command) || (command === 'AUTH' && !this.secure);
  }

  override handler_MAIL(command: Buffer, callback: () => void): void {
    this.mailParameters = parametersOf(command.toString());
    this.#dsn = new Map();
    super.handler_MAIL(command, callback);
  }

  override _validateMailParams(
    ...[parsed]: Parameters<SMTPConnection['_validateMailParams']>
  ): ReturnType<SMTPConnection['_validateMailParams']> {
    const known = this.#policy.submission ? [...mailParameters, ...submissionParameters] : mailParameters;
    const offered = (name: string) => known.includes(name) && (name !== 'REQUIRETLS' || this.secure === true);
    const unknown = Object.keys(parsed.args || {}).some((name) => !offered(name));
    const envid = this.mailParameters.get('ENVID');
    if (!unknown && (envid === undefined || isEnvid(envid))) return super._validateMailParams(parsed);
    const { code, enhanced, text } = replyTo(unknown ? 'unknown-parameter' : 'parameter-syntax');
    return { code, message: `${enhanced} ${text}`, enhancedCode: null };
  }

  override handler_RCPT(command: Buffer, callback: () => void): void {
    const parsed = this._parseAddressCommand('rcpt to', command);
    const names = parsed === false ? [] : Object.keys(parsed.args || {});
    const known = this.#policy.submission ? recipientParameters : [];
    if (names.some((name) => !known.includes(name))) {
      this.reply(replyTo('unknown-parameter'));
      callback();
      return;
    }
    const orcpt = parametersOf(command.toString()).get('ORCPT');
    if (parsed !== false && names.includes('ORCPT') && !isOrcpt(orcpt ?? '')) {
      this.reply(replyTo('parameter-syntax'));
      callback();
      return;
    }
    if (parsed !== false && orcpt !== undefined) this.#dsn.set(parsed.address, { orcpt });
    super.handler_RCPT(command, callback);
  }

  /** What the client requested for a recipient, by address as written. */
  dsnOf(address: string): RecipientDsn | undefined {
    const notify = this.session.envelope.rcptTo.find((each) => each.address === address)?.dsn?.notify;
    const orcpt = this.#dsn.get(address)?.orcpt;
    if (notify === undefined && orcpt === undefined) return undefined;
    return { ...(notify && { notify }), ...(orcpt !== undefined && { orcpt }) };
  }

  override upgrade(callback: () => void, secureCallback?: () => void): void {
    const clear = this._socket;
    super.upgrade(callback, secureCallback);
    // the library has just removed all its listeners
    clear.once('close', () => this._onClose());
    this.#heardAt = performance.now();
  }

  override _armTimeout(socket?: Socket): void {
    super._armTimeout(socket);
    if (this._upgrading && socket !== undefined) this.#handshake = socket;
  }

  override _onClose(): void {
    super._onClose();
    this.#onEnd();
    this.#onEnd = nothing;
  }

  /** True between MAIL and the reply to DATA. */
  get inTransaction(): boolean {
    if (this._closed || this._upgrading) return false;
    return this.transaction !== undefined || (this.session.envelope?.mailFrom ?? false) !== false;
  }

  /** Disconnects a client that takes too long. Called at regular intervals. */
  checkDeadlines(now: number): void {
    if (this._closed) return;
    if (this._upgrading) {
      if (now - this.#heardAt > this.#policy.handshakeTimeout) this.#endHandshake();
      return;
    }
    if (this._closing) return;
    if (this.transaction !== undefined) {
      const late = this.transaction.overdue(now);
      if (late === 'client') {
        this.transaction.fail(replyTo('too-slow'));
        this.reply(replyTo('too-slow'));
      } else if (late === 'store') {
        // the parser waits for the spool and reads no more: answer now, and let the client try again
        this.transaction.fail(replyTo('spool-write'));
        this.send(421, '4.3.0 The message cannot be stored now, try again', false);
      }
      return;
    }
    if (this._handlerPending || now - this.#heardAt <= this.#policy.commandTimeout) return;
    this.reply(replyTo('idle'));
  }

  /** Ends the session at once. */
  cut(): void {
    if (this._upgrading) {
      this.#endHandshake();
      return;
    }
    this.reply(replyTo('draining'));
    this._socket.destroySoon();
  }

  /** Nothing can be sent during a handshake. The TLS socket is destroyed first, which also ends the underlying one. */
  #endHandshake(): void {
    (this.#handshake ?? this._socket).destroy();
  }
}
