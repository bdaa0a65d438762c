/** A web server on loopback that answers by path, and writes down what it was asked. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export type Answer = Buffer | ((body: Buffer, response: ServerResponse) => Buffer | undefined);

export interface Web {
  /** `127.0.0.1:port` */
  host: string;
  /** Paths in order. */
  asked: string[];
  /** Octets, or a function of the body; undefined if it answers itself, or never. */
  answers: Map<string, Answer>;
  url(path: string): string;
  close(): void;
}

export async function startWeb(): Promise<Web> {
  const asked: string[] = [];
  const answers = new Map<string, Answer>();
  const server = createServer((request, response) => void answer(request, response));
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    asked.push(path);
    const found = answers.get(path);
    const body = Buffer.concat(await Array.fromAsync(request));
    if (found === undefined) return void response.writeHead(404).end();
    const octets = Buffer.isBuffer(found) ? found : found(body, response);
    if (octets !== undefined) response.end(octets);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const host = `127.0.0.1:${port}`;
  return {
    host,
    asked,
    answers,
    url: (path) => `http://${host}${path}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
