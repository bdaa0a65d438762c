/** Pages that come up to date through a proxy that holds back or cuts streams. */
import assert from 'node:assert/strict';
import { request as ask, createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Browser as Chromium, Page } from 'playwright-core';
import { cookiesOf, skipWithoutChromium, startChromium } from '../support/chromium.ts';
import { type ConsoleRoom, type Somebody, startConsoleRoom } from '../support/console.ts';
import { commitOne } from '../support/queue.ts';
import { skipWithout } from '../support/world.ts';

/** What the proxy does with streams. */
type Manner = 'pass' | 'hold' | 'cut';

describe('pages behind a proxy', {
  skip: skipWithoutChromium || skipWithout('redis-server'),
  timeout: 1_800_000,
}, () => {
  let room: ConsoleRoom;
  let chromium: Chromium;
  let olga: Somebody;
  let proxy: Server;
  let manner: Manner = 'pass';
  let streams = 0;

  before(async () => {
    const route = { host: '127.0.0.1', port: 9 };
    const acme = {
      name: 'acme',
      addresses: ['@acme.example'],
      encrypt: false,
      sign: 'none',
      from: 'us@own.example',
    };
    room = await startConsoleRoom({}, undefined, { partners: [{ ...acme, route }] });
    olga = await room.person('olga', 'operator');
    proxy = createServer((request, response) => {
      const isStream = request.url === '/events';
      if (isStream) streams += 1;
      // Nothing comes through until the answer is whole, which a stream never is.
      if (isStream && manner === 'hold') return;
      const { method, url, headers } = request;
      const onward = ask(
        { port: room.port, host: '127.0.0.1', method, path: url, headers, agent: false },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          if (!isStream || manner === 'pass') {
            answer.pipe(response);
            response.once('close', () => onward.destroy());
            return;
          }
          // Some octets get through, and it asks to come back soon.
          response.write('retry: 20\n\n');
          answer.once('data', () => response.destroy());
          response.once('close', () => onward.destroy());
        },
      );
      onward.on('error', () => response.destroy());
      request.pipe(onward);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    chromium = await startChromium();
  });
  after(async () => {
    await chromium?.close();
    proxy?.closeAllConnections();
    await new Promise((resolve) => (proxy ? proxy.close(resolve) : resolve(undefined)));
    await room?.stop();
  });

  async function opened(how: Manner): Promise<Page> {
    manner = how;
    streams = 0;
    const { port } = proxy.address() as AddressInfo;
    const context = await chromium.newContext({ baseURL: `http://127.0.0.1:${port}` });
    context.setDefaultTimeout(120_000);
    await context.addCookies(cookiesOf(olga.browser));
    const page = await context.newPage();
    // The page's own clock: nobody waits for it.
    await page.clock.install();
    await page.goto('/messages');
    return page;
  }
  async function queued(): Promise<string> {
    const writer = room.queue.intake.begin();
    void writer.write(Buffer.from('Subject: order\r\n\r\n4711\r\n'));
    const envelope = { from: 'us@own.example', to: ['edi@acme.example'] };
    const origin = { kind: 'command', detail: {} } as const;
    return (await commitOne(room.queue, writer, { partner: 'acme', origin, envelope, messageId: null })).id;
  }
  const shows = (page: Page, id: string) => page.locator(`a[href="/messages/${id}"]`).first().waitFor();
  const asks = (page: Page) => page.locator('.stream', { hasText: 'up to date every 10 s' }).waitFor();

  it('are live where it lets streams through, and stay so', async () => {
    const page = await opened('pass');
    await page.locator('.stream', { hasText: 'live' }).waitFor();
    await page.clock.runFor(9000);
    const id = await queued();
    await page.clock.runFor(2000);
    await shows(page, id);
    assert.equal(await page.locator('.stream').textContent(), 'live');
    assert.equal(streams, 1);
    await page.context().close();
  });

  it('ask every ten seconds where it holds streams back', async () => {
    const page = await opened('hold');
    await page.clock.runFor(12_000);
    await asks(page);
    const id = await queued();
    await page.clock.runFor(11_000);
    await shows(page, id);
    assert.equal(streams, 1);
    await page.context().close();
  });

  it('ask every ten seconds where it cuts streams again and again', async () => {
    const page = await opened('cut');
    await asks(page);
    assert.equal(streams, 3);
    const id = await queued();
    await page.clock.runFor(11_000);
    await shows(page, id);
    assert.equal(streams, 3);
    await page.context().close();
  });
});
