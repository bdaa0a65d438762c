/** Attacks on the stream of events: foreign places, revoked tokens, slow readers; and what a good reader sees. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createApp } from '../../src/api/app.ts';
import { Origins } from '../../src/api/origin.ts';
import { Places } from '../../src/api/places.ts';
import { Streams } from '../../src/api/streams.ts';
import { Client } from '../../src/client/index.ts';
import { ClientRegistry } from '../../src/client/registry.ts';
import { configSchema } from '../../src/config/schema.ts';
import { createLog } from '../../src/log.ts';
import type { FollowedEvent } from '../../src/queue/index.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { Reader } from '../support/event-reader.ts';
import { until } from '../support/net.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

describe('events of the running daemon', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let api: TestApi;
  let acme: string;
  let other: string;
  before(async () => {
    api = await startApi(world);
    acme = await api.token(
      'acme-erp',
      '--scope',
      'send,read,terminate',
      '--partner',
      'acme',
      '--sender',
      '*',
    );
    other = await api.token('other-erp', '--scope', 'send,read', '--partner', 'other', '--sender', '*');
  });
  after(async () => {
    await api?.daemon.stop();
    world.remove();
  });
  const submitted = async (token: string, partner: string) => {
    const { status, json } = await api.post(token, { partner, text: 'x', metadata: { order: '1' } });
    assert.equal(status, 202, JSON.stringify(json));
    return String(json.messages[0].id);
  };

  it('are seen as they happen, are resumed by id, and are those of the client alone', async () => {
    const reader = await Reader.open(api.url, acme);
    const id = await submitted(acme, 'acme');
    const theirs = await submitted(other, 'other');
    const [first] = await api.daemon.waitFor('its event', () =>
      reader.of(id).length > 0 ? reader.of(id) : undefined,
    );
    assert.deepEqual(
      [first?.data.type, first?.data.message.partner, first?.data.message.metadata, first?.data.id],
      ['queued', 'acme', { order: '1' }, first?.id],
    );
    reader.close();
    const ended = await api.call(acme, `/v1/messages/${id}/terminate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"why":"a test"}',
    });
    assert.equal(ended.status, 200);
    // It goes on behind the event that it saw last.
    const again = await Reader.open(api.url, acme, first?.id);
    await api.daemon.waitFor('the next event', () => again.of(id).length > 0);
    assert.deepEqual(
      again.of(id).map(({ data }) => data.type),
      ['terminated'],
    );
    // A place in the events of another client shows nothing of them.
    const foreign = await api.call(other, '/v1/events');
    const place = foreign.json.events.find((each: { message: { id: string } }) => each.message.id === theirs);
    assert.ok(place);
    // Before it, as ids were written once.
    const spy = await Reader.open(api.url, acme, `${Date.parse(place.at) - 1000}-0`);
    const next = await submitted(acme, 'acme');
    await api.daemon.waitFor('an event after it', () => spy.of(next).length > 0);
    for (const each of [reader, again, spy]) {
      assert.deepEqual(each.of(theirs), []);
      assert.ok(each.seen.every(({ data }) => data.message === undefined || data.message.partner === 'acme'));
      each.close();
    }
  });

  it('can be polled, and each page goes on where the last one ended', async () => {
    const start = (await api.call(acme, '/v1/events')).json.cursor;
    const id = await submitted(acme, 'acme');
    const page = await api.call(acme, `/v1/events?after=${start}`);
    assert.deepEqual(
      page.json.events.map((each: { type: string; message: { id: string } }) => [each.type, each.message.id]),
      [['queued', id]],
    );
    assert.equal(page.json.missed, false);
    const next = await api.call(acme, `/v1/events?after=${page.json.cursor}`);
    assert.deepEqual([next.json.events, next.json.more], [[], false]);
    // the id of an event is a place as well
    const [{ id: place }] = page.json.events;
    const own = await api.call(acme, `/v1/events?after=${place}`);
    assert.deepEqual(own.json.events, []);
    // It is the same each time, and Redis's clock and count cannot be seen in it.
    const twice = await api.call(acme, `/v1/events?after=${start}`);
    assert.equal(twice.json.events[0].id, place);
    assert.match(place, /^[\w-]{22}$/);
    const octets = Buffer.from(place, 'base64url');
    octets[0] = (octets[0] ?? 0) ^ 1;
    const nearly = octets.toString('base64url');
    for (const wrong of ['x', '1', '-1-0', `${'9'.repeat(30)}-0`, nearly, 'A'.repeat(22)])
      assert.equal((await api.call(acme, `/v1/events?after=${wrong}`)).status, 400, wrong);
    const header = await api.call(acme, '/v1/events', {
      headers: { accept: 'text/event-stream', 'last-event-id': 'a\tb' },
    });
    assert.equal(header.status, 400);
  });

  it('leave no trace of those of others: cursors are sealed, and a page passes over any number of them', async () => {
    const { redis, prefix } = api.daemon.queue;
    const poll = async (token: string, after: string) => {
      const { status, json } = await api.call(token, `/v1/events?after=${after}`);
      return { status, ...json };
    };
    const { cursor } = (await api.call(acme, '/v1/events')).json;
    const quiet = await poll(acme, cursor);
    const theirs = await submitted(other, 'other');
    const busy = await poll(acme, cursor);
    assert.deepEqual([quiet.events, quiet.more, busy.events, busy.more], [[], false, [], false]);
    // another text whether anything happened or not, of the same form
    assert.equal(new Set([cursor, quiet.cursor, busy.cursor]).size, 3);
    for (const each of [cursor, quiet.cursor, busy.cursor]) {
      assert.match(each, /^[\w-]{40,200}$/);
      assert.doesNotMatch(Buffer.from(each, 'base64url').toString('latin1'), /\d{10}/);
    }
    // it is one of this client: another one learns nothing from it
    assert.equal((await poll(other, cursor)).status, 400);
    const changed = `${cursor.slice(0, 30)}${cursor[30] === 'A' ? 'B' : 'A'}${cursor.slice(31)}`;
    assert.equal((await poll(acme, changed)).status, 400);
    const id = await submitted(acme, 'acme');
    const key = `${prefix}:events`;
    const add = async (message: string, count: number) => {
      const many = redis.pipeline();
      const event = JSON.stringify({ type: 'retried', at: 1, facts: {} });
      for (let each = 0; each < count; each += 1) many.xadd(key, '*', 'i', message, 'e', event);
      await many.exec();
    };
    await add(theirs, 1500);
    await add(id, 2);
    await add(theirs, 600);
    const page = await poll(acme, cursor);
    assert.deepEqual(
      page.events.map((each: { type: string }) => each.type),
      ['queued', 'retried', 'retried'],
    );
    assert.equal(page.more, false);
    // of its own, a page has 500, and there are more only if those are its own as well
    await add(id, 500);
    await add(theirs, 10);
    const full = await poll(acme, page.cursor);
    assert.deepEqual([full.events.length, full.more], [500, false]);
    await add(id, 501);
    const first = await poll(acme, full.cursor);
    const second = await poll(acme, first.cursor);
    assert.deepEqual([first.events.length, first.more], [500, true]);
    assert.deepEqual([second.events.length, second.more], [1, false]);
    const ids = [...first.events, ...second.events].map((each: { id: string }) => each.id);
    assert.equal(new Set(ids).size, 501);
    // Those of one millisecond, which Redis counts, have nothing in common.
    assert.equal(new Set(ids.map((each) => each.slice(0, 8))).size, 501);
  });

  it('end when their token expires, in the middle of the stream', async () => {
    const lasting = ['--scope', 'read', '--partner', 'acme', '--expires', '10s'];
    const token = await api.token('short-lived', ...lasting);
    const [reader, stays] = [await Reader.open(api.url, token), await Reader.open(api.url, acme)];
    const id = await submitted(acme, 'acme');
    await api.daemon.waitFor('it sees what happens', () => reader.of(id).length > 0);
    await api.daemon.waitFor('the stream has ended', () => reader.ended);
    const after = await api.call(token, '/v1/messages');
    assert.deepEqual([after.status, after.json.code, stays.ended], [401, 'client-unauthenticated', false]);
    stays.close();
  });

  it('say when some were missed', async () => {
    const { redis, prefix } = api.daemon.queue;
    const { cursor } = (await api.call(acme, '/v1/events')).json;
    await submitted(acme, 'acme');
    await submitted(acme, 'acme');
    await redis.xtrim(`${prefix}:events`, 'MAXLEN', 1);
    const page = await api.call(acme, `/v1/events?after=${cursor}`);
    assert.deepEqual([page.json.missed, page.json.events.length], [true, 1]);
    const reader = await Reader.open(api.url, acme, cursor);
    await api.daemon.waitFor('it is told', () => reader.seen.length === 2);
    assert.deepEqual(
      reader.seen.map(({ event }) => event),
      ['missed', 'message'],
    );
    reader.close();
  });

  it('end within a second of the revocation of their token, and when the daemon stops', async () => {
    const token = await api.token('leaver', '--scope', 'read', '--partner', 'acme');
    const [reader, stays] = [await Reader.open(api.url, token), await Reader.open(api.url, acme)];
    const id = /^sealpost_([^_]+)_/.exec(token)?.[1] ?? '';
    await api.daemon.command(['tokens', 'revoke', id]);
    await api.daemon.waitFor('the stream has ended', () => reader.ended);
    assert.deepEqual([stays.ended, (await api.call(token, '/v1/events')).status], [false, 401]);
    const narrowed = await api.token('narrowed', '--scope', 'read', '--partner', 'acme');
    const narrow = await Reader.open(api.url, narrowed);
    await api.daemon.command(['clients', 'grant', 'narrowed', '--scope', 'send']);
    await api.daemon.waitFor('nor may it stay without its verb', () => narrow.ended);
    stays.close();
  });
});

describe('grants that shrink while a stream is read slowly', { timeout: 1_800_000 }, () => {
  it('count for every event that has not been written yet', async (t) => {
    const grantsFor = (partners: string[]) => ({
      ...{ verbs: ['read' as const], partners, mailboxes: [], senders: [], identities: [] },
      limits: { messages: 0, octets: 0, size: 0 },
    });
    const clientOf = (...partners: string[]) => new Client('erp', grantsFor(partners), 'token');
    let now = clientOf('acme', 'other');
    const listeners = new Set<() => void>();
    const eventOf = (number: number, partner: string): FollowedEvent => ({
      id: `${number}-0`,
      event: { type: 'retried', at: 1, facts: { message: 'x'.repeat(2000) } },
      record: {
        ...{ id: 'a', direction: 'outbound', state: 'queued', mailbox: null, partner, partnerBy: null },
        ...{ origin: { kind: 'api', detail: {} }, envelope: { from: '', to: [] }, messageId: null },
        ...{ octets: 1, sha256: '', receivedAt: 1, updatedAt: 1, reason: null, events: [] },
      },
    });
    // More than the buffers of two sockets hold; the last one is of a partner that stays granted.
    const many = Array.from({ length: 8000 }, (_, each) => eventOf(each + 1, 'acme'));
    const page = [...many, eventOf(9000, 'other')];
    let read = 0;
    const places = new Places({
      seal: () => Buffer.of(),
      unseal: () => '',
      deriveKey: () => Buffer.alloc(32),
    });
    const streams = new Streams(
      {
        places,
        events: {
          ...{ keep: async () => undefined, newest: async () => '0-0', position: async () => undefined },
          ...{ moveTo: async () => undefined, claim: async () => true, release: async () => undefined },
          read: async () => ({
            events: read++ === 0 ? page : [],
            last: '9000-0',
            more: false,
            missed: false,
          }),
        },
        registry: {
          again: () => now,
          onChange(listener) {
            listeners.add(listener);
            return () => listeners.delete(listener);
          },
        },
        onFailure: () => undefined,
      },
      { look: 20, beat: 100, unread: 100_000 },
    );
    let answer: ServerResponse | undefined;
    const server = createServer(async (request, response) => {
      answer = response;
      const call = { client: now, address: '', params: {}, query: {}, request, response };
      const given = await streams.route.handle(call);
      if ('live' in given) await given.live();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.after(() => server.close());
    const address = server.address();
    const socket = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.write('GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n');
    await once(socket, 'readable');
    await until('the stream waits for its reader', () => answer?.writableNeedDrain === true);
    now = clientOf('other');
    for (const listener of listeners) listener();
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const last = `id: ${places.ids.of('9000-0')}`;
    await until('what may be seen still comes', () => text.includes(last) && text.includes(': beat'));
    const seen = text.match(/^id: /gm)?.length ?? 0;
    assert.ok(seen < page.length, `${seen} of ${page.length}`);
  });
});

describe('a stream of events', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  it('costs nothing that nobody follows, beats, and cuts a reader that does not read', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const queue = await openTestQueue(server);
    t.after(() => queue.close());
    const log = createLog('silent', 'test');
    const submit = async () => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from('x'));
      const envelope = { from: 'a@own.example', to: ['b@acme.example'] };
      const origin = { kind: 'command' as const, detail: {} };
      const entry = { origin, envelope, messageId: null, partner: 'acme' };
      return (await queue.intake.commitOutbound(writer, [entry]))[0]?.id ?? '';
    };
    await submit();
    const key = `${queue.prefix}:events`;
    assert.equal(await queue.redis.exists(key), 0);

    const registry = await ClientRegistry.open({ ...queue, folder: server.dataDir, log, now: Date.now });
    await registry.change((document) => {
      document.clients.push({
        name: 'erp',
        grants: {
          ...{ verbs: ['read'], partners: ['acme'], mailboxes: [], senders: [], identities: [] },
          limits: { messages: 0, octets: 0, size: 0 },
        },
        createdAt: 0,
        pins: [],
      });
    });
    const { text: token } = await registry.addCredential('erp', { note: '', scope: {}, expiresAt: null });
    const streams = new Streams(
      { events: queue.events, places: new Places(queue), registry, onFailure: () => undefined },
      { look: 20, beat: 100, unread: 500 },
    );
    const origins = new Origins({
      name: 'api',
      host: '127.0.0.1',
      hostnames: [],
      trustedProxies: [],
      tls: false,
    });
    const { api } = configSchema.parse({});
    const connections = { connections: 10, connectionsPerAddress: 10 };
    const app = await createApp({ routes: [streams.route], registry, log, origins, api, connections });
    await streams.start();
    await app.listen({ host: '127.0.0.1', port: 0 });
    t.after(() => app.close());
    t.after(() => streams.stop());
    const address = app.server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const id = await submit();
    assert.equal(await queue.redis.xlen(key), 2, 'the mark of its beginning, and the event');

    const socket = connect(port, '127.0.0.1');
    const request = [
      'GET /v1/events?after=0-0 HTTP/1.1',
      'Host: localhost',
      `Authorization: Bearer ${token}`,
      'Accept: text/event-stream',
    ];
    socket.write(`${request.join('\r\n')}\r\n\r\n`);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    while (!(text.includes(id) && text.includes(': beat'))) await once(socket, 'data');
    socket.pause();
    // More than the buffers of two sockets hold.
    const event = JSON.stringify({ type: 'retried', at: 1, facts: { message: 'x'.repeat(2000) } });
    const many = queue.redis.pipeline();
    for (let each = 0; each < 8000; each++) many.xadd(key, '*', 'i', id, 'e', event);
    await many.exec();
    const connected = () =>
      new Promise<number>((resolve, reject) =>
        app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      );
    const deadline = Date.now() + 60_000;
    while ((await connected()) > 0 && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(await connected(), 0);
    socket.destroy();
  });
});
