/** An HTTP proxy before an object store that changes bodies, hangs, or drops answers. Signatures stay unchanged. */
import { createServer, request } from 'node:http';

export interface S3Proxy {
  endpoint: string;
  /** pass; change: one octet of each body; hang: no answer. */
  mode: 'pass' | 'change' | 'hang';
  /** Requests that came. */
  requests: number;
  dropped: number;
  /** The next answers to requests that match "METHOD path" are cut off: the store has done what was asked. */
  dropAnswers(count: number, what: RegExp): void;
  stop(): Promise<void>;
}

export async function startS3Proxy(port: number): Promise<S3Proxy> {
  let drop = 0;
  let matching = /^/;
  const server = createServer((incoming, answer) => {
    proxy.requests += 1;
    if (proxy.mode === 'hang') return;
    const { method, url, headers } = incoming;
    const dropped = drop > 0 && matching.test(`${method} ${url}`);
    if (dropped) {
      drop -= 1;
      proxy.dropped += 1;
    }
    const onward = request({ port, host: '127.0.0.1', method, path: url, headers }, (response) => {
      if (!dropped) {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
        return;
      }
      // half of it, when there is a body worth it
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.once('data', (chunk: Buffer) => answer.write(chunk.subarray(0, chunk.length / 2)));
      response.resume().once('end', () => answer.destroy());
    });
    onward.on('error', () => answer.destroy());
    incoming.on('data', (chunk: Buffer) => {
      const changed = Buffer.from(chunk);
      if (proxy.mode === 'change' && changed.length > 0) changed[0] = (changed[0] ?? 0) ^ 1;
      onward.write(changed);
    });
    incoming.on('end', () => onward.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const proxy: S3Proxy = {
    endpoint: `http://127.0.0.1:${address.port}`,
    mode: 'pass',
    requests: 0,
    dropped: 0,
    dropAnswers(count, what) {
      drop = count;
      matching = what;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
