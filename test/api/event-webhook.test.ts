import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { assertDocument } from '../support/documents.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

const secret = 'a secret of more than sixteen';

interface Posted {
  headers: IncomingHttpHeaders;
  text: string;
  events: { id: string; type: string; message: { id: string; partner: string } }[];
}

describe('the webhook for events', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  const posted: Posted[] = [];
  let status = 204;
  const server = createServer(async (request, response) => {
    const text = Buffer.concat(await Array.fromAsync(request)).toString();
    posted.push({ headers: request.headers, text, events: JSON.parse(text).events });
    response.writeHead(status).end();
  });
  let daemon: TestDaemon;
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address: AddressInfo | string | null = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    daemon = await startDaemon(world, {
      args: ['--only', 'api'],
      env: { EVENTS_SECRET: secret },
      config: {
        partners: [
          {
            name: 'acme',
            addresses: ['edi@acme.example'],
            encrypt: false,
            sign: 'none',
            from: 'orders@own.example',
            route: { host: '127.0.0.1', port: 9, tls: 'none' },
          },
        ],
        events: {
          url: `http://127.0.0.1:${port}/events`,
          secret: { env: 'EVENTS_SECRET' },
          allowPrivate: true,
        },
      },
    });
    const place = `${daemon.queue.prefix}:events:at`;
    await daemon.waitFor('it follows', async () => (await daemon.queue.redis.hlen(place)) === 1);
  });
  after(async () => {
    await daemon?.stop();
    server.close();
    world.remove();
  });
  const send = async () => {
    const ran = await daemon.command(['send', '--partner', 'acme', world.file('order.txt', 'x')]);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout.toString().trim();
  };
  const eventsOf = (id: string) =>
    posted.flatMap(({ events }) => events.filter(({ message }) => message.id === id));

  it('gets each event in order, signed', async () => {
    const id = await send();
    await daemon.command(['messages', 'terminate', id, '--why', 'a test']);
    await daemon.waitFor('both events', () => eventsOf(id).length >= 2);
    assert.deepEqual(
      eventsOf(id).map(({ type, message }) => [type, message.partner]),
      [
        ['queued', 'acme'],
        ['terminated', 'acme'],
      ],
    );
    for (const { headers, text } of posted) {
      assertDocument('events', JSON.parse(text));
      const [, time = '', mac] =
        /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['sealpost-signature'])) ?? [];
      assert.equal(mac, createHmac('sha256', secret).update(`${time}.${text}`).digest('hex'));
    }
  });

  it('goes on where it stood when its receiver was away, and when its process was', async () => {
    status = 500;
    const [first, before] = [await send(), posted.length];
    await daemon.waitFor('it was tried again', () => posted.length >= before + 2);
    const tried = posted.slice(before);
    assert.equal(new Set(tried.map(({ text }) => text)).size, 1);
    assert.equal(new Set(tried.map(({ headers }) => headers['idempotency-key'])).size, 1);
    const health = await daemon.waitFor('health says so', async () => {
      const { stdout } = await daemon.command(['health']);
      return /fails {2}webhook for events .*status 500/.test(stdout.toString());
    });
    assert.ok(health);
    assert.equal((await daemon.command(['reload'])).code, 0);
    const second = await send();
    status = 200;
    await daemon.waitFor('it has both', () => eventsOf(second).length > 0);
    const last = posted.at(-1)?.events.map(({ message }) => message.id) ?? [];
    const order = [...new Set(posted.flatMap(({ events }) => events.map(({ message }) => message.id)))];
    assert.ok(order.indexOf(first) < order.indexOf(second), last.join());
    const count = eventsOf(first).length;
    await send();
    await daemon.waitFor('a third', () =>
      posted.at(-1)?.events.every(({ message }) => message.id !== second),
    );
    assert.equal(eventsOf(first).length, count, 'what was taken does not come again');
  });
});
