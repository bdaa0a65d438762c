/** Slow clients of the HTTP listener: each way of taking long ends, and the number of those who wait is bounded. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener, Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { createBoundedServer, type HttpLimits, httpLimits } from '../../src/net/http-server.ts';

const never = 3_600_000;
const unlimited: HttpLimits = {
  connections: 100,
  header: never,
  request: never,
  idle: never,
  answer: never,
  minimumRate: 1_000_000_000,
  every: 20,
};

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  for (const server of servers) server.closeAllConnections();
});

const empty: RequestListener = (_request, response) =>
  void response.writeHead(405, { 'Content-Length': 0 }).end();

/** A server with one limit only, so that nothing else can be what ends a connection. */
async function serve(limits: Partial<HttpLimits>, listener = empty): Promise<() => Socket> {
  const server = createBoundedServer(listener, { ...unlimited, ...limits });
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return () => connect(port, '127.0.0.1').on('error', () => {});
}

/** Writes an octet now and then until the server has closed; returns everything it said. */
async function trickle(socket: Socket, octet = 'x'): Promise<string> {
  let said = '';
  socket.setEncoding('latin1').on('data', (chunk) => {
    said += chunk;
  });
  const timer = setInterval(() => socket.write(octet), 10);
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(timer);
  return said;
}

describe('the HTTP server', () => {
  it('closes who sends a header octet by octet', async () => {
    const open = await serve({ header: 100 });
    const socket = open();
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nX: ');
    assert.match(await trickle(socket), /^HTTP\/1\.1 408 /);
  });

  it('closes who sends a body octet by octet', async () => {
    const open = await serve({ request: 200, header: 100 });
    const socket = open();
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n');
    assert.match(await trickle(socket), /^HTTP\/1\.1 405 /);
  });

  it('closes who says nothing, before and after a request', async () => {
    const open = await serve({ idle: 100 });
    await once(open().resume(), 'close');
    const socket = open().resume();
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'close');
  });

  it('closes who does not read the answer, though the connection is never idle', async () => {
    const sent = Buffer.alloc(1 << 20);
    const ended = new Promise<boolean>((resolve) => {
      const listener: RequestListener = (_request, response) => {
        response.once('close', () => resolve(response.writableFinished));
        const more = () => {
          while (!response.destroyed && response.write(sent));
        };
        response.on('drain', more);
        more();
      };
      void serve({ answer: 100, minimumRate: 2 ** 40 }, listener).then((open) => {
        const socket = open().pause();
        socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      });
    });
    assert.equal(await ended, false);
  });

  it('gives an answer the time that its octets need', async () => {
    const open = await serve({ answer: 0, minimumRate: 1, every: 10 }, (_request, response) => {
      response.writeHead(200, { 'Content-Length': 3600 });
      response.write('x');
      setTimeout(() => response.end('x'.repeat(3599)), 100);
    });
    const socket = open();
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let octets = 0;
    socket.on('data', (chunk) => {
      octets += chunk.length;
    });
    await once(socket, 'close');
    assert.ok(octets > 3600, `${octets} octets`);
  });

  it('has as many connections as the limit, and not one more', async () => {
    const open = await serve({ connections: 2 });
    const answered = async () => {
      const socket = open();
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      return new Promise<boolean>((resolve) => {
        socket.once('data', () => resolve(true));
        socket.once('close', () => resolve(false));
      });
    };
    assert.deepEqual([await answered(), await answered(), await answered()], [true, true, false]);
  });

  it('has limits of its own', () => {
    for (const [name, value] of Object.entries(httpLimits)) assert.ok(value > 0 && value <= 60_000, name);
  });
});
