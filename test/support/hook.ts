import { createServer, type IncomingHttpHeaders } from 'node:http';

export interface Posted {
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Hook {
  url: string;
  posted: Posted[];
  /** Status codes of the next answers. */
  answers: number[];
  close(): void;
}

/** The operator's web server; it answers as told, and with 204 after that. */
export async function startHook(): Promise<Hook> {
  const posted: Posted[] = [];
  const answers: number[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      posted.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(answers.shift() ?? 204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/in`, posted, answers, close: () => void server.close() };
}
