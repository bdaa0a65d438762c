/** Requests that began before their person or token was reset, disabled or revoked, and end after it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { createApp } from '../../src/api/app.ts';
import { Origins } from '../../src/api/origin.ts';
import { userRoutes } from '../../src/api/users.ts';
import { allGranted } from '../../src/client/index.ts';
import { ClientRegistry } from '../../src/client/registry.ts';
import { createLog } from '../../src/log.ts';
import { invite, personNamed, UserRegistry } from '../../src/user/registry.ts';
import { Authenticator } from '../support/authenticator.ts';
import { type ConsoleRoom, type Somebody, startConsoleRoom } from '../support/console.ts';
import { until } from '../support/net.ts';
import { openTestQueue, testConfig } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';
import { skipWithout } from '../support/world.ts';

const place = { origin: 'https://console.example.com', rpId: 'console.example.com' };
const needs = skipWithout('redis-server');

/** A request whose body lacks its end. */
function begun(url: string, headers: Record<string, string>, body: string) {
  const request = httpRequest(url, {
    ...{ method: 'POST', agent: false },
    headers: { 'content-length': String(body.length), ...headers },
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject);
  });
  return {
    request,
    start: () => request.write(body.slice(0, 1)),
    async end(): Promise<number | undefined> {
      request.end(body.slice(1));
      const answer = await answered;
      answer.resume();
      return answer.statusCode;
    },
  };
}

describe('a form that comes slowly', { skip: needs }, () => {
  let room: ConsoleRoom;
  before(async () => {
    room = await startConsoleRoom({ publicUrl: place.origin, hostnames: [place.rpId], stepUp: '1h' });
  });
  after(() => room?.stop());

  const change = async (name: string, edit: (person: ReturnType<typeof personNamed>) => void) =>
    await room.registry.change((document) => edit(personNamed(document, name)));
  const isOut = ({ browser }: Somebody) =>
    until('its logins have ended', async () => (await browser.get('/account')).status === 303);

  /** A passkey whose form has begun. */
  async function adding({ browser }: Somebody) {
    await browser.get('/account');
    const page = await browser.post('/account/passkeys/new', { name: 'x' });
    const options = /data-options="([^"]+)"/.exec(page.text)?.[1] ?? '';
    const credential = new Authenticator(place).make(
      options.replaceAll('&quot;', '"').replaceAll('&amp;', '&'),
    );
    const body = new URLSearchParams({ _csrf: browser.csrf, name: 'a key', credential }).toString();
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const type = 'application/x-www-form-urlencoded';
    const slow = begun(
      `${room.url}/account/passkeys`,
      { cookie, origin: room.url, 'content-type': type },
      body,
    );
    slow.start();
    // The console looks at one request after the other, so it has seen who sends the form.
    for (let page = 0; page < 3; page += 1) assert.equal((await browser.get('/account')).status, 200);
    return slow;
  }
  const passkeysOf = async (name: string) => {
    await room.registry.refresh();
    return room.registry.byName(name)?.passkeys.length;
  };

  it('adds no passkey after a reset, which would be a way in past the new password', async () => {
    const ada = await room.person('ada', 'operator');
    const slow = await adding(ada);
    await change('ada', (person) => void invite(person, Date.now()));
    await isOut(ada);
    assert.equal(await slow.end(), 401);
    assert.equal(await passkeysOf('ada'), 0);
  });

  it('adds none for a person who was disabled meanwhile, and is done otherwise', async () => {
    const bob = await room.person('bob', 'operator');
    assert.equal(await (await adding(bob)).end(), 303);
    assert.equal(await passkeysOf('bob'), 1);
    const slow = await adding(bob);
    await change('bob', (person) => {
      person.disabled = true;
      person.epoch += 1;
    });
    await isOut(bob);
    assert.equal(await slow.end(), 401);
    assert.equal(await passkeysOf('bob'), 1);
  });
});

describe('a body that comes slowly', { skip: needs }, () => {
  it('does nothing with a token that was revoked or narrowed meanwhile', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const whole = { mailboxes: [] };
    const [config, queue] = [testConfig(server, whole), await openTestQueue(server, whole)];
    t.after(() => queue.close());
    const log = createLog('silent', 'test');
    const parts = { ...queue, folder: config.dataDir, log, now: Date.now };
    const [registry, people] = [
      await ClientRegistry.open(parts),
      await UserRegistry.open({ ...parts, oidc: undefined }),
    ];
    await registry.change(({ clients }) => {
      clients.push({ name: 'portal', grants: structuredClone(allGranted), createdAt: 0, pins: [] });
    });
    const facts = { note: '', scope: {}, expiresAt: null };
    const { id, text } = await registry.addCredential('portal', facts);
    const routes = userRoutes({ config, queue, log, body: { timeout: 60_000, minimumRate: 1 } });
    const origins = new Origins({
      ...{ name: 'api', host: '127.0.0.1', hostnames: [], trustedProxies: [], tls: false },
    });
    const connections = { connections: 10, connectionsPerAddress: 10 };
    const app = await createApp({ routes, registry, log, origins, api: config.api, connections });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    t.after(() => app.close());

    /** Somebody is added; between beginning and end of the request, something happens. */
    const added = async (name: string, meanwhile: () => Promise<void>) => {
      const body = JSON.stringify({ name, role: 'viewer', mailboxes: [], partners: [], content: false });
      const headers = { authorization: `Bearer ${text}`, 'content-type': 'application/json' };
      const slow = begun(`${url}/v1/users`, { ...headers, expect: '100-continue' }, body);
      slow.request.flushHeaders();
      // Somebody reads the body by now.
      await once(slow.request, 'continue');
      slow.start();
      await meanwhile();
      const status = await slow.end();
      await people.refresh();
      return [status, people.byName(name) !== undefined];
    };
    const setVerbs = async (verbs: typeof allGranted.verbs) =>
      await registry.change(({ clients: [client] }) => {
        if (client) client.grants.verbs = [...verbs];
      });
    assert.deepEqual(await added('first', async () => undefined), [200, true]);
    assert.deepEqual(await added('second', () => setVerbs(['read'])), [403, false]);
    await setVerbs(allGranted.verbs);
    const revoked = async () =>
      await registry.change((document) => {
        document.credentials = document.credentials.filter((each) => each.id !== id);
      });
    assert.deepEqual(await added('third', revoked), [401, false]);
  });
});
