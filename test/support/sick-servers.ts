/** Mail servers that are sick, each in its own way, and one that is well. */
import { createServer, type Server, type Socket } from 'node:net';

export const sicknesses = ['silent', 'silent-after-data', 'drip', 'refusing', 'unavailable'] as const;
export type Sickness = (typeof sicknesses)[number];

export interface TestServer {
  port: number;
  /** Connections so far. */
  connections(): number;
  /** Messages that were taken. */
  taken: string[];
  close(): Promise<void>;
}

/** A server that answers each line with `answer`; the data of a message is one call with `data`. */
async function listen(
  greet: (socket: Socket) => void,
  answer: (socket: Socket, line: string) => void,
): Promise<TestServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let text = '';
    socket.on('data', (octets) => {
      text += octets.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        answer(socket, text.slice(0, end));
        text = text.slice(end + 2);
      }
    });
    greet(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return {
    port,
    connections: () => connections,
    taken: [],
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

const hello = (socket: Socket) => socket.write('220 here ESMTP\r\n');

/** A server that takes every message, or falls silent when the data has come. */
async function taking(silent: boolean): Promise<TestServer> {
  const inData = new WeakMap<Socket, string[]>();
  const server = await listen(hello, (socket, line) => {
    const data = inData.get(socket);
    if (data) {
      if (line !== '.') return void data.push(line);
      inData.delete(socket);
      if (silent) return;
      server.taken.push(data.join('\n'));
    }
    const verb = line.slice(0, 4).toUpperCase();
    if (!data && verb === 'DATA') inData.set(socket, []);
    const code = !data && verb === 'DATA' ? '354 go on' : verb === 'QUIT' && !data ? '221 bye' : '250 fine';
    socket.write(`${code}\r\n`);
  });
  return server;
}

export function healthyServer(): Promise<TestServer> {
  return taking(false);
}

export async function sickServer(kind: Sickness): Promise<TestServer> {
  switch (kind) {
    case 'silent':
      return await listen(
        () => undefined,
        () => undefined,
      );
    case 'silent-after-data':
      return await taking(true);
    case 'drip': {
      // One octet of a greeting that never ends, every now and then.
      const drip = (socket: Socket) => {
        const timer = setInterval(() => socket.write('2'), 100).unref();
        socket.on('close', () => clearInterval(timer));
      };
      return await listen(drip, () => undefined);
    }
    case 'unavailable':
      return await listen(
        (socket) => socket.end('421 come back later\r\n'),
        () => undefined,
      );
    case 'refusing': {
      const server = await listen(
        () => undefined,
        () => undefined,
      );
      await server.close();
      return { ...server, close: async () => undefined };
    }
  }
}
