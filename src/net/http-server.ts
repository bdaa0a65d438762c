/** The HTTP server of the daemon, with limits on number and time that no client can stretch. */
import type { RequestListener, Server, ServerResponse } from 'node:http';
import { http } from './node-http.ts';

/** Times in milliseconds. */
export interface HttpLimits {
  /** Concurrent connections. Further ones are closed when they are accepted. */
  readonly connections: number;
  /** From the first octet of a request to the end of its header. */
  readonly header: number;
  /** From the first octet of a request to the end of its body. No request here needs one. */
  readonly request: number;
  /** Between two requests, or without an octet in either direction during one. */
  readonly idle: number;
  /** Extra time for an answer, on top of what its octets need at `minimumRate` (octets per second). */
  readonly answer: number;
  readonly minimumRate: number;
  /** How often the times of requests are checked. */
  readonly every: number;
}

export const httpLimits: HttpLimits = {
  connections: 200,
  header: 10_000,
  request: 20_000,
  idle: 30_000,
  answer: 60_000,
  minimumRate: 10_000,
  every: 2000,
};

/** A server that closes connections that are slow in header, body, pauses or reading. */
export function createBoundedServer(listener: RequestListener, limits: HttpLimits = httpLimits): Server {
  const server = http.createServer(
    {
      headersTimeout: limits.header,
      requestTimeout: limits.request,
      keepAliveTimeout: Math.min(limits.idle, 5000),
      connectionsCheckingInterval: limits.every,
      maxHeaderSize: 16 * 1024,
    },
    (request, response) => {
      limitAnswer(response, limits);
      listener(request, response);
    },
  );
  server.maxConnections = limits.connections;
  // a client that sends nothing has no request that could be late
  server.setTimeout(limits.idle, (socket) => void socket.destroy());
  return server;
}

/** Closes a connection whose answer is read too slowly. An octet now and then would keep it from being idle. */
export function limitAnswer(
  response: ServerResponse,
  { answer, minimumRate, every }: HttpLimits = httpLimits,
): void {
  const { socket } = response;
  const startedAt = performance.now();
  const before = socket?.bytesWritten ?? 0;
  const watch = setInterval(() => {
    const taken = (socket?.bytesWritten ?? 0) - before;
    if (performance.now() - startedAt > answer + (taken / minimumRate) * 1000) response.destroy();
  }, every);
  response.once('close', () => clearInterval(watch));
}
