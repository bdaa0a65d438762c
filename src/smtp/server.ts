import type { Socket } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { type Config, followTls, type MailboxConfig, ownName, tlsAt } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { cleanText, type Log } from '../log.ts';
import type { Tracer } from '../message/index.ts';
import { clientOf, listenShared } from '../net/index.ts';
import type { Intake } from '../queue/index.ts';
import type { Acceptance } from './acceptance.ts';
import { Connection, type ConnectionPolicy, type RefusedCommand } from './connection.ts';
import { Gate } from './gate.ts';
import { MailboxAcceptance, Recipients } from './mailboxes.ts';
import { connectionsOpen, connectionsTotal, refusals } from './metrics.ts';
import { RefusalLog } from './refusal-log.ts';
import { type Reply, replyTo } from './replies.ts';
import { Session } from './session.ts';
import { SubmissionAcceptance, type SubmissionDoor } from './submission.ts';

/** Milliseconds that storing a message durably may take before the client gets 451. */
export const STORE_TIMEOUT = 30_000;
/** Longest command line in octets: 512 plus what the extensions add (RFC 5321 section 4.5.3.1.4), doubled. */
const MAX_COMMAND = 4096;

export interface SmtpReceiverParts {
  config: Config['smtp'];
  mailboxes: readonly MailboxConfig[];
  intake: Pick<Intake, 'begin' | 'commit'> & Partial<Pick<Intake, 'refusal'>>;
  log: Log;
  /** Only for listeners of the kind `submission`. */
  submission?: SubmissionDoor | undefined;
  /** Milliseconds; default 30,000. */
  storeTimeout?: number;
  /** Recognizes mail that was handed on from one of our mailboxes before. Default: nothing is recognized. */
  trace?: Tracer | undefined;
  /** Whether a person has paused a mailbox. Its mail is deferred. */
  isPaused?: (mailbox: string) => boolean;
  /** Listen beside the process that this one replaces. */
  takeOver?: boolean;
  /**
   * The time of day, in milliseconds since the epoch; it decides which certificate is used. Default: this machine's
   * clock.
   */
  now?: () => number;
}

export interface SmtpReceiver {
  /** Listens on all configured addresses; resolves with the actual ones, in the same order. */
  listen(): Promise<{ host: string; port: number }[]>;
  /**
   * Drains. New clients and new transactions get 421, and transactions in flight have `timeout` milliseconds to finish;
   * then everything is closed. With `handover`, another process is already listening: nobody is turned away, and
   * connected clients have half of the time to send whatever they want. Idempotent.
   */
  close(timeout: number, handover?: boolean): Promise<void>;
}

/**
 * The SMTP receiver (RFC 5321 with SIZE, 8BITMIME, SMTPUTF8, PIPELINING, STARTTLS), and submission for programs, which
 * adds AUTH and DSN. A 250 after DATA means that the intake has the message on disk. No Received field is added to mail
 * for a mailbox: it is kept as received, because ids and signatures depend on it, and its origin holds the trace.
 *
 * Errors: `config-invalid`, `file-access`, `file-mode`, `certificate-malformed`; `listen-failed` from `listen`.
 */
export function createSmtpReceiver(parts: SmtpReceiverParts): SmtpReceiver {
  const { config, log } = parts;
  const clock = () => new Date((parts.now ?? Date.now)());
  const tls = config.tls === undefined ? undefined : tlsAt(config.tls, clock());
  const areBoth = new Set(config.listen.map(({ kind }) => kind)).size > 1;
  const gate = new Gate(config.maxConnections, config.maxConnectionsPerClient, areBoth);
  const refusalLog = new RefusalLog(log);
  const policy = {
    gate,
    refusalLog,
    greetingDelay: config.greetingDelay,
    commandTimeout: config.commandTimeout,
    handshakeTimeout: config.handshakeTimeout,
    onRefused: (refused: RefusedCommand) => noteRefused(refusalLog, refused),
  };
  const sessionWith = (acceptance: Acceptance) =>
    new Session({
      acceptance,
      intake: parts.intake,
      log,
      gate,
      requireTls: config.requireTls,
      maxRecipients: config.maxRecipients,
      limits: {
        maxSize: config.maxSize,
        timeout: config.dataTimeout,
        minimumRate: config.dataMinimumRate,
        storeTimeout: parts.storeTimeout ?? STORE_TIMEOUT,
      },
    });
  const mx = sessionWith(
    new MailboxAcceptance(new Recipients(parts.mailboxes), parts.intake, parts.trace, parts.isPaused),
  );
  const programs = parts.submission && new SubmissionAcceptance(parts.submission);
  const submitted = programs && sessionWith(programs);
  const servers = config.listen.map(({ implicitTls, kind }) => {
    const submission = kind === 'submission';
    if ((implicitTls || submission) && tls === undefined) {
      const what = submission ? 'a listener for submission' : 'implicitTls';
      throw new SealpostError('config-invalid', `smtp.listen has ${what} but smtp.tls is not set`, {
        hint: 'set smtp.tls.cert and smtp.tls.key',
      });
    }
    const session = submission ? submitted : mx;
    if (session === undefined)
      throw new SealpostError('internal', 'a listener for submission has nobody to submit to');
    const options: SMTPServerOptions = {
      ...(tls === undefined ? {} : { cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' }),
      secure: implicitTls,
      name: ownName({ smtp: config }),
      heloResponse: '%s',
      size: config.maxSize,
      rejectOversized: true,
      hideENHANCEDSTATUSCODES: false,
      disableReverseLookup: true,
      hideSTARTTLS: tls === undefined,
      disabledCommands: ['XCLIENT', 'XFORWARD', 'WIZ', 'SHELL', 'KILL']
        .concat(tls ? [] : 'STARTTLS')
        .concat(submission ? [] : 'AUTH'),
      socketTimeout: config.commandTimeout,
      hideREQUIRETLS: false, // offered over TLS: a message that is handed off has no further SMTP hop
      maxRecipients: config.maxRecipients,
      maxCommandLength: MAX_COMMAND,
      closeTimeout: 1000,
      logger: false,
      ...(submission && programs ? submissionOptions(programs, session) : {}),
      onMailFrom: (address, smtp, done) => session.mail(address, smtp, done),
      onRcptTo: (address, smtp, done) => session.recipient(address, smtp, done),
      onData: (stream, smtp, done) => session.data(stream, smtp, done),
    };
    const server = new Listener(options, { ...policy, submission }, session);
    server.on('error', (err: ConnectionError) => noteFailure(refusalLog, err));
    return server;
  });

  const shortest = Math.min(
    config.commandTimeout,
    config.handshakeTimeout,
    config.dataTimeout,
    parts.storeTimeout ?? STORE_TIMEOUT,
  );
  const watch = () => {
    const now = performance.now();
    for (const server of servers) for (const connection of server.sessions) connection.checkDeadlines(now);
  };
  const followed =
    config.tls &&
    tls &&
    followTls(config.tls, tls, {
      now: clock,
      apply({ cert, key }) {
        for (const server of servers) server.updateSecureContext({ cert, key });
        log.info({}, 'the SMTP listener uses another certificate from now on');
      },
      onTrouble: (err) => log.error({ err }, 'the certificate of the SMTP listener could not be read again'),
    });
  if (followed) for (const { server } of servers) server.prependListener('connection', followed.arrives);
  let timer: NodeJS.Timeout | undefined;
  let closing: Promise<void> | undefined;

  return {
    async listen() {
      timer = setInterval(watch, Math.max(20, Math.min(1000, shortest / 4)));
      timer.unref();
      const bound: { host: string; port: number }[] = [];
      for (const [index, server] of servers.entries()) {
        const address = config.listen[index];
        if (address !== undefined)
          bound.push(await server.bind(address.host, address.port, parts.takeOver ?? false));
      }
      return bound;
    },
    close(timeout, handover = false) {
      closing ??= drain(servers, gate, timeout, handover).finally(() => {
        clearInterval(timer);
        followed?.stop();
        refusalLog.flush();
      });
      return closing;
    },
  };
}

/**
 * Options that a listener for programs needs in addition. The session checks at each MAIL whether the client is logged
 * in.
 */
function submissionOptions(programs: SubmissionAcceptance, session: Session): SMTPServerOptions {
  return {
    authMethods: ['PLAIN', 'LOGIN'],
    authOptional: true,
    hideDSN: false,
    requestCert: true,
    // certificates are recognized by their pins, whoever signed them
    rejectUnauthorized: false,
    onAuth: (auth, smtp, done) => programs.login(auth, session.connectionOf(smtp), done),
    onSecure(socket, smtp, done) {
      programs.secured(socket, session.connectionOf(smtp));
      done();
    },
  };
}

interface ListenerPolicy extends ConnectionPolicy {
  gate: Gate;
  refusalLog: RefusalLog;
}

const draining = replyTo('draining');
const lastWord = `${draining.enhanced} ${draining.text}`;

function noteRefused(
  refusalLog: RefusalLog,
  { connection, code, reply, command, why }: RefusedCommand,
): void {
  // our own error, sent to every connected client
  if (reply === lastWord) return;
  const { remoteAddress, hostNameAppearsAs, session, transaction } = connection;
  const { mailFrom, rcptTo } = session.envelope ?? { mailFrom: false, rcptTo: [] };
  const envelope = mailFrom ? { from: cleanText(mailFrom.address, 256), recipients: rcptTo.length } : {};
  refusalLog.note({
    client: clientOf(remoteAddress),
    kind: `${code} ${/^[45]\.\d\.\d{1,3} /.exec(reply)?.[0] ?? ''}`,
    fields: {
      client: remoteAddress,
      ...(hostNameAppearsAs ? { helo: cleanText(hostNameAppearsAs, 256) } : {}),
      command,
      reply: `${code} ${cleanText(reply, 200)}`,
      ...envelope,
      ...(connection.client === undefined ? {} : { login: connection.client.name }),
      ...(why === undefined ? {} : { why: cleanText(why.message, 200), hint: why.hint }),
      ...(transaction === undefined ? {} : { octets: transaction.octets }),
    },
  });
}

/** Properties that smtp-server adds to an error. */
interface ConnectionError extends Error {
  code?: string;
  remoteAddress?: string;
  meta?: { remoteAddress?: string };
}

/** A broken connection or failed handshake. The library's message may contain anything, so only its code is kept. */
function noteFailure(refusalLog: RefusalLog, error: ConnectionError): void {
  const { code, remoteAddress, meta } = error;
  const client = meta?.remoteAddress ?? remoteAddress ?? 'unknown';
  const why = code ?? error.name;
  refusalLog.note({
    client: clientOf(client),
    kind: `failed ${why}`,
    fields: { client, reply: `the connection failed: ${cleanText(why, 80)}` },
  });
}

/** One listening address. */
class Listener extends SMTPServer {
  readonly sessions = new Set<Connection>();
  readonly #policy: ListenerPolicy;
  readonly #session: Session;

  constructor(options: SMTPServerOptions, policy: ListenerPolicy, session: Session) {
    super(options);
    this.#policy = policy;
    this.#session = session;
  }

  /** Counted before anything else, TLS included: a client that never finishes its handshake counts too. */
  override _acceptSocket(socket: Socket, handshake: boolean): (() => void) | false {
    const { gate, refusalLog, handshakeTimeout, submission } = this.#policy;
    const address = socket.remoteAddress ?? '';
    const entry = gate.enter(address, submission ? 'submission' : 'mx');
    if ('refusal' in entry) {
      turnAway(socket, entry.refusal, handshake);
      const { code, enhanced, text } = entry.refusal;
      refusals.inc({ code: String(code) });
      const fields = { client: address, command: 'connect', reply: `${code} ${enhanced} ${text}` };
      refusalLog.note({ client: clientOf(address), kind: `connect ${code} ${enhanced}`, fields });
      return false;
    }
    connectionsTotal.inc();
    connectionsOpen.set(gate.open);
    this.#places.set(socket, () => {
      entry.leave();
      connectionsOpen.set(gate.open);
    });
    const free = () => this.#free(socket);
    socket.once('close', free);
    const release = super._acceptSocket(socket, handshake);
    if (release === false || !handshake) return release;
    // the topmost socket first: according to the library, Node crashes in the other order during a handshake
    const late = setTimeout(() => (this._pendingSockets.get(socket) ?? socket).destroy(), handshakeTimeout);
    return () => {
      clearTimeout(late);
      release();
    };
  }

  readonly #places = new WeakMap<Socket, () => void>();

  #free(socket: Socket): void {
    this.#places.get(socket)?.();
    this.#places.delete(socket);
  }

  override connect(...[socket, options]: Parameters<SMTPServer['connect']>): void {
    const connection = new Connection(this, socket, this.#policy, options);
    this.connections.add(connection);
    this.sessions.add(connection);
    this.#session.register(connection);
    connection.onceEnded(() => {
      this.sessions.delete(connection);
      this.#free(socket);
    });
    connection.on('error', (error: Error) => this.emit('error', error));
    connection.init();
  }

  async bind(host: string, port: number, takeOver: boolean): Promise<{ host: string; port: number }> {
    try {
      await listenShared(this.server, { host, port }, takeOver);
    } catch (cause) {
      throw new SealpostError('listen-failed', `cannot listen for SMTP on ${host}:${port}`, { cause });
    }
    const address = this.server.address();
    return { host, port: typeof address === 'object' && address !== null ? address.port : port };
  }
}

/** Sends a refusal if possible, then drops the connection. */
function turnAway(socket: Socket, { code, enhanced, text }: Reply, handshake: boolean): void {
  socket.on('error', () => {});
  if (handshake) {
    socket.destroy();
    return;
  }
  socket.write(`${code} ${enhanced} ${text}\r\n`);
  socket.destroySoon();
}

async function drain(
  servers: readonly Listener[],
  gate: Gate,
  timeout: number,
  handover: boolean,
): Promise<void> {
  const all = () => servers.flatMap((server) => [...server.sessions]);
  const end = performance.now() + timeout;
  if (handover) {
    for (const { server } of servers) server.close();
    while (performance.now() < end - timeout / 2 && all().length > 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }
  gate.draining = true;
  for (const connection of all()) if (!connection.inTransaction) connection.cut();
  while (performance.now() < end && all().some((connection) => connection.inTransaction)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  for (const connection of all()) connection.cut();
  await Promise.all(
    servers
      .filter((server) => server.server.listening)
      .map((server) => new Promise<void>((resolve) => server.close(resolve))),
  );
  for (const connection of all()) connection._socket.destroy();
}
