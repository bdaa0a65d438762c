/** The API over real sockets: its own TLS, what comes in clear, proxies, and a certificate that is replaced. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type DaemonOptions, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { freePort } from '../support/net.ts';
import { run } from '../support/peers/run.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

const needs = ['openssl', 'curl'];

/** A daemon with the API alone, and a token that may send to acme. */
async function startApiAt(
  world: ReturnType<typeof makeWorld>,
  api: Record<string, unknown>,
  more: DaemonOptions = {},
) {
  const route = { host: '127.0.0.1', port: 9, tls: 'none' };
  const daemon = await startDaemon(world, {
    args: ['--only', 'api'],
    ...more,
    config: {
      mailboxes: [],
      partners: [
        {
          name: 'acme',
          addresses: ['edi@acme.example'],
          from: 'erp@own.example',
          encrypt: false,
          sign: 'none',
          route,
        },
      ],
      api,
    },
  });
  const ran = await daemon.command('tokens add erp --scope send,read --partner acme --sender *'.split(' '));
  return { daemon, token: ran.stdout.toString().trim() };
}

/** Status, the version of TLS, and the body; or the exit code of curl. */
async function curl(token: string, url: string, ...args: string[]) {
  const written = '\n%{http_code} %{ssl_verify_result}';
  const ran = await run('curl', [
    '-sS',
    '--max-time',
    '20',
    '-H',
    `Authorization: Bearer ${token}`,
    '-w',
    written,
    url,
    ...args,
  ]);
  const lines = ran.stdout.toString().split('\n');
  return {
    exit: ran.code,
    status: Number(lines.at(-1)?.split(' ')[0]),
    body: lines.slice(0, -1).join('\n'),
    stderr: ran.stderr,
  };
}

describe('the API with TLS of its own', { skip: skipWithout(...needs), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let tls: TlsFiles;
  let next: TlsFiles;
  let daemon: TestDaemon;
  let token: string;
  let url: string;
  let port: number;
  before(async () => {
    [tls, next] = [
      await makeTlsFiles('DNS:api.example,IP:127.0.0.1'),
      await makeTlsFiles('DNS:api.example,IP:127.0.0.1'),
    ];
    port = await freePort();
    url = `https://127.0.0.1:${port}/v1`;
    const files = { cert: join(world.folder, 'api.pem'), key: join(world.folder, 'api.key') };
    copyFileSync(tls.cert, files.cert);
    copyFileSync(tls.key, files.key);
    ({ daemon, token } = await startApiAt(world, { port, tls: files, hostnames: ['api.example'] }));
    await daemon.waitFor(
      'the token is known',
      async () => (await curl(token, `${url}/partners`, '--cacert', tls.cert)).status === 200,
    );
  });
  after(async () => {
    await daemon?.stop();
    tls?.remove();
    next?.remove();
    world.remove();
  });

  it('shows its certificate, and takes messages under its name', async () => {
    const named = `https://api.example:${port}/v1`;
    const there = ['--resolve', `api.example:${port}:127.0.0.1`, '--cacert', tls.cert];
    const sent = await curl(
      token,
      `${named}/messages?partner=acme&filename=a.xml`,
      ...there,
      '-H',
      'Content-Type: application/xml',
      '--data-binary',
      '<a/>',
    );
    assert.equal(sent.status, 202, sent.body + sent.stderr);
    // A certificate that the client does not trust, and one for another name.
    assert.equal((await curl(token, `${url}/partners`)).exit, 60);
    const wrong = ['--resolve', `other.example:${port}:127.0.0.1`, '--cacert', tls.cert];
    assert.equal((await curl(token, `https://other.example:${port}/v1/partners`, ...wrong)).exit, 60);
    assert.equal(
      (await curl(token, `https://other.example:${port}/v1/partners`, ...wrong, '-k')).status,
      421,
    );
  });

  it('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    for (const version of ['1.2', '1.3']) {
      const only = [`--tlsv${version}`, '--tls-max', version, '--cacert', tls.cert];
      assert.equal((await curl(token, `${url}/partners`, ...only)).status, 200, version);
    }
    for (const version of ['1.0', '1.1']) {
      const old = [
        `--tlsv${version}`,
        '--tls-max',
        version,
        '--ciphers',
        'DEFAULT@SECLEVEL=0',
        '--cacert',
        tls.cert,
      ];
      const { exit, stderr } = await curl(token, `${url}/partners`, ...old);
      assert.equal(exit, 35, `${version}: ${stderr}`);
      assert.match(stderr, /alert protocol version|protocol version/i);
    }
  });

  it('answers nothing in clear text, and closes such a connection', async () => {
    for (const text of [
      `GET /v1/partners HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`,
      'EHLO x\r\n',
      '\0'.repeat(400),
    ]) {
      // More than an address may have at a time: none stays.
      for (let each = 0; each < 120; each += 20)
        await Promise.all(Array.from({ length: 20 }, () => closedAfter(port, text)));
      assert.doesNotMatch(await closedAfter(port, text), /HTTP|\{/);
    }
    assert.equal((await curl(token, `${url}/partners`, '--cacert', tls.cert)).status, 200);
    assert.ok(!daemon.log().includes(token.slice(0, 25)));
  });

  it('takes up a new certificate with a reload, while messages are sent', async () => {
    copyFileSync(next.cert, join(world.folder, 'api.pem'));
    copyFileSync(next.key, join(world.folder, 'api.key'));
    assert.equal((await curl(token, `${url}/partners`, '--cacert', tls.cert)).status, 200, 'not before');
    daemon.signal('SIGHUP');
    const statuses: number[] = [];
    await daemon.waitFor('the new one is shown', async () => {
      // Whichever it is: a request in between is served.
      const { status } = await curl(token, `${url}/partners`, '-k');
      statuses.push(status);
      return (await curl(token, `${url}/partners`, '--cacert', next.cert)).status === 200;
    });
    assert.deepEqual([...new Set(statuses)], [200]);
    await daemon.waitFor(
      'the old one is not shown any more',
      async () => (await curl(token, `${url}/partners`, '--cacert', tls.cert)).exit === 60,
    );
  });
});

/** What comes back until the server closes the connection. */
function closedAfter(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let seen = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      seen += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(seen));
    socket.write(text);
  });
}

describe('the API behind a proxy', { skip: skipWithout(...needs), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let daemon: TestDaemon;
  let token: string;
  let url: string;
  before(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}/v1`;
    ({ daemon, token } = await startApiAt(world, {
      port,
      trustedProxies: ['127.0.0.3'],
      hostnames: ['api.example'],
    }));
    await daemon.waitFor(
      'the token is known',
      async () => (await curl(token, `${url}/partners`)).status === 200,
    );
  });
  after(async () => {
    await daemon?.stop();
    world.remove();
  });
  /** A message that comes from an address, with fields; its status, and the address in the ledger. */
  const sent = async (from: string, ...fields: string[]) => {
    const body = ['-H', 'Content-Type: application/xml', '--data-binary', '<a/>'];
    const headers = fields.flatMap((field) => ['-H', field]);
    const { status, body: text } = await curl(
      token,
      `${url}/messages?partner=acme&filename=a.xml`,
      '--interface',
      from,
      ...body,
      ...headers,
    );
    const { messages, code } = JSON.parse(text);
    if (status !== 202) return [status, code];
    const record = await daemon.queue.ledger.get(messages[0].id);
    return [status, record?.origin?.detail.address];
  };

  it('believes the named proxy alone, of the client and of its TLS', async () => {
    const proxied = ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: https', 'Host: api.example'];
    assert.deepEqual(await sent('127.0.0.3', ...proxied), [202, '192.0.2.7']);
    // The last hop that is no proxy counts; what a client wrote before it does not.
    const chain = ['X-Forwarded-For: 203.0.113.1, 192.0.2.8, 127.0.0.3', 'X-Forwarded-Proto: https'];
    assert.deepEqual(await sent('127.0.0.3', ...chain), [202, '192.0.2.8']);
    // Over clear text to the proxy, and from somebody who is no proxy.
    const clear = ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: http'];
    assert.deepEqual(await sent('127.0.0.3', ...clear), [403, 'transport-insecure']);
    assert.deepEqual(await sent('127.0.0.3', 'X-Forwarded-For: 192.0.2.7'), [403, 'transport-insecure']);
    assert.deepEqual(await sent('127.0.0.2', ...proxied), [202, '127.0.0.2']);
    assert.deepEqual(await sent('127.0.0.3', 'X-Forwarded-For: me', 'X-Forwarded-Proto: https'), [
      400,
      'request-invalid',
    ]);
  });
});
