/** The API of a running daemon, with clients of every kind. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { type DaemonOptions, startDaemon, type TestDaemon } from './daemon.ts';
import type { World } from './world.ts';

export interface Answered {
  status: number;
  headers: Headers;
  text: string;
  // What a body holds is for the test to say.
  json: ReturnType<typeof JSON.parse>;
}

export interface TestApi {
  daemon: TestDaemon;
  port: number;
  url: string;
  /** A token of a client of its own. */
  token(name: string, ...grants: string[]): Promise<string>;
  call(token: string, path: string, options?: RequestInit & { duplex?: 'half' }): Promise<Answered>;
  post(token: string, body: unknown, headers?: Record<string, string>): Promise<Answered>;
  /** Octets on a connection of their own; what comes back until it is closed. */
  raw(...pieces: (string | Buffer)[]): Promise<string>;
}

const partner = (name: string, more = {}) => ({
  name,
  addresses: [`edi@${name}.example`, `@${name}.example`],
  encrypt: false,
  sign: 'none',
  from: 'orders@own.example',
  route: { host: '127.0.0.1', port: 9, tls: 'none' },
  ...more,
});

/** A daemon with the role `api` alone, unless `args` say otherwise; partners acme and other. */
export async function startApi(
  world: World,
  { config = {}, ...options }: DaemonOptions & { api?: Record<string, unknown> } = {},
): Promise<TestApi> {
  const daemon = await startDaemon(world, {
    args: ['--only', 'api'],
    ...options,
    config: {
      partners: [partner('acme'), partner('other')],
      ...config,
      api: { port: 0, ...options.api },
    },
  });
  const found = /"api":"[^"]*:(\d+)"/.exec(daemon.log())?.[1];
  const port = Number(found);
  const url = `http://127.0.0.1:${port}`;
  const api: TestApi = {
    daemon,
    port,
    url,
    async token(name, ...grants) {
      const ran = await daemon.command(['tokens', 'add', name, ...grants]);
      assert.equal(ran.code, 0, ran.stderr);
      const token = ran.stdout.toString().trim();
      // A door learns of it within a second.
      await daemon.waitFor('the token is known', async () => {
        const headers = { authorization: `Bearer ${token}` };
        return (await fetch(`${url}/v1/openapi.json`, { headers })).status === 200;
      });
      return token;
    },
    async call(token, path, { headers, ...more } = {}) {
      const answer = await fetch(`${url}${path}`, {
        headers: { ...(token === '' ? {} : { authorization: `Bearer ${token}` }), ...headers },
        ...more,
      });
      const text = await answer.text();
      const isJson = /json/.test(answer.headers.get('content-type') ?? '');
      return {
        status: answer.status,
        headers: answer.headers,
        text,
        json: isJson ? JSON.parse(text) : undefined,
      };
    },
    post(token, body, headers = {}) {
      return api.call(token, '/v1/messages', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
    },
    raw: (...pieces) => exchange(port, pieces),
  };
  return api;
}

/** Octets on a connection of their own; what comes back until it is closed. */
export function exchange(port: number, pieces: (string | Buffer)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', (error) => (text === '' ? reject(error) : resolve(text)));
    for (const piece of pieces) socket.write(piece);
    socket.setTimeout(120_000, () => socket.destroy());
  });
}

/** Octets of a message as the daemon keeps them. */
export async function storedOctets({ daemon }: TestApi, id: string): Promise<Buffer> {
  const ref = await daemon.queue.flow.originalOf(id);
  assert.ok(ref, `the octets of ${id} are kept`);
  return Buffer.concat(await Array.fromAsync(daemon.queue.spool.open(ref)));
}

export const randomKey = () => randomBytes(8).toString('hex');
