import { isIP, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { isLoopback } from '../config/index.ts';
import { Body } from './body.ts';
import { ClientError, Recorder, rejectedOf, type Trace, traceLogger } from './dialogue.ts';
import type { DsnParameters } from './dsn.ts';
import { type Auth, type Credentials, logIn, secretsOf } from './login.ts';
import {
  countTested,
  countTls,
  faultOf,
  isTlsError,
  refusedCertificate,
  resultOf,
  shownBy,
  type TlsDemand,
  TlsFault,
} from './tls-check.ts';

/** Milliseconds for the connection, for the greeting, and for silence in between. */
const CONNECT_TIMEOUT = 30_000;
const GREETING_TIMEOUT = 30_000;
const SOCKET_TIMEOUT = 300_000;
/** Milliseconds to wait for the reply to QUIT. */
const QUIT_TIMEOUT = 2000;

export interface ClientOptions {
  host: string;
  /** The addresses to connect to; undefined to let the system look up the host. */
  address?: string | undefined;
  port: number;
  demand: TlsDemand;
  /** Certificate chain and key to present if the server asks, in PEM. */
  clientCertificate: { cert: Buffer; key: Buffer } | undefined;
  auth: Auth | undefined;
  /** Name in EHLO. */
  name: string;
  /** LMTP (RFC 2033): the server answers a message once per recipient. Default: SMTP. */
  lmtp?: boolean | undefined;
  /** Called with the dialogue, without secrets. */
  trace?: Trace | undefined;
}

/** The envelope, and what the server must know about the message. */
export interface OutgoingEnvelope {
  from: string;
  to: string[];
  /** Octets, for SIZE (RFC 1870). */
  size: number | undefined;
  /** Whether the header or an address needs SMTPUTF8. */
  utf8: boolean;
  /** Whether the body may contain octets above 127. */
  eightBit: boolean;
  /** What to request from a server that offers DSN. */
  dsn?: DsnParameters | undefined;
}

/**
 * One SMTP connection. It is nodemailer's, but without its mailer and pool, which cost more than the transaction itself
 * and resend messages on their own.
 */
export class Client {
  readonly host: string;
  readonly #demand: string;
  /** True after a failure or close: the connection cannot be used any more. */
  dead = false;
  /** Transactions so far. */
  transactions = 0;
  readonly #connection: SMTPConnection;
  readonly #recorder: Recorder;
  /** Set during a transaction, once the server has answered DATA. */
  #body: Body | undefined;
  /** Recipients for which the server has accepted the message, one by one (LMTP). */
  readonly #taken: string[] = [];
  /** Called if the connection ends without an error during a step. */
  #onEnd: () => void = () => {};

  private constructor({ host, demand }: ClientOptions, connection: SMTPConnection, recorder: Recorder) {
    this.host = host;
    this.#recorder = recorder;
    this.#demand = JSON.stringify(demand);
    this.#connection = connection;
    sendBodies(connection, {
      made: (body) => {
        this.#body = body;
      },
      taken: (recipient) => void this.#taken.push(recipient),
    });
    connection.on('error', () => {
      this.dead = true;
    });
    connection.on('end', () => {
      this.dead = true;
      // after nodemailer's own callback, which may hold the server's last reply
      setImmediate(() => this.#onEnd());
    });
  }

  /** Whether it leads to the same host, under the same requirements. */
  fits({ host, demand }: ClientOptions): boolean {
    return this.host === host && this.#demand === JSON.stringify(demand);
  }

  /** Connects, secures the connection and logs in. Rejects with a `ClientError`, or with an error of the tokens. */
  static async open(options: ClientOptions, signal: AbortSignal): Promise<Client> {
    const { auth } = options;
    if (auth === undefined || 'pass' in auth) return await Client.#open(options, auth, signal);
    const { user, tokens } = auth;
    return await tokens.login(
      signal,
      (token) => Client.#open(options, { user, token }, signal),
      (error) => error instanceof ClientError && error.stage === 'login' && error.code !== null,
    );
  }

  static async #open(
    options: ClientOptions,
    login: Credentials | undefined,
    signal: AbortSignal,
  ): Promise<Client> {
    const recorder = new Recorder();
    const { trace } = options;
    const tell: Trace = (direction, line) => {
      recorder.trace(direction, line);
      trace?.(direction, line);
    };
    const connection = new SMTPConnection({
      host: options.address ?? options.host,
      port: options.port,
      name: options.name,
      connectionTimeout: CONNECT_TIMEOUT,
      greetingTimeout: GREETING_TIMEOUT,
      socketTimeout: SOCKET_TIMEOUT,
      ...{ logger: traceLogger(tell, login ? secretsOf(login) : []), transactionLog: true },
      lmtp: options.lmtp === true,
      ...tlsOptions(options),
    });
    insistOnData(connection);
    const client = new Client(options, connection, recorder);
    try {
      await client.#start(options, signal);
      if (login !== undefined) await client.#login(options.host, login);
      return client;
    } catch (error) {
      client.close();
      throw client.#saying(error);
    }
  }

  /** An error with the dialogue that led to it. */
  #saying(error: unknown): unknown {
    if (error instanceof ClientError) error.dialogue = this.#recorder.lines;
    return error;
  }

  async #start(options: ClientOptions, signal: AbortSignal): Promise<void> {
    const connection = this.#connection;
    const { demand } = options;
    const handshake = guardHandshake(connection, options);
    await new Promise<void>((resolve, reject) => {
      const failed = (error: SMTPConnection.SMTPError) => {
        const { fault } = handshake;
        const stage = handshake.open || fault || isTlsError(error) ? 'tls' : 'connect';
        if (stage === 'tls') countTls(demand.policy, fault?.result ?? handshakeResult(error));
        const refused = stage === 'tls' ? refusedCertificate(options.host, error) : undefined;
        reject(new ClientError(stage, fault?.message ?? refused ?? explainTls(options, error)));
      };
      const aborted = () => reject(new ClientError('connect', 'sending was aborted'));
      signal.addEventListener('abort', aborted, { once: true });
      connection.once('error', failed);
      // in a variable first: src/redis/commands.ts
      const closed = () => reject(new ClientError('connect', 'the server closed the connection'));
      this.#onEnd = closed;
      connection.connect((error) => {
        signal.removeEventListener('abort', aborted);
        connection.removeListener('error', failed);
        if (error) failed(error);
        else resolve();
      });
    });
    const { secured } = handshake;
    countTls(demand.policy, demand.how === 'none' || secured ? 'ok' : 'starttls-not-supported');
    countTested(demand.tested, secured);
  }

  async #login(host: string, login: Credentials): Promise<void> {
    if (!this.#connection.secure && !isLoopback(host)) {
      throw new ClientError('login', 'the server offers no TLS, and the login is not sent in clear text');
    }
    const refusal = await logIn(this.#connection, host, login);
    if (refusal !== undefined) throw new ClientError('login', refusal.error, 'nothing', refusal.hint);
  }

  /** Whether the server accepts non-ASCII addresses (RFC 6531). */
  get utf8(): boolean {
    return this.#offers('SMTPUTF8');
  }

  /** Whether the server accepts octets above 127 in the body (RFC 6152). */
  get eightBit(): boolean {
    return this.#offers('8BITMIME');
  }

  /** The largest message that the server accepts, in octets (RFC 1870); undefined if it does not say. */
  get maxSize(): number | undefined {
    const size: unknown = Reflect.get(this.#connection, '_maxAllowedSize');
    return typeof size === 'number' && size > 0 ? size : undefined;
  }

  /** The reply to the last EHLO as nodemailer parsed it. Its types do not declare these fields. */
  #offers(extension: string): boolean {
    const found: unknown = Reflect.get(this.#connection, '_supportedExtensions');
    return Array.isArray(found) && found.includes(extension);
  }

  /** Runs one transaction. Resolves with the final reply and the refused recipients; rejects with a `ClientError`. */
  async send(
    { utf8, eightBit, dsn, ...envelope }: OutgoingEnvelope,
    octets: Buffer | Readable,
    signal: AbortSignal,
  ): Promise<{ reply: string; rejected: ClientError['recipients'] }> {
    this.transactions++;
    this.#body = undefined;
    this.#taken.splice(0);
    const connection = this.#connection;
    declare(connection, utf8, this.#offers('DSN') ? dsn : undefined);
    const abort = () => connection.close();
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        connection.send({ ...envelope, use8BitMime: eightBit }, octets, (error, info) => {
          if (error) reject(new ClientError('message', error, this.#passed()));
          else resolve({ reply: info.response, rejected: rejectedOf(info.rejectedErrors) });
        });
        const closed = () =>
          reject(new ClientError('message', 'the connection was closed before the reply', this.#passed()));
        this.#onEnd = closed;
      });
    } catch (error) {
      // half a message may have been sent; and after a refusal, a new connection is simpler than RSET
      if (error instanceof ClientError && error.code !== null) this.quit();
      else this.close();
      if (error instanceof ClientError) error.taken = [...this.#taken];
      throw this.#saying(error);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Names sender and recipients, then cancels. Rejects with a `ClientError` if the server refuses one of them. */
  async probe(from: string, to: readonly string[]): Promise<void> {
    const command = async (line: string) => {
      const reply = await this.#command(line);
      if (reply.startsWith('2')) return;
      throw new ClientError(
        'message',
        Object.assign(new Error(reply), { response: reply, responseCode: Number(reply.slice(0, 3)) }),
      );
    };
    await command(`MAIL FROM:<${from}>`);
    for (const each of to) await command(`RCPT TO:<${each}>`);
    await command('RSET');
  }

  /** Sends a command and reads its reply, through the one place in nodemailer that writes commands. */
  async #command(line: string): Promise<string> {
    const connection = this.#connection;
    const [write, actions]: unknown[] = [
      Reflect.get(connection, '_sendCommand'),
      Reflect.get(connection, '_responseActions'),
    ];
    if (typeof write !== 'function' || !Array.isArray(actions))
      throw new ClientError('message', 'a command cannot be written');
    return await new Promise((resolve, reject) => {
      const closed = () => reject(new ClientError('message', 'the connection was closed before the reply'));
      this.#onEnd = closed;
      actions.push(resolve);
      Reflect.apply(write, connection, [line]);
    });
  }

  #passed(): ClientError['passed'] {
    if (this.#body === undefined || !this.#body.begun) return 'nothing';
    return this.#body.complete ? 'all' : 'part';
  }

  quit(): void {
    if (this.dead) return;
    this.dead = true;
    this.#connection.quit();
    setTimeout(() => this.#connection.close(), QUIT_TIMEOUT).unref();
  }

  close(): void {
    this.dead = true;
    this.#connection.close();
  }
}

/**
 * nodemailer checks only the envelope, but a header with a non-ASCII address needs SMTPUTF8 too (RFC 6531, section
 * 3.4). It also sends the same DSN parameters for all recipients. All commands are written in one place, which is
 * patched here.
 */
function declare(connection: SMTPConnection, utf8: boolean, dsn: DsnParameters | undefined): void {
  Reflect.deleteProperty(connection, '_sendCommand');
  if (!utf8 && !dsn) return;
  const write: unknown = Reflect.get(connection, '_sendCommand');
  if (typeof write !== 'function') throw new ClientError('message', 'no parameters can be declared');
  const declared = (line: string, ...more: unknown[]) => {
    let added = '';
    if (line.startsWith('MAIL FROM:')) {
      if (utf8 && !/ SMTPUTF8(?: |$)/.test(line)) added = ' SMTPUTF8';
      added += dsn?.mail ?? '';
    }
    const recipient = /^RCPT TO:<(.*)>/.exec(line)?.[1];
    if (recipient !== undefined) added += dsn?.recipients.get(recipient) ?? '';
    return Reflect.apply(write, connection, [`${line}${added}`, ...more]);
  };
  Reflect.set(connection, '_sendCommand', declared);
}

/**
 * RFC 5321, section 4.3.2: only 354 means that the server reads what follows as a message. nodemailer continues after
 * 250 as well. Such a server takes each line of the message as a command, and its reply to the first of them would
 * count as the reply to the message.
 */
function insistOnData(connection: SMTPConnection): void {
  const act: unknown = Reflect.get(connection, '_actionDATA');
  if (typeof act !== 'function') throw new ClientError('message', 'the reply to DATA cannot be checked');
  const checked = (reply: string, done: (error: Error) => void) => {
    if (reply.startsWith('2')) done(new Error(`the server answered DATA with ${reply}, instead of 354`));
    else Reflect.apply(act, connection, [reply, done]);
  };
  Reflect.set(connection, '_actionDATA', checked);
}

/**
 * The message goes out through a `Body` (passed to `made`) in place of nodemailer's own stream. An LMTP server answers
 * once for each recipient that it accepted, in order (RFC 2033, section 4.2).
 */
function sendBodies(
  connection: SMTPConnection,
  { made, taken }: { made: (body: Body) => void; taken: (recipient: string) => void },
): void {
  const [answered, answeredOne]: unknown[] = [
    Reflect.get(connection, '_actionSMTPStream'),
    Reflect.get(connection, '_actionLMTPStream'),
  ];
  const create = (done: (error: Error | null, reply?: string) => void) => {
    const [socket, actions, envelope]: unknown[] = [
      Reflect.get(connection, '_socket'),
      Reflect.get(connection, '_responseActions'),
      Reflect.get(connection, '_envelope'),
    ];
    if (
      !(socket instanceof Socket) ||
      !Array.isArray(actions) ||
      typeof answered !== 'function' ||
      typeof answeredOne !== 'function'
    )
      throw new ClientError('message', 'the message cannot be passed to the connection');
    if (connection.options.lmtp === true) {
      const recipients = acceptedOf(envelope);
      for (const [at, recipient] of recipients.entries())
        actions.push((reply: string) => {
          if (reply.startsWith('2')) taken(recipient);
          Reflect.apply(answeredOne, connection, [recipient, at === recipients.length - 1, reply, done]);
        });
    } else actions.push((reply: string) => Reflect.apply(answered, connection, [reply, done]));
    const body = new Body(socket);
    made(body);
    return body;
  };
  Reflect.set(connection, '_createSendStream', create);
}

/** The recipients that the server accepted at RCPT. A copy, because nodemailer removes those that are refused later. */
function acceptedOf(envelope: unknown): string[] {
  const found = typeof envelope === 'object' && envelope !== null && 'accepted' in envelope;
  if (!found || !Array.isArray(envelope.accepted))
    throw new ClientError('message', 'the recipients of the message are not known');
  return envelope.accepted.map(String);
}

/** The state of a connection's handshake. */
interface Handshake {
  /** It has begun and not yet ended. */
  open: boolean;
  /** Why this is not the right server. */
  fault: TlsFault | undefined;
  /** The connection, once its server has been judged. */
  secured: TLSSocket | undefined;
}

/**
 * Judges the server when the handshake has ended, before anything else is sent. nodemailer goes straight on to EHLO, in
 * two places; both are patched here.
 */
function guardHandshake(connection: SMTPConnection, { host, demand: { verify } }: ClientOptions): Handshake {
  const handshake: Handshake = { open: false, fault: undefined, secured: undefined };
  const judge = () => {
    const socket: unknown = Reflect.get(connection, '_socket');
    if (!(socket instanceof TLSSocket)) throw new ClientError('tls', 'the server cannot be verified');
    handshake.open = false;
    const fault = faultOf(socket, verify);
    handshake.fault = fault && new TlsFault(fault.result, `${host}: ${fault.message} (${shownBy(socket)})`);
    if (handshake.fault === undefined) handshake.secured = socket;
    return handshake.fault;
  };
  patch(connection, '_upgradeConnection', (upgrade, [done]) => {
    handshake.open = true;
    upgrade((error: Error | null, secured?: boolean) => {
      if (typeof done === 'function') done(error ?? judge() ?? null, secured);
    });
  });
  patch(connection, '_onConnect', (goOn) => {
    const implicit = Reflect.get(connection, '_socket') instanceof TLSSocket;
    const fault = implicit ? judge() : undefined;
    if (fault === undefined) goOn();
    else Reflect.apply(methodOf(connection, '_onError'), connection, [fault, 'ETLS', false, 'CONN']);
  });
  return handshake;
}

type Method = (...args: unknown[]) => unknown;

function methodOf(connection: SMTPConnection, name: string): Method {
  const method: unknown = Reflect.get(connection, name);
  if (typeof method !== 'function') throw new ClientError('connect', `the SMTP library has no ${name}`);
  return (...args) => Reflect.apply(method, connection, args);
}

/** Replaces a method of nodemailer that its types do not declare. */
function patch(
  connection: SMTPConnection,
  name: string,
  act: (original: Method, args: unknown[]) => void,
): void {
  const original = methodOf(connection, name);
  Reflect.set(connection, name, (...args: unknown[]) => act(original, args));
}

function tlsOptions({ host, demand, clientCertificate }: ClientOptions): SMTPConnection.Options {
  const { how, verify, serverName = host } = demand;
  const tls = {
    minVersion: 'TLSv1.2' as const,
    // everything but a name is judged after the handshake
    rejectUnauthorized: verify.by === 'name',
    ...(verify.by === 'name' && verify.ca !== undefined ? { ca: verify.ca } : {}),
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ...clientCertificate,
  };
  switch (how) {
    case 'implicit':
      return { secure: true, tls };
    case 'required':
      return { secure: false, requireTLS: true, tls };
    case 'opportunistic':
      // not nodemailer's own `opportunisticTLS`, which goes on in clear text when STARTTLS fails
      return { secure: false, tls };
    case 'none':
      return { secure: false, ignoreTLS: true };
  }
}

const isRefusedStartTls = ({ command, responseCode }: SMTPConnection.SMTPError) =>
  command === 'STARTTLS' && Boolean(responseCode);

function handshakeResult(error: SMTPConnection.SMTPError) {
  return isRefusedStartTls(error) ? 'starttls-not-supported' : resultOf(error);
}

/** nodemailer sends STARTTLS even if the server did not offer it. The operator should learn the real reason. */
function explainTls(
  { demand, host }: ClientOptions,
  error: SMTPConnection.SMTPError,
): SMTPConnection.SMTPError | string {
  if (demand.how !== 'required' || !isRefusedStartTls(error)) return error;
  return `TLS is required by the route but ${host} does not offer STARTTLS`;
}
