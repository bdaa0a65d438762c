/** Attacks of administrators and tokens that want more than they have: over people, clients and tokens. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createApi } from '../../src/api/index.ts';
import { allGranted, type Grants } from '../../src/client/index.ts';
import { ClientRegistry } from '../../src/client/registry.ts';
import { createLog } from '../../src/log.ts';
import { type ConsoleRoom, type Somebody, startConsoleRoom } from '../support/console.ts';
import { until } from '../support/net.ts';
import { testConfig } from '../support/queue.ts';
import { skipWithout } from '../support/world.ts';

const partners = ['acme', 'other'].map((name) => ({
  ...{ name, addresses: [`@${name}.example`], encrypt: false, sign: 'none', from: 'us@own.example' },
  route: { host: '127.0.0.1', port: 9 },
}));
const mailboxes = [
  {
    name: 'orders',
    addresses: ['orders@own.example'],
    destinations: [{ name: 'folder', type: 'directory', path: '/tmp/none' }],
  },
];

const own: Grants = {
  ...{ verbs: ['users', 'clients', 'read', 'certificates', 'alerts', 'send'], partners: ['acme'] },
  ...{ mailboxes: ['orders'], senders: ['@own.example'], identities: [] },
  limits: { messages: 60, octets: 0, size: 0 },
};

interface Both {
  room: ConsoleRoom;
  registry: ClientRegistry;
  /** A token of a client with these grants. */
  token(name: string, grants: Grants, expiresAt?: number): Promise<string>;
  ask(
    token: string,
    path: string,
    json?: unknown,
  ): Promise<{ status: number; json: ReturnType<typeof JSON.parse> }>;
  stop(): Promise<void>;
}

/** The API and the console on the same people and clients. */
async function startBoth(settings: Record<string, unknown> = {}): Promise<Both> {
  const room = await startConsoleRoom(settings, undefined, { partners, mailboxes });
  const whole = { partners, mailboxes, api: { port: 0 }, console: { port: 0, ...settings } };
  const config = testConfig(room.server, whole);
  const log = createLog('silent', 'test');
  const api = await createApi({ config, log, queue: room.queue });
  const url = `http://${await api.listen(false)}`;
  const registry = await ClientRegistry.open({ ...room.queue, folder: config.dataDir, log, now: Date.now });
  const both: Both = {
    ...{ room, registry },
    async token(name, grants, expiresAt) {
      await registry.change(({ clients }) => {
        if (!clients.some((each) => each.name === name))
          clients.push({ name, grants, createdAt: Date.now(), pins: [] });
      });
      const facts = { note: '', scope: {}, expiresAt: expiresAt ?? null };
      const { text } = await registry.addCredential(name, facts);
      for (;;) {
        if ((await both.ask(text, '/v1/openapi.json')).status === 200) return text;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async ask(token, path, json) {
      const answer = await fetch(`${url}${path}`, {
        method: json === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          ...(json ? { 'content-type': 'application/json' } : {}),
        },
        ...(json ? { body: JSON.stringify(json) } : {}),
      });
      return { status: answer.status, json: JSON.parse(await answer.text()) };
    },
    async stop() {
      await api.close(1000);
      await room.stop();
    },
  };
  return both;
}

const acts = async ({ room }: Both) =>
  (await room.queue.audit.list({})).map(({ what, by, subject }) => `${what} ${by} ${subject}`);

describe('rights that somebody would raise', { skip: skipWithout('redis-server') }, () => {
  let both: Both;
  let ada: Somebody;
  let desk: string;
  before(async () => {
    process.env.SEALPOST_TEST_SUBJECTS = 'a secret';
    both = await startBoth({
      stepUp: '1h',
      oidc: {
        ...{ issuer: 'http://127.0.0.1:9', clientId: 'console', url: 'http://127.0.0.1:9' },
        clientSecret: { env: 'SEALPOST_TEST_SUBJECTS' },
      },
    });
    ada = await both.room.person('ada', 'administrator');
    await ada.browser.get('/users');
    desk = await both.token('desk', own);
    await both.token('boss', allGranted);
    await both.token('peer', { ...own, verbs: [...own.verbs, 'terminate'] });
  });
  after(() => both?.stop());

  it('of a token: it gives people what it has, and no more', async () => {
    const some = { role: 'viewer', mailboxes: ['orders'], partners: ['acme'] };
    const made = await both.ask(desk, '/v1/users', { name: 'vic', ...some });
    assert.deepEqual([made.status, made.json.user.role, made.json.user.may], [200, 'viewer', true]);
    assert.match(made.json.invitation, /^[\w-]{20}$/);
    assert.match((await acts(both))[0] ?? '', /^person-add client desk, token \w{10} vic$/);
    for (const more of [
      { role: 'operator' },
      { role: 'administrator' },
      { partners: '*' },
      { partners: ['acme', 'other'] },
      { mailboxes: '*' },
      { content: true },
    ]) {
      const name = 'eve';
      const added = await both.ask(desk, '/v1/users', { name, ...some, ...more });
      assert.deepEqual([added.status, added.json.code], [403, 'not-granted'], JSON.stringify(more));
      const changed = await both.ask(desk, '/v1/users/vic/change', more);
      assert.deepEqual([changed.status, changed.json.code], [403, 'not-granted'], JSON.stringify(more));
    }
    const { json } = await both.ask(desk, '/v1/users');
    // who sees more mail than the token does not exist for it
    assert.deepEqual(
      json.users.map(({ name }: { name: string }) => name),
      ['vic'],
    );
    assert.equal((await both.ask(desk, '/v1/users/ada/reset', null)).status, 404);
    assert.equal(
      (await both.ask(desk, '/v1/users', { name: 'x', ...some, mailboxes: ['none'] })).status,
      400,
    );
  });

  it('of a token: it takes from nobody the rights of its groups, by adding its subject beforehand', async () => {
    const some = { role: 'viewer', mailboxes: ['orders'], partners: ['acme'] };
    const add = async (token: string, name: string) =>
      await both.ask(token, '/v1/users', { name, ...some, subject: `sub of ${name}` });
    const taken = await add(desk, 'boss-to-come');
    assert.deepEqual([taken.status, taken.json.code], [403, 'not-granted']);
    const whole = await both.token('whole', allGranted);
    assert.equal((await add(whole, 'newcomer')).status, 200);
    const page = await ada.browser.get('/users');
    assert.match(page.text, /name="subject"/);
    assert.equal((await both.ask(whole, '/v1/users/newcomer/remove', null)).status, 200);
  });

  it('of a token: it takes over nobody who may do more', async () => {
    both.room.rights = { mailboxes: ['orders'], partners: ['acme'] };
    await both.room.person('olga', 'operator');
    both.room.rights = {};
    for (const act of ['reset', 'disable', 'enable', 'end-sessions', 'remove', 'change']) {
      const answer = await both.ask(desk, `/v1/users/olga/${act}`, act === 'change' ? {} : null);
      assert.deepEqual([answer.status, answer.json.code], [403, 'not-granted'], act);
    }
    const seen = await both.ask(desk, '/v1/users');
    const olga = seen.json.users.find(({ name }: { name: string }) => name === 'olga');
    assert.deepEqual([olga.may, olga.disabled], [false, false]);
  });

  it('of a token: its own client stays as it is, and another one gets no more', async () => {
    const sends = { verbs: ['send'], senders: ['@own.example'], identities: [], limits: { messages: 60 } };
    for (const [path, json] of [
      ['/v1/clients/desk/grant', { verbs: own.verbs }],
      ['/v1/clients/DESK/grant', { verbs: ['terminate'] }],
      ['/v1/clients/desk/tokens', {}],
      ['/v1/clients/desk/remove', null],
      [`/v1/tokens/${desk.slice(9, 19)}/rotate`, { expires: 'never' }],
      ['/v1/clients/peer/tokens', {}],
      ['/v1/clients/peer/grant', { verbs: [] }],
      ['/v1/clients', { name: 'n1', verbs: ['terminate'] }],
      ['/v1/clients', { name: 'n2', partners: '*' }],
      ['/v1/clients', { name: 'n3', ...sends, senders: '*' }],
      ['/v1/clients', { name: 'n4', ...sends, identities: '*' }],
      // a limit of its own, which the new one would not have
      ['/v1/clients', { name: 'n5', ...sends, limits: {} }],
      ['/v1/clients', { name: 'n6', ...sends, limits: { messages: 61 } }],
    ] as const) {
      const answer = await both.ask(desk, path, json);
      assert.deepEqual(
        [answer.status, answer.json.code],
        [403, 'not-granted'],
        `${path} ${JSON.stringify(json)}`,
      );
    }
    // of mail that it does not see
    assert.equal((await both.ask(desk, '/v1/clients/boss/tokens', {})).status, 404);
    const boss = both.registry.document.credentials.find(({ client }) => client === 'boss')?.id ?? '';
    assert.equal((await both.ask(desk, `/v1/tokens/${boss}/rotate`, {})).status, 404);
    const names = ((await both.ask(desk, '/v1/clients')).json.clients as { name: string }[]).map(
      ({ name }) => name,
    );
    assert.deepEqual(names.toSorted(), ['desk', 'peer']);
    const facts = { ...sends, partners: ['acme'] };
    const made = await both.ask(desk, '/v1/clients', { name: 'reader', ...facts });
    assert.equal(made.status, 200, JSON.stringify(made.json));
    const token = await both.ask(desk, '/v1/clients/reader/tokens', { expires: '1d', note: 'for the shop' });
    assert.match(token.json.token, /^sealpost_/);
    const listed = await both.ask(desk, '/v1/tokens?client=reader');
    assert.equal(JSON.stringify(listed.json).includes(token.json.token.slice(20)), false);
    const rotated = await both.ask(desk, `/v1/tokens/${token.json.id}/rotate`, {
      overlap: '1h',
      expires: '2d',
    });
    assert.equal(rotated.status, 200);
    await both.registry.refresh();
    const of = (id: string) => both.registry.document.credentials.find((each) => each.id === id);
    const left = (of(token.json.id)?.expiresAt ?? 0) - Date.now();
    assert.ok(left > 0 && left <= 3_600_000, String(left));
    assert.equal(of(rotated.json.id)?.note, 'for the shop');
    assert.equal((await both.ask(desk, `/v1/tokens/${token.json.id}/revoke`, null)).status, 200);
    await both.registry.refresh();
    assert.equal(of(token.json.id), undefined);
    assert.throws(() => both.registry.byToken(token.json.token), { code: 'client-unauthenticated' });
  });

  it('of a token: it does not outlive itself', async () => {
    const brief = await both.token('brief', own, Date.now() + 86_400_000);
    const facts = { verbs: ['read'] };
    assert.equal((await both.ask(brief, '/v1/clients', { name: 'heir', ...facts })).status, 200);
    for (const [expires, status] of [
      ['never', 403],
      ['365d', 403],
      ['2h', 200],
    ] as const)
      assert.equal((await both.ask(brief, '/v1/clients/heir/tokens', { expires })).status, status, expires);
  });

  it('of a token: it does not outlive itself by a certificate either', async () => {
    const brief = await both.token('brief-pins', own, Date.now() + 86_400_000);
    const pins = ['ab'.repeat(32)];
    const scope = { verbs: ['send'], partners: ['acme'], senders: ['@own.example'], identities: [] };
    const made = await both.ask(brief, '/v1/clients', {
      name: 'forever',
      ...scope,
      limits: { messages: 60 },
      pins,
    });
    assert.deepEqual([made.status, made.json.code], [403, 'not-granted']);
    assert.equal(
      (await both.ask(brief, '/v1/clients', { name: 'forever', ...scope, limits: { messages: 60 } })).status,
      200,
    );
    const grant = async (token: string, wanted: string[]) =>
      (await both.ask(token, '/v1/clients/forever/grant', { pins: wanted })).status;
    assert.equal(await grant(brief, pins), 403);
    assert.equal(await grant(desk, pins), 200);
    // a certificate is what logs in, so the trail says which
    const [entry] = await both.room.queue.audit.list({ limit: 1 });
    assert.match(entry?.why ?? '', /^pins (?:ab){8}; send;/);
    // what is there may stay, and go
    assert.equal(await grant(brief, pins), 200);
    assert.equal(await grant(brief, []), 200);
  });

  it('of a client: it gets no certificate of another one, whose mail would come under its name', async () => {
    const pins = ['cd'.repeat(32)];
    assert.equal((await both.ask(desk, '/v1/clients', { name: 'older' })).status, 200);
    await both.registry.change(({ clients }) => {
      clients.push({ name: 'theirs', grants: structuredClone(allGranted), createdAt: Date.now(), pins });
    });
    const taken = await both.ask(desk, '/v1/clients/older/grant', { pins });
    assert.equal(taken.status, 400, JSON.stringify(taken.json));
    await both.registry.refresh();
    assert.equal(both.registry.byCertificate(pins[0] ?? '')?.name, 'theirs');
  });

  it('without the verb, nothing is listed or done', async () => {
    const { verbs: _, ...rest } = own;
    const plain = await both.token('plain', { ...rest, verbs: ['read', 'approve'] });
    for (const path of ['/v1/users', '/v1/users/vic/logins', '/v1/clients', '/v1/tokens'])
      assert.equal((await both.ask(plain, path)).status, 403, path);
    assert.equal((await both.ask(plain, '/v1/users', { name: 'x', role: 'viewer' })).status, 403);
  });

  it('of a person: not its own, no content without having it, and no page without the role', async () => {
    const { browser } = ada;
    const rights = { role: 'viewer', mailboxes: '*', partners: '*' };
    const made = await browser.post('/users/add', { name: 'bob', ...rights });
    assert.equal(made.status, 200);
    assert.match(made.text, /<code class="once">[\w-]{20}<\/code>/);
    assert.equal((await browser.post('/users/add', { name: 'eve', ...rights, content: 'yes' })).status, 403);
    assert.equal((await browser.post('/users/bob/change', { ...rights, content: 'yes' })).status, 403);
    assert.equal((await browser.post('/users/bob/change', { ...rights, role: 'operator' })).status, 303);
    assert.equal((await browser.post('/users/ada/change', { ...rights })).status, 403);
    for (const act of ['disable', 'remove', 'reset'])
      assert.equal((await browser.post('/users/ada/act', { act })).status, 403, act);
    both.room.rights = { content: true };
    const reader = await both.room.person('cid', 'administrator');
    both.room.rights = {};
    assert.equal((await browser.post('/users/cid/act', { act: 'reset' })).status, 403);
    assert.equal((await reader.browser.get('/')).status, 200);
    for (const role of ['viewer', 'operator']) {
      const other = await both.room.person(`r-${role}`, role);
      assert.doesNotMatch((await other.browser.get('/')).text, /href="\/(?:users|clients)"/);
      for (const path of ['/users', '/users/ada', '/clients', '/clients/boss'])
        assert.equal((await other.browser.get(path)).status, 403, path);
      assert.equal((await other.browser.post('/users/add', { name: 'x', ...rights })).status, 403);
      assert.equal((await other.browser.post('/clients/boss/tokens', { expires: '30d' })).status, 403);
    }
  });

  it('of a person: each act asks again who it is, and is in the audit trail before', async () => {
    const { browser } = ada;
    const { room } = both;
    // an administrator may not read content, so it makes no token of a client that may
    assert.equal((await browser.post('/clients/boss/tokens', { expires: '30d' })).status, 403);
    const added = await browser.post('/clients/add', {
      name: 'shop',
      partners: 'acme',
      mailboxes: '',
      senders: '',
    });
    assert.deepEqual([added.status, added.to], [303, '/clients/shop?did=client-added']);
    room.ahead += 61 * 60_000;
    const forms: [string, Record<string, string>][] = [
      ['/users/add', { name: 'zoe', role: 'viewer', mailboxes: '*', partners: '*' }],
      ['/users/bob/act', { act: 'end-sessions' }],
      ['/clients/shop/tokens', { expires: '30d', note: '' }],
      ['/clients/shop/remove', {}],
    ];
    for (const [path, form] of forms) {
      const asked = await browser.post(path, form);
      assert.equal(asked.status, 403, path);
      assert.match(asked.text, /Nothing has been done yet/, path);
    }
    const { password: _password, code: _code } = await room.proof(ada);
    const done = await browser.post('/clients/shop/tokens', { expires: '30d', note: '', _password, _code });
    assert.match(done.text, /<code class="once">sealpost_\w+<\/code>/);
    assert.match((await acts(both))[0] ?? '', /^token-add person ada, console, from 127\.0\.0\.1 shop$/);
    const trail = `${room.queue.prefix}:audit`;
    const { redis } = room.queue;
    await redis.rename(trail, `${trail}-away`);
    await redis.set(trail, 'in the way');
    for (const [path, form] of forms) assert.ok((await browser.post(path, form)).status >= 500, path);
    await redis.del(trail);
    await redis.rename(`${trail}-away`, trail);
    await both.registry.refresh();
    assert.equal(
      both.registry.document.clients.some(({ name }) => name === 'shop'),
      true,
    );
    assert.equal((await browser.get('/users/zoe')).status, 404);
  });
});

describe('rights that need a second person', { skip: skipWithout('redis-server') }, () => {
  let both: Both;
  before(async () => {
    both = await startBoth({ fourEyes: true, stepUp: '1h' });
  });
  after(() => both?.stop());

  it('are given by no token, and by no person alone; who confirms sees what is shown once', async () => {
    const boss = await both.token('boss', allGranted);
    const facts = { name: 'x', role: 'viewer' };
    const alone = await both.ask(boss, '/v1/users', facts);
    assert.deepEqual([alone.status, alone.json.code], [403, 'second-person-needed']);
    assert.equal((await both.ask(boss, '/v1/clients/boss/tokens', {})).json.code, 'second-person-needed');
    const ada = await both.room.person('ada', 'administrator');
    const bob = await both.room.person('bob', 'administrator');
    await ada.browser.get('/users');
    await bob.browser.get('/users');
    const asked = await ada.browser.post('/users/add', { ...facts, mailboxes: '*', partners: '*' });
    assert.equal(asked.status, 202);
    const id = /action="\/second\/([0-9a-f]+)"/.exec((await bob.browser.get('/second')).text)?.[1] ?? '';
    assert.equal((await ada.browser.post(`/second/${id}`, { answer: 'confirm' })).status, 403);
    const done = await bob.browser.post(`/second/${id}`, { answer: 'confirm' });
    assert.equal(done.status, 200);
    assert.match(done.text, /<code class="once">[\w-]{20}<\/code>/);
    // nobody gets rights by somebody who confirms its own change
    await ada.browser.post('/users/bob/change', { role: 'administrator', mailboxes: '*', partners: '*' });
    const own = /action="\/second\/([0-9a-f]+)"/.exec((await bob.browser.get('/second')).text)?.[1] ?? '';
    assert.equal((await bob.browser.post(`/second/${own}`, { answer: 'confirm' })).status, 403);
  });

  it('and were asked for by somebody who is gone are shown to nobody who sees less', async () => {
    const { room } = both;
    const eve = await room.person('eve', 'administrator');
    const fay = await room.person('fay', 'administrator');
    room.rights = { mailboxes: ['orders'], partners: ['acme'] };
    const gus = await room.person('gus', 'administrator');
    room.rights = {};
    await eve.browser.get('/users');
    const asked = { name: 'chief-of-all', role: 'administrator', mailboxes: '*', partners: '*' };
    assert.equal((await eve.browser.post('/users/add', asked)).status, 202);
    const sees = async ({ browser }: Somebody) => (await browser.get('/second')).text.includes(asked.name);
    assert.deepEqual([await sees(fay), await sees(gus)], [true, false]);
    await room.registry.change((document) => {
      document.people = document.people.filter(({ name }) => name !== 'eve');
    });
    await until('its login has ended', async () => (await eve.browser.get('/users')).status === 303);
    assert.deepEqual([await sees(fay), await sees(gus)], [true, false]);
  });
});
