/** The console with TLS of its own: its certificate, what it says to browsers, and a certificate that is renewed. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { freePort } from '../support/net.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

describe('the console with TLS of its own', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let tls: TlsFiles;
  let next: TlsFiles;
  let daemon: TestDaemon;
  let port: number;

  before(async () => {
    [tls, next] = [await makeTlsFiles('IP:127.0.0.1'), await makeTlsFiles('IP:127.0.0.1')];
    port = await freePort();
    const files = { cert: join(world.folder, 'console.pem'), key: join(world.folder, 'console.key') };
    copyFileSync(tls.cert, files.cert);
    copyFileSync(tls.key, files.key);
    daemon = await startDaemon(world, {
      args: ['--only', 'console'],
      config: { mailboxes: [], console: { port, tls: files } },
    });
  });
  after(async () => {
    await daemon?.stop();
    tls?.remove();
    next?.remove();
    world.remove();
  });

  /** Status, header and text of an answer; the code of the error where the certificate is not that of `ca`. */
  const ask = (
    ca: TlsFiles,
    path: string,
    form?: Record<string, string>,
    origin = `https://127.0.0.1:${port}`,
  ) =>
    new Promise<{
      status: number;
      version: string;
      headers: Record<string, unknown>;
      text: string;
      code: string;
    }>((resolve) => {
      const agent = new Agent({ ca: ca.pem });
      const headers = form ? { origin, 'content-type': 'application/x-www-form-urlencoded' } : {};
      const sent = request(
        { host: '127.0.0.1', port, path, agent, headers, method: form ? 'POST' : 'GET' },
        async (answer) => {
          const version = (answer.socket as TLSSocket).getProtocol() ?? '';
          const text = Buffer.concat(await Array.fromAsync(answer)).toString();
          const { statusCode: status = 0, headers: given } = answer;
          resolve({ status, version, headers: { ...given }, text, code: '' });
        },
      );
      sent.on('error', (error: NodeJS.ErrnoException) =>
        resolve({ status: 0, version: '', headers: {}, text: '', code: error.code ?? '' }),
      );
      sent.end(form && new URLSearchParams(form).toString());
    });

  it('shows its certificate, and tells browsers to come by https alone', async () => {
    const { status, version, headers, text } = await ask(tls, '/login');
    assert.deepEqual([status, version], [200, 'TLSv1.3']);
    assert.equal(headers['strict-transport-security'], 'max-age=31536000');
    assert.match(text, /<h1>Log in<\/h1>/);
    assert.equal((await ask(next, '/login')).code, 'DEPTH_ZERO_SELF_SIGNED_CERT');
  });

  it('takes forms of its own pages over TLS, and of no page in clear text', async () => {
    const form = { name: 'nobody', password: 'none', code: '000000' };
    assert.equal((await ask(tls, '/login', form)).status, 401);
    assert.equal((await ask(tls, '/login', form, `http://127.0.0.1:${port}`)).status, 403);
  });

  it('says nothing in clear text', async () => {
    const seen = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(port, '127.0.0.1', () =>
        socket.write('GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'),
      );
      socket.setEncoding('latin1');
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(text));
    });
    assert.doesNotMatch(seen, /HTTP|html/);
  });

  it('shows the renewed certificate after a reload, and not before', async () => {
    copyFileSync(next.cert, join(world.folder, 'console.pem'));
    copyFileSync(next.key, join(world.folder, 'console.key'));
    assert.equal((await ask(tls, '/login')).status, 200);
    daemon.signal('SIGHUP');
    await daemon.waitFor('the new one is shown', async () => (await ask(next, '/login')).status === 200);
    await daemon.waitFor('the old one is gone', async () => (await ask(tls, '/login')).status === 0);
  });
});
