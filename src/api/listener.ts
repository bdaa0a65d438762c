/**
 * The server below fastify. It bounds connections in number and time, and reads nothing before a handler asks for it.
 */
import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { type Config, followTls, type tlsAt } from '../config/index.ts';
import type { Log } from '../log.ts';
import { boundTo, listenShared } from '../net/index.ts';
import { Connections } from './connections.ts';
import type { Origins } from './origin.ts';
import { problemOf, problemType, refusal } from './problem.ts';

export interface ListenerParts {
  tls: { cert: Buffer; key: Buffer } | undefined;
  origins: Origins;
  connections: number;
  connectionsPerAddress: number;
}

/** Milliseconds: for a header; without an octet in either direction; between two requests; for a TLS handshake. */
const times = { header: 10_000, idle: 60_000, keepAlive: 10_000, handshake: 10_000, check: 1000 };
const maxHeaderSize = 16 * 1024;

const tlsVersions = { minVersion: 'TLSv1.2' } as const;

/** Switches to another certificate for new connections. */
export function setCertificate(server: Server, { cert, key }: { cert: Buffer; key: Buffer }): void {
  if (server instanceof TlsServer) server.setSecureContext({ cert, key, ...tlsVersions });
}

export interface RunningParts {
  /** For the log: `the API`. */
  title: string;
  settings: Pick<Config['api'], 'host' | 'port' | 'tls'>;
  /** The certificate that the server started with. */
  tls: ReturnType<typeof tlsAt> | undefined;
  log: Log;
  /** Ends answers that would last as long as their clients want. */
  stopAnswers: () => void;
}

export interface RunningServer {
  /** Returns the address. */
  listen(takeOver: boolean): Promise<string>;
  /** Accepts no new connections; running requests may finish. */
  close(timeoutMs: number): Promise<void>;
}

/** A server from its first connection to its last, with the certificate in force on that date. */
export function runServer(
  server: Server,
  { title, settings: { host, port = 0, tls: files }, tls, log, stopAnswers }: RunningParts,
): RunningServer {
  const followed =
    files &&
    tls &&
    followTls(files, tls, {
      now: () => new Date(),
      apply(pair) {
        setCertificate(server, pair);
        log.info({}, `${title} uses another certificate from now on`);
      },
      onTrouble: (err) => log.error({ err }, `the certificate of ${title} could not be read again`),
    });
  if (followed) server.prependListener('connection', followed.arrives);
  return {
    async listen(takeOver) {
      await listenShared(server, { host, port }, takeOver);
      return boundTo(server, host);
    },
    async close(timeoutMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      stopAnswers();
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), timeoutMs);
      await closed;
      clearTimeout(late);
      followed?.stop();
    },
  };
}

export function createListener(handler: RequestListener, parts: ListenerParts): Server {
  const { tls, origins, connections, connectionsPerAddress } = parts;
  const options = {
    maxHeaderSize,
    headersTimeout: times.header,
    // A body is timed by its octets (body.ts).
    requestTimeout: 0,
    keepAliveTimeout: times.keepAlive,
    connectionsCheckingInterval: times.check,
    insecureHTTPParser: false,
    // Origins say what is wrong with one that has none.
    requireHostHeader: false,
  };
  const server = tls
    ? createTlsServer({ ...options, ...tls, ...tlsVersions, handshakeTimeout: times.handshake })
    : createPlainServer(options);
  const places = new Connections({ most: connections, mostEach: connectionsPerAddress });
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    if (!origins.mayConnect(address) || !places.enter(socket, origins.isProxy(address))) socket.destroy();
  });
  const served: RequestListener = (request, response) => {
    response.once('close', places.begin(request.socket));
    handler(request, response);
  };
  server.on('request', served);
  // With a `checkContinue` listener of our own, Node does not send 100 by itself: it is sent when a handler wants the
  // body.
  server.on('checkContinue', served);
  server.on('checkExpectation', ({ socket }) =>
    answerRefused(socket, 'the field Expect asks for anything but 100-continue'),
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => answerBroken(error, socket));
  server.setTimeout(times.idle, (socket) => void socket.destroy());
  return server;
}

/**
 * Input that is not HTTP, or that could be read in two ways: two lengths, a length beside chunks, a header that does
 * not end.
 */
function answerBroken(
  error: NodeJS.ErrnoException,
  socket: NodeJS.WritableStream & { destroy(): void },
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  answerRefused(socket, 'the request is not HTTP/1.1 that can be read in one way');
}

function answerRefused(socket: NodeJS.WritableStream & { destroy(): void }, why: string): void {
  const body = JSON.stringify(problemOf(refusal('request-invalid', why)));
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: ${problemType}\r\nContent-Length: ${body.length}\r\n` +
      `Connection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
