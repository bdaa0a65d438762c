/** Parts of the door that loopback cannot show: addresses, proxies, TLS, and the table of routes. */
import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { createApp } from '../../src/api/app.ts';
import { Held } from '../../src/api/body.ts';
import { RequestLimits } from '../../src/api/limits.ts';
import { type OriginRules, Origins } from '../../src/api/origin.ts';
import { Places } from '../../src/api/places.ts';
import { routesOf } from '../../src/api/routes.ts';
import { Streams } from '../../src/api/streams.ts';
import { allGranted, Client, verbs } from '../../src/client/index.ts';
import { ClientRegistry, Rates } from '../../src/client/registry.ts';
import { readConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { createLog } from '../../src/log.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';

const rules: OriginRules = {
  name: 'api',
  host: '10.0.0.5',
  hostnames: ['api.example.com'],
  trustedProxies: [],
  tls: false,
};

/** A request from an address, with fields in pairs. */
function request(address: string, fields: Record<string, string> = {}): IncomingMessage {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: address });
  const message = new IncomingMessage(socket);
  message.url = '/v1/messages';
  for (const [name, value] of Object.entries({ host: 'api.example.com', ...fields })) {
    message.headers[name] = value;
    message.rawHeaders.push(name, value);
  }
  return message;
}
const code = (work: () => unknown) => {
  try {
    return work();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
};

describe('where a request comes from', () => {
  it('in clear text, from this machine or a named proxy alone', () => {
    const plain = new Origins(rules);
    assert.equal(
      code(() => plain.check(request('127.0.0.1'))),
      '127.0.0.1',
    );
    assert.equal(
      code(() => plain.check(request('::ffff:127.0.0.1'))),
      '127.0.0.1',
    );
    assert.equal(
      code(() => plain.check(request('10.1.2.3'))),
      'transport-insecure',
    );
    assert.deepEqual(
      ['127.0.0.1', '::1', '10.1.2.3', '192.0.2.1', ''].map((each) => plain.mayConnect(each)),
      [true, true, false, false, false],
    );
    const own = new Origins({ ...rules, tls: true });
    assert.equal(
      code(() => own.check(request('10.1.2.3'))),
      '10.1.2.3',
    );
  });

  it('X-Forwarded-For is believed from named proxies alone, and from the last hop backwards', () => {
    const behind = new Origins({ ...rules, trustedProxies: ['10.0.0.0/8', 'fd00::/8'] });
    const of = (address: string, forwarded: string, proto = 'https') =>
      code(() =>
        behind.check(request(address, { 'x-forwarded-for': forwarded, 'x-forwarded-proto': proto })),
      );
    assert.equal(of('10.1.2.3', '192.0.2.7'), '192.0.2.7');
    assert.equal(of('fd00::1', '192.0.2.7'), '192.0.2.7');
    // What a client wrote itself comes before what the proxies added.
    assert.equal(of('10.1.2.3', '127.0.0.1, 192.0.2.7, 10.9.9.9'), '192.0.2.7');
    assert.equal(of('10.1.2.3', '192.0.2.7', 'http'), 'transport-insecure');
    assert.equal(of('10.1.2.3', 'nonsense'), 'request-invalid');
    assert.equal(
      code(() => behind.check(request('10.1.2.3'))),
      'transport-insecure',
    );
    // Not a proxy: the field is nothing but text.
    assert.equal(of('127.0.0.1', '192.0.2.7'), '127.0.0.1');
    assert.equal(of('192.0.2.9', '127.0.0.1'), 'transport-insecure');
  });

  it('and whom it names', () => {
    const origins = new Origins({ ...rules, tls: true });
    const host = (name: string) => code(() => origins.check(request('192.0.2.1', { host: name })));
    for (const known of ['api.example.com', 'API.example.com:8026', '10.0.0.5:1', 'localhost', '[::1]:8026'])
      assert.equal(host(known), '192.0.2.1', known);
    for (const unknown of [
      'example.com',
      'api.example.com.evil.example',
      '10.0.0.6',
      'x@api.example.com',
      '',
    ])
      assert.equal(host(unknown), 'host-unknown', unknown);
  });
});

describe('the configuration of the API', () => {
  const problems = (api: string) =>
    readConfig(`dataDir: /tmp/none\napi: ${api}\n`, 'sealpost.yaml')
      .problems.filter(({ setting }) => setting.startsWith('api'))
      .map(({ severity, setting }) => `${severity} ${setting}`);
  it('listens to other machines with TLS or a named proxy only', () => {
    assert.deepEqual(problems('{ port: 1 }'), []);
    assert.deepEqual(problems("{ port: 1, host: '::1' }"), []);
    assert.deepEqual(problems('{ port: 1, host: 0.0.0.0, hostnames: [x.example] }'), ['error api.host']);
    assert.deepEqual(problems('{ port: 1, host: 0.0.0.0, trustedProxies: [10.0.0.0/8] }'), [
      'warning api.hostnames',
    ]);
    assert.deepEqual(
      problems('{ port: 1, host: 0.0.0.0, hostnames: [x.example], tls: { cert: c, key: k } }'),
      [],
    );
    for (const network of ['10.0.0.0/33', 'proxy.example', '::/129', '10.0.0', '10.0.0.0/8/8'])
      assert.deepEqual(
        problems(`{ trustedProxies: ['${network}'] }`),
        ['error api.trustedProxies[0]'],
        network,
      );
  });
});

describe('the table of routes', () => {
  it('declares a grant for each, and the API does not start with a route that has none', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const queue = await openTestQueue(server);
    t.after(() => queue.close());
    const config = configSchema.parse({ dataDir: server.dataDir });
    const log = createLog('silent', 'test');
    const registry = await ClientRegistry.open({ ...queue, folder: server.dataDir, log, now: Date.now });
    const streams = new Streams({
      events: queue.events,
      places: new Places(queue),
      registry,
      onFailure: () => undefined,
    });
    const routes = routesOf({
      ...{ config, queue, rates: new Rates(), openapi: () => ({}), streams },
      log: createLog('silent', 'test'),
    });
    assert.ok(routes.length > 9);
    for (const { grant, url } of routes) assert.ok([...verbs, 'token'].includes(grant), url);
    // What acts or shows more than the client's own grants needs its own verb.
    assert.deepEqual(
      routes.filter(({ grant }) => grant === 'token').map(({ url }) => url),
      ['/v1/partners', '/v1/openapi.json'],
    );
    const connections = { connections: 10, connectionsPerAddress: 10 };
    const parts = { registry, log, origins: new Origins(rules), api: config.api, connections };
    const [first] = routes;
    assert.ok(first);
    const bare = { ...first };
    Reflect.deleteProperty(bare, 'grant');
    await assert.rejects(createApp({ ...parts, routes: [bare] }), /\/v1\/messages declares no grant/);
    const app = await createApp({ ...parts, routes });
    await app.close();
  });
});

describe('what a client may take', () => {
  const client = (name: string) => new Client(name, allGranted, `token of ${name}`);
  it('requests at a time and in a minute, each client its own', () => {
    let now = 0;
    const limits = new RequestLimits(2, 3, { atATime: 'a', perMinute: 'b' }, () => now);
    const [a, b] = [client('a'), client('b')];
    const end = limits.begin(a);
    limits.begin(a);
    assert.equal(
      code(() => limits.begin(a)),
      'rate-limited',
    );
    limits.begin(b);
    end();
    end();
    assert.equal(
      code(() => limits.begin(a)),
      'rate-limited',
      'three in this minute',
    );
    now += 20_000;
    limits.begin(a);
    assert.equal(
      code(() => limits.begin(a)),
      'rate-limited',
      'two at a time',
    );
  });

  it('octets of bodies in memory: a quarter of all', () => {
    const held = new Held(100);
    held.take('a', 25);
    assert.equal(
      code(() => held.take('a', 1)),
      'rate-limited',
    );
    held.take('b', 25);
    held.take('c', 25);
    held.take('d', 25);
    assert.equal(
      code(() => held.take('e', 1)),
      'queue-full',
    );
    held.give('a', 25);
    held.take('e', 25);
  });
});
