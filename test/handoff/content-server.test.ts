import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { type ErrorCode, SealpostError } from '../../src/errors.ts';
import { createContentHandler, type StoredContent } from '../../src/handoff/content-server.ts';
import { headOctets } from '../../src/handoff/message.ts';
import { UrlSigner } from '../../src/handoff/signed-url.ts';
import { createLog } from '../../src/log.ts';
import { defaultMessageLimits as limits } from '../../src/message/limits.ts';
import { crlf, delivery, mixed, piece } from './support.ts';

const spoolKey = randomBytes(32);

async function listen(t: TestContext, stored: Record<string, StoredContent>, clock = { now: Date.now() }) {
  const server = http.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const signer = new UrlSigner(spoolKey, `${base}/`, 60_000);
  const handle = createContentHandler({
    signer,
    find: async (id) => stored[id],
    limits,
    log: createLog('silent', 'test'),
    now: () => clock.now,
  });
  server.on('request', (request, response) => void handle(request, response));
  return { base, signer, clock, sign: (id: string) => signer.sign(id, clock.now) };
}

describe('handoff content server', () => {
  it('gives the message to whoever has its URL, as a stream of known length', async (t) => {
    const { sign, base } = await listen(t, { 'm-1': delivery(mixed, {}, 100) });
    const { url, expires } = sign('m-1');
    assert.ok(url.startsWith(`${base}/v1/messages/m-1/content?expires=${expires / 1000}&signature=`));
    const response = await fetch(url);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'message/rfc822');
    assert.match(response.headers.get('content-disposition') ?? '', /^attachment/);
    assert.match(response.headers.get('content-security-policy') ?? '', /sandbox/);
    const body = Buffer.from(await response.arrayBuffer());
    assert.equal(Number(response.headers.get('content-length')), body.length);
    assert.match(body.toString(), /^Received: from partner/);
    assert.ok(body.subarray(-mixed.length).equals(mixed));
    const head = await fetch(url, { method: 'HEAD' });
    assert.equal(head.headers.get('content-length'), String(body.length));
  });

  it('refuses a URL that was changed in any place, whether there is such a message or not', async (t) => {
    const { sign, base } = await listen(t, { 'm-1': delivery(mixed), 'm-2': delivery(mixed) });
    const { url } = sign('m-1');
    const expires = Number(new URL(url).searchParams.get('expires'));
    const changed = [
      url.replace('m-1', 'm-2'),
      url.replace('m-1', 'm-9'),
      url.replace(`expires=${expires}`, `expires=${expires + 1}`),
      url.replace(`expires=${expires}`, `expires=0${expires}`),
      url.replace(/&signature=.*/, ''),
      url.replace(/signature=.*/, 'signature='),
      url.replace(/signature=./, (start) => (start.endsWith('x') ? 'signature=y' : 'signature=x')),
      new UrlSigner(randomBytes(32), base, 60_000).sign('m-1', Date.now()).url,
    ];
    for (const target of changed) assert.equal((await fetch(target)).status, 403, target);
  });

  it('gives a piece to whoever has its URL, and nothing else with it', async (t) => {
    const octets = Buffer.from('Content-Type: text/plain\r\n\r\nthe piece');
    const pieces = [piece('1', octets), piece('1/2', Buffer.alloc(3000, 1), null)];
    const { signer, sign } = await listen(t, { 'm-1': delivery(mixed, { pieces }) });
    const { url } = signer.sign('m-1', Date.now(), '1');
    const response = await fetch(url);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'application/octet-stream');
    assert.equal(response.headers.get('content-disposition'), 'attachment; filename="1.eml"');
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), octets);
    const nested = await fetch(signer.sign('m-1', Date.now(), '1/2').url, { method: 'HEAD' });
    assert.deepEqual([nested.status, nested.headers.get('content-length')], [200, '3000']);
    assert.equal((await fetch(signer.sign('m-1', Date.now(), '3').url)).status, 410);
    const whole = sign('m-1').url;
    for (const changed of [
      url.replace('piece=1', 'piece=1%2F2'),
      url.replace('piece=1&', ''),
      whole.replace('content?', 'content?piece=1&'),
      whole.replace('expires=', 'expires=piece%3A1%3A'),
      url.replace(/piece=1&expires=/, 'expires=piece%3A1%3A'),
    ]) {
      assert.notEqual(changed, whole);
      assert.equal((await fetch(changed)).status, 403, changed);
    }
  });

  it('says that a URL has expired, or that the content is gone', async (t) => {
    const { sign, clock } = await listen(t, { 'm-1': delivery(mixed) });
    const gone = sign('m-9').url;
    assert.equal((await fetch(gone)).status, 410);
    async function* swept() {
      yield* [];
      throw new SealpostError('spool-missing', 'swept');
    }
    const late = await listen(t, { 'm-2': { ...delivery(mixed), content: swept } });
    assert.equal((await fetch(late.sign('m-2').url)).status, 410);
    const { url } = sign('m-1');
    clock.now += 59_000;
    assert.equal((await fetch(url).then((response) => response.bytes().then(() => response))).status, 200);
    clock.now += 2_000;
    assert.equal((await fetch(url)).status, 410);
  });

  it('has no other routes and methods', async (t) => {
    const { sign, base } = await listen(t, { 'm-1': delivery(mixed) });
    for (const path of [
      '/',
      '/v1/messages',
      '/v1/messages/m-1',
      '/v1/messages//content',
      '/v1/messages/a/b/content',
      '/v1/messages/%zz/content',
      '/v1/messages/m-1/content/',
    ]) {
      assert.equal((await fetch(base + path)).status, 404, path);
    }
    const { url } = sign('m-1');
    const post = await fetch(url, { method: 'POST', body: 'x' });
    assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET, HEAD']);
  });

  it('carries ids of any characters', async (t) => {
    const id = 'a/b?c=d&e #ü:1';
    const { sign } = await listen(t, { [id]: delivery(mixed) });
    assert.equal((await fetch(sign(id).url)).status, 200);
  });

  it('answers 503 while the object store is away, and 410 when the content is gone', async (t) => {
    const failing = (code: ErrorCode) => ({
      ...delivery(mixed),
      // biome-ignore lint/correctness/useYield: it fails before it has anything to give
      async *content(): AsyncGenerator<Buffer> {
        throw new SealpostError(code, 'the store fails');
      },
    });
    const { sign } = await listen(t, {
      away: failing('spool-unreachable'),
      refused: failing('spool-refused'),
      gone: failing('spool-missing'),
    });
    assert.equal((await fetch(sign('away').url)).status, 503);
    assert.equal((await fetch(sign('refused').url)).status, 503);
    assert.equal((await fetch(sign('gone').url)).status, 410);
  });

  it('breaks the connection when the content cannot be read to its end', async (t) => {
    const content = crlf('Content-Type: text/plain\n\nhello');
    async function* failing() {
      yield content;
      throw new Error('the spool is broken');
    }
    const stored = { ...delivery(content), content: failing, contentOctets: 300_000 };
    const { sign } = await listen(t, { 'm-1': stored });
    // the head cannot be read either: nothing was sent yet
    assert.equal((await fetch(sign('m-1').url)).status, 500);
    async function* later() {
      // as much as the header may depend on: the answer has begun
      yield Buffer.concat([content, Buffer.alloc(headOctets(limits), 'x')]);
      throw new Error('the spool is broken');
    }
    const second = await listen(t, { 'm-3': { ...stored, content: later } });
    await assert.rejects(fetch(second.sign('m-3').url).then((response) => response.arrayBuffer()));
  });
});
