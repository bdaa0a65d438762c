import { hostname } from 'node:os';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { Config, MailboxConfig } from '../config/schema.ts';
import { readListenerTls } from '../config/tls.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Intake } from '../queue/types.ts';
import { Connection, type ConnectionPolicy } from './connection.ts';
import { Gate } from './gate.ts';
import { listenShared } from './listen.ts';
import { Recipients } from './recipients.ts';
import { Session } from './session.ts';

/** Milliseconds that the durable store of a message may take before the client reads 451. */
const STORE_TIMEOUT = 30_000;
/** Longest command line in octets: 512 and what the extensions add (RFC 5321 section 4.5.3.1.4), doubled. */
const MAX_COMMAND = 4096;

export interface SmtpReceiverParts {
  config: Config['smtp'];
  mailboxes: readonly MailboxConfig[];
  intake: Pick<Intake, 'begin' | 'commit'> & Partial<Pick<Intake, 'refusal'>>;
  log: Log;
  /** Milliseconds; default 30,000. */
  storeTimeout?: number;
  /** Listen beside the process that this one takes over from. */
  takeOver?: boolean;
}

export interface SmtpReceiver {
  /** Listens on all addresses of the configuration; resolves with what it got, in their order. */
  listen(): Promise<{ host: string; port: number }[]>;
  /**
   * Drains: new clients and new transactions get 421, what is in flight has `timeout` milliseconds to finish;
   * then everything is closed. With `handover` another process listens already: nobody is turned away, and clients who are
   * connected have half of the time for whatever they want to send. Idempotent.
   */
  close(timeout: number, handover?: boolean): Promise<void>;
}

/**
 * The SMTP receiver (RFC 5321 with SIZE, 8BITMIME, SMTPUTF8, PIPELINING, STARTTLS; no AUTH). A 250 after DATA
 * means that the intake has the message on disk. No Received field is added: the octets are kept as they came
 * (ids and signatures depend on them) and the trace facts stand in the origin.
 *
 * Errors: `config-invalid`, `file-access`, `file-mode`, `certificate-malformed`; `listen-failed` from `listen`.
 */
export function createSmtpReceiver(parts: SmtpReceiverParts): SmtpReceiver {
  const { config, log } = parts;
  const tls = config.tls === undefined ? undefined : readListenerTls(config.tls);
  const gate = new Gate(config.maxConnections, config.maxConnectionsPerClient);
  const policy: ConnectionPolicy = {
    gate,
    greetingDelay: config.greetingDelay,
    commandTimeout: config.commandTimeout,
  };
  const session = new Session({
    recipients: new Recipients(parts.mailboxes),
    intake: parts.intake,
    log,
    gate,
    requireTls: config.requireTls,
    limits: {
      maxSize: config.maxSize,
      timeout: config.dataTimeout,
      minimumRate: config.dataMinimumRate,
      storeTimeout: parts.storeTimeout ?? STORE_TIMEOUT,
    },
  });
  const servers = config.listen.map(({ implicitTls }) => {
    if (implicitTls && tls === undefined) {
      throw new SealpostError('config-invalid', 'smtp.listen has implicitTls but smtp.tls is not set', {
        hint: 'set smtp.tls.cert and smtp.tls.key',
      });
    }
    const options: SMTPServerOptions = {
      ...(tls === undefined ? {} : { cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' }),
      secure: implicitTls,
      name: config.hostname ?? hostname(),
      heloResponse: '%s',
      size: config.maxSize,
      rejectOversized: true,
      hideENHANCEDSTATUSCODES: false,
      disableReverseLookup: true,
      hideSTARTTLS: tls === undefined,
      disabledCommands: ['AUTH', 'XCLIENT', 'XFORWARD', 'WIZ', 'SHELL', 'KILL'].concat(tls ? [] : 'STARTTLS'),
      socketTimeout: config.commandTimeout,
      maxClients: config.maxConnections, // of TLS handshakes; sessions are counted by the gate
      maxRecipients: config.maxRecipients,
      maxCommandLength: MAX_COMMAND,
      closeTimeout: 1000,
      logger: false,
      onMailFrom: (address, smtp, done) => session.mail(address, smtp, done),
      onRcptTo: (address, smtp, done) => session.recipient(address, smtp, done),
      onData: (stream, smtp, done) => session.data(stream, smtp, done),
    };
    const server = new Listener(options, policy, session);
    server.on('error', (err) => log.debug({ err }, 'an SMTP connection failed'));
    return server;
  });

  const shortest = Math.min(config.commandTimeout, config.dataTimeout, parts.storeTimeout ?? STORE_TIMEOUT);
  const watch = () => {
    const now = Date.now();
    for (const server of servers) for (const connection of server.sessions) connection.checkDeadlines(now);
  };
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
      closing ??= drain(servers, gate, timeout, handover).finally(() => clearInterval(timer));
      return closing;
    },
  };
}

/** One listening address. */
class Listener extends SMTPServer {
  readonly sessions = new Set<Connection>();
  readonly #policy: ConnectionPolicy;
  readonly #session: Session;

  constructor(options: SMTPServerOptions, policy: ConnectionPolicy, session: Session) {
    super(options);
    this.#policy = policy;
    this.#session = session;
  }

  override connect(...[socket, options]: Parameters<SMTPServer['connect']>): void {
    const connection = new Connection(this, socket, this.#policy, options);
    this.connections.add(connection);
    this.sessions.add(connection);
    this.#session.register(connection);
    socket.once('close', () => this.sessions.delete(connection));
    connection.on('error', (error: Error) => this.emit('error', error));
    connection.init();
  }

  async bind(host: string, port: number, takeOver: boolean): Promise<{ host: string; port: number }> {
    try {
      await listenShared(this.server, { host, port }, takeOver);
    } catch (cause) {
      throw new SealpostError('listen-failed', `can not listen for SMTP on ${host}:${port}`, { cause });
    }
    const address = this.server.address();
    return { host, port: typeof address === 'object' && address !== null ? address.port : port };
  }
}

async function drain(
  servers: readonly Listener[],
  gate: Gate,
  timeout: number,
  handover: boolean,
): Promise<void> {
  const all = () => servers.flatMap((server) => [...server.sessions]);
  const end = Date.now() + timeout;
  if (handover) {
    for (const { server } of servers) server.close();
    while (Date.now() < end - timeout / 2 && all().length > 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }
  gate.draining = true;
  for (const connection of all()) if (!connection.inTransaction) connection.cut();
  while (Date.now() < end && all().some((connection) => connection.inTransaction)) {
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
