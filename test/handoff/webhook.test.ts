import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { ErrorCode } from '../../src/errors.ts';
import type { DestinationDeps } from '../../src/handoff/types.ts';
import { createWebhookDestination, retryAfter, type WebhookOptions } from '../../src/handoff/webhook.ts';
import { guardedLookup } from '../../src/net/guarded-lookup.ts';
import type { Outcome } from '../../src/queue/types.ts';
import { createTestCa } from '../support/ca.ts';
import { crlf, delivery, deps, mixed, never, piece, temporary } from './support.ts';

interface Received {
  request: IncomingMessage;
  body: Buffer;
}

type Reply = (response: ServerResponse, received: Received) => void;

/** A receiver on loopback that keeps what it gets and answers as the script says; the last entry repeats. */
async function receiver(t: TestContext, script: Reply[], tls?: { key: string; cert: string }) {
  const got: Received[] = [];
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const received = { request, body: Buffer.concat(chunks) };
    got.push(received);
    script[Math.min(got.length, script.length) - 1]?.(response, received);
  };
  const server = tls === undefined ? http.createServer(take) : https.createServer(tls, take);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address() as AddressInfo;
  let connections = 0;
  server.on(tls === undefined ? 'connection' : 'secureConnection', () => connections++);
  return { got, port: address.port, connections: () => connections };
}

const answer =
  (status: number, headers: http.OutgoingHttpHeaders = {}): Reply =>
  (response) => {
    response.writeHead(status, headers);
    response.end('thanks');
  };

interface Settings {
  url: string;
  timeout?: number;
  inlineLimit?: number;
  allowPrivate?: boolean;
  ca?: string;
}

async function webhook(
  t: TestContext,
  settings: Settings,
  options: WebhookOptions = {},
  changes: Partial<DestinationDeps> = {},
) {
  const config = {
    type: 'webhook' as const,
    secret: { env: 'UNUSED' },
    timeout: 5000,
    inlineLimit: 1024 * 1024,
    allowPrivate: true,
    ...settings,
  };
  const made = await createWebhookDestination(config, deps(changes), options);
  t.after(() => made.close());
  return made;
}

function retried(outcome: Outcome): Extract<Outcome, { retry: ErrorCode }> & { message: string } {
  assert.ok('retry' in outcome && typeof outcome.facts?.message === 'string', JSON.stringify(outcome));
  return { ...outcome, message: outcome.facts.message };
}

const order = crlf('Content-Type: text/xml\n\n<order/>');

describe('handoff webhook', () => {
  it('posts the document with a signature that verifies', async (t) => {
    const { got, port } = await receiver(t, [answer(204)]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/in?a=b` });
    assert.deepEqual(await made.deliver(delivery(mixed), never), { done: true, facts: { status: 204 } });
    const [received] = got;
    assert.ok(received);
    const { headers, method, url } = received.request;
    assert.equal(`${method} ${url}`, 'POST /in?a=b');
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers['idempotency-key'], 'm-0001:orders');
    const [, time, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['sealpost-signature'])) ?? [];
    assert.equal(
      createHmac('sha256', 'the shared secret').update(`${time}.`).update(received.body).digest('hex'),
      mac,
    );
    assert.ok(Math.abs(Number(time) - Date.now() / 1000) < 60);

    const document = JSON.parse(received.body.toString());
    assert.equal(document.id, 'm-0001');
    assert.equal(document.receivedAt, '2026-11-23T00:00:01.234Z');
    assert.equal(document.headers.subject, 'Bestellung ✓');
    assert.equal(document.headers.from[0].address, 'orders@partner.example');
    assert.deepEqual(document.verdict, { status: 'ok', encrypted: true, layers: [] });
    assert.deepEqual(document.envelope, { from: 'orders@partner.example', to: ['edi@example.com'] });
    assert.equal(document.body, 5);
    assert.equal(document.parts.length, 5);
    assert.equal(document.parts[4].text, '<second/>');
    const eml = Buffer.from(document.message.data, 'base64');
    assert.ok(eml.subarray(-mixed.length).equals(mixed));
    assert.equal(eml.length, document.message.octets);
  });

  it('gives a URL for content above the limit, lists its parts, and says how long to keep it', async (t) => {
    const { got, port } = await receiver(t, [answer(200)]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/`, inlineLimit: 100 });
    const outcome = await made.deliver(delivery(mixed), never);
    assert.deepEqual(outcome, { done: true, facts: { status: 200 }, keepUntil: 1_800_000_000_000 });
    const document = JSON.parse(String(got[0]?.body));
    assert.equal(document.message.url, 'https://sealpost.example/v1/messages/x/content');
    assert.equal(document.message.expires, '2027-01-15T08:00:00.000Z');
    assert.equal(document.message.data, undefined);
    assert.equal(document.parts[2].fileName, 'Bestellung €.xml');
    assert.equal(document.parts[2].originalFileName, '../../etc/Bestellung €.xml');
    assert.equal(document.parts[2].content, undefined);
  });

  it('gives the pieces by themselves: in the document up to the limit together, beyond by URL', async (t) => {
    const { got, port } = await receiver(t, [answer(200)]);
    const asked: (string | undefined)[] = [];
    const signedUrl: DestinationDeps['signedUrl'] = (_, path) => {
      asked.push(path);
      return { url: `https://sealpost.example/x?piece=${path}`, expires: 1_800_000_000_000 };
    };
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/`, inlineLimit: 100 }, {}, { signedUrl });
    const text = crlf('Content-Type: text/plain\n\nthe piece');
    const pieces = [
      piece('1', text),
      piece('1/2', Buffer.alloc(70), null),
      piece('2', Buffer.from('small'), null),
    ];
    const outcome = await made.deliver(delivery(order, { pieces }), never);
    assert.deepEqual(outcome, { done: true, facts: { status: 200 }, keepUntil: 1_800_000_000_000 });
    const document = JSON.parse(String(got[0]?.body));
    assert.deepEqual(asked, ['1/2']);
    const facts = pieces.map(({ path, contentType, octets, sha256 }) => ({
      ...{ path, contentType, octets, sha256 },
    }));
    assert.deepEqual(document.pieces, [
      { ...facts[0], encoding: 'base64', data: text.toString('base64') },
      { ...facts[1], url: 'https://sealpost.example/x?piece=1/2', expires: '2027-01-15T08:00:00.000Z' },
      { ...facts[2], encoding: 'base64', data: Buffer.from('small').toString('base64') },
    ]);
    assert.deepEqual(
      document.parts.map(({ text }: { text: string }) => text),
      ['<order/>'],
      'never among the parts',
    );
  });

  it('suspends large content if there is no HTTP listener to serve it', async (t) => {
    const made = await webhook(
      t,
      { url: 'http://127.0.0.1:9/', inlineLimit: 1 },
      {},
      { signedUrl: undefined },
    );
    const outcome = await made.deliver(delivery(order), never);
    assert.ok('suspend' in outcome);
    assert.equal(outcome.suspend, 'config-invalid');
    assert.match(String(outcome.facts?.message), /http\.port/);
  });

  it('tries again after anything but 2xx, and heeds Retry-After within its cap', async (t) => {
    const date = new Date(Date.now() + 60_000).toUTCString();
    const { got, port } = await receiver(t, [
      answer(500),
      answer(429, { 'Retry-After': '7' }),
      answer(503, { 'Retry-After': date }),
      answer(400),
      answer(429, { 'Retry-After': '999999999' }),
      answer(201),
    ]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/` });
    const results: (number | undefined)[] = [];
    for (let i = 0; i < 5; i++) results.push(retried(await made.deliver(delivery(order), never)).after);
    const [plain, seconds, dated, bad, capped] = results;
    assert.deepEqual([plain, seconds, bad, capped], [undefined, 7000, undefined, 3_600_000]);
    assert.ok(dated !== undefined && dated > 50_000 && dated <= 60_000);
    assert.ok('done' in (await made.deliver(delivery(order), never)));
    assert.equal(new Set(got.map(({ request }) => request.headers['idempotency-key'])).size, 1);
    assert.equal(retryAfter('soon', 0), undefined);
    assert.equal(retryAfter(new Date(0).toUTCString(), 5000), 0);
  });

  it('does not follow a redirect', async (t) => {
    const target = await receiver(t, [answer(200)]);
    for (const status of [301, 302, 307, 308]) {
      const location = `http://127.0.0.1:${target.port}/`;
      const { port } = await receiver(t, [answer(status, { Location: location })]);
      const made = await webhook(t, { url: `http://127.0.0.1:${port}/` });
      assert.match(
        retried(await made.deliver(delivery(order), never)).message,
        new RegExp(`status ${status}`),
      );
    }
    assert.equal(target.got.length, 0);
  });

  it('gives up on a receiver that does not answer', async (t) => {
    const { port } = await receiver(t, [() => {}]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/`, timeout: 150 });
    assert.match(retried(await made.deliver(delivery(order), never)).message, /within 150 ms/);
  });

  it('gives up on a header that drips', async (t) => {
    const { port } = await receiver(t, [
      (response) => {
        response.socket?.write('HTTP/1.1 200 OK\r\n');
        const drip = setInterval(() => response.socket?.write('X-Drip: 1\r\n'), 20);
        response.socket?.on('close', () => clearInterval(drip));
      },
    ]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/`, timeout: 200 });
    assert.match(retried(await made.deliver(delivery(order), never)).message, /within 200 ms/);
  });

  it('takes 2xx as done whatever the body is: endless, dripping or cut', async (t) => {
    let octets = 0;
    const endless: Reply = (response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65536))) octets += 65536;
      };
      response.on('drain', more);
      more();
    };
    const dripping: Reply = (response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(drip));
    };
    const cut: Reply = (response) => {
      response.writeHead(200, { 'Content-Length': 1000 });
      response.write('x');
      setImmediate(() => response.destroy());
    };
    const closed: Promise<unknown>[] = [];
    const watched =
      (reply: Reply): Reply =>
      (response, received) => {
        closed.push(once(response, 'close'));
        reply(response, received);
      };
    const { port } = await receiver(t, [watched(endless), watched(dripping), watched(cut)]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/`, timeout: 2000 });
    for (let i = 0; i < 3; i++) assert.ok('done' in (await made.deliver(delivery(order), never)));
    // all three connections end by themselves: by the cap, by the time, by the receiver
    await Promise.all(closed);
    assert.ok(octets < 50 * 1024 * 1024);
  });

  it('uses a connection again, and survives that the receiver has closed it', async (t) => {
    const closing: Reply = (response) => {
      response.end('bye');
      response.on('finish', () => setImmediate(() => response.socket?.destroy()));
    };
    const { got, port, connections } = await receiver(t, [answer(200), answer(200), closing, answer(200)]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/` });
    for (let i = 0; i < 3; i++) {
      assert.ok('done' in (await made.deliver(delivery(order), never)));
      // the connection is free when the body of the reply has been read
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(connections(), 1);
    assert.ok('done' in (await made.deliver(delivery(order), never)));
    assert.equal(got.length, 4);
  });

  it('posts again at once when a kept connection ends without a reply, and not when a new one does', async (t) => {
    const cut: Reply = (response) => void response.socket?.destroy();
    const { got, port, connections } = await receiver(t, [answer(200), cut, answer(200), answer(500)]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/` });
    for (let i = 0; i < 2; i++) {
      assert.ok('done' in (await made.deliver(delivery(order), never)));
      // the body of the reply comes after its header, and only then is the connection free
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.deepEqual([got.length, connections()], [3, 2]);

    const fresh = await receiver(t, [cut, answer(200)]);
    const other = await webhook(t, { url: `http://127.0.0.1:${fresh.port}/` });
    assert.equal(retried(await other.deliver(delivery(order), never)).peer, 'down');
    assert.deepEqual([fresh.got.length, fresh.connections()], [1, 1]);
  });

  it('stops when it is told to', async (t) => {
    const stop = new AbortController();
    const { port } = await receiver(t, [() => stop.abort()]);
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/` });
    assert.equal(retried(await made.deliver(delivery(order), stop.signal)).untried, true);
  });

  it('tells trouble of the receiver from answers about single messages', async (t) => {
    const statuses = [500, 503, 429, 408, 400, 404, 422, 301];
    const { port } = await receiver(
      t,
      statuses.map((status) => answer(status)),
    );
    const made = await webhook(t, { url: `http://127.0.0.1:${port}/` });
    const peers = [];
    for (const _ of statuses) peers.push(retried(await made.deliver(delivery(order), never)).peer);
    assert.deepEqual(peers, ['down', 'down', 'down', 'down', 'works', 'works', 'works', 'works']);
  });
});

describe('handoff webhook addresses', () => {
  const hosts = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::127.0.0.1]',
    'localhost',
    '\uff11\uff12\uff17.0.0.1',
  ];
  for (const host of hosts) {
    it(`does not reach ${host}`, async (t) => {
      const { got, port } = await receiver(t, [answer(200)]);
      const made = await webhook(t, { url: `http://${host}:${port}/`, allowPrivate: false });
      assert.match(
        retried(await made.deliver(delivery(order), never)).message,
        /not public; set allowPrivate/,
      );
      assert.equal(got.length, 0);
    });
  }

  it('does not reach a name that leads to a private address, alone or among others', async (t) => {
    const { got, port } = await receiver(t, [answer(200)]);
    for (const addresses of [
      ['127.0.0.1'],
      ['192.0.66.1', '10.0.0.1'],
      ['::ffff:127.0.0.1'],
      ['fd00::1'],
      [],
    ]) {
      const made = await webhook(
        t,
        { url: `http://erp.example:${port}/`, allowPrivate: false },
        {
          resolve: (_name, _options, callback) =>
            callback(
              null,
              addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
            ),
        },
      );
      assert.match(retried(await made.deliver(delivery(order), never)).message, /not public/);
    }
    assert.equal(got.length, 0);
  });

  it('connects to the very addresses that were checked: one resolution, no second one to rebind', () => {
    const addresses = [
      { address: '192.0.66.1', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ];
    let asked = 0;
    const lookup = guardedLookup((_name, _options, callback) => {
      asked++;
      callback(null, addresses);
    });
    const results: unknown[] = [];
    lookup('erp.example', { all: true }, (error, found) => results.push([error, found]));
    lookup('erp.example', {}, (error, address, family) => results.push([error, address, family]));
    assert.deepEqual(results, [
      [null, addresses],
      [null, '192.0.66.1', 4],
    ]);
    assert.equal(asked, 2);
  });
});

describe('handoff webhook over TLS', () => {
  it('reaches a server of its own CA, and no server of another', async (t) => {
    const path = await temporary(t);
    const ca = createTestCa('Webhook CA');
    const subjectAltName = { oid: '2.5.29.17', value: Buffer.from([0x30, 0x06, 0x87, 0x04, 127, 0, 0, 1]) };
    const server = ca.issue({
      commonName: '127.0.0.1',
      eku: ['1.3.6.1.5.5.7.3.1'],
      extensions: [subjectAltName],
    });
    const { got, port } = await receiver(t, [answer(200)], { key: server.keyPem, cert: server.certPem });
    writeFileSync(join(path, 'ca.pem'), ca.pem);
    writeFileSync(join(path, 'other.pem'), createTestCa('Other CA').pem);
    const url = `https://127.0.0.1:${port}/`;
    assert.ok(
      'done' in (await (await webhook(t, { url, ca: join(path, 'ca.pem') })).deliver(delivery(order), never)),
    );
    for (const settings of [{ url }, { url, ca: join(path, 'other.pem') }]) {
      const outcome = retried(await (await webhook(t, settings)).deliver(delivery(order), never));
      assert.match(
        String(outcome.facts?.message),
        /could not be reached \((UNABLE_TO|SELF_SIGNED|DEPTH_ZERO)/,
      );
    }
    const wrongName = retried(
      await (await webhook(t, { url: `https://localhost:${port}/`, ca: join(path, 'ca.pem') })).deliver(
        delivery(order),
        never,
      ),
    );
    assert.match(wrongName.message, /ERR_TLS_CERT_ALTNAME_INVALID/);
    assert.equal(got.length, 1);
    await assert.rejects(webhook(t, { url, ca: join(path, 'missing.pem') }), { code: 'file-access' });
  });
});
