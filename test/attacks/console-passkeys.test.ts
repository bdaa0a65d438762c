/** Attacks on passkeys: other sites, old answers, keys of others, copies, and frames. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { textOf } from '../../src/console/html.ts';
import { accountBody } from '../../src/console/views/account.ts';
import { passkeyPlace } from '../../src/user/passkeys.ts';
import { personOf } from '../../src/user/person.ts';
import {
  Authenticator,
  isCopied,
  mayBeCopied,
  present,
  type Said,
  verified,
} from '../support/authenticator.ts';
import {
  type Answered,
  type Browser,
  browserMark,
  type ConsoleRoom,
  password,
  type Somebody,
  startConsoleRoom,
} from '../support/console.ts';
import { testConfig } from '../support/queue.ts';
import { skipWithout } from '../support/world.ts';

const allRights = { role: 'viewer', mailboxes: '*', partners: '*', content: false } as const;

function must<T>(value: T | undefined): T {
  assert.ok(value);
  return value;
}

const place = { origin: 'https://console.example.com', rpId: 'console.example.com' };
const settings = { publicUrl: place.origin, hostnames: [place.rpId], stepUp: '1h' };

/** A certificate of somebody who makes authenticators, and verifies. */
function maker(): { certificate: Buffer; key: KeyObject } {
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    '/CN=maker',
  ];
  const { stdout } = spawnSync('openssl', [...args, '-keyout', '-', '-outform', 'PEM'], { encoding: 'utf8' });
  return {
    certificate: new X509Certificate(stdout.slice(stdout.indexOf('-----BEGIN CERT'))).raw,
    key: createPrivateKey(stdout),
  };
}

describe('passkeys', { skip: skipWithout('redis-server') || skipWithout('openssl') }, () => {
  let room: ConsoleRoom;
  let ada: Somebody;
  let bob: Somebody;
  let adas: Authenticator;
  let bobs: Authenticator;
  /** Each from an address of its own: strangers have ten tries. */
  let strangers = 1;
  const stranger = (): Browser => {
    strangers += 1;
    return room.browser(`127.0.0.${strangers}`);
  };

  const decoded = (text: string) => text.replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  /** What the page that makes one gives to the browser. */
  async function offered(browser: Browser): Promise<string> {
    const page = await browser.post('/account/passkeys/new', { name: 'x' });
    assert.equal(page.status, 200, page.text);
    return decoded(/data-options="([^"]+)"/.exec(page.text)?.[1] ?? '');
  }
  async function made(browser: Browser, key: Authenticator, said: Said = {}): Promise<Answered> {
    const credential = key.make(await offered(browser), said);
    return await browser.post('/account/passkeys', { name: 'a key', credential });
  }
  const asked = async (browser: Browser) => (await browser.post('/login/passkey', {})).text;
  /** A login of a stranger with a passkey; its status. */
  async function login(
    key: Authenticator,
    said: Said = {},
    form: Record<string, string> = {},
  ): Promise<number> {
    const browser = stranger();
    const passkey = key.use(await asked(browser), said);
    return (await browser.post('/login', { name: '', password: '', code: '', to: '/', ...form, passkey }))
      .status;
  }
  /** The clock of the test goes on, and a login is not fresh for long. */
  async function fresh(browser: Browser, key: Authenticator): Promise<void> {
    const _passkey = key.use(await asked(browser));
    const answer = await browser.post('/step-up?to=/account', { _password: '', _code: '', _passkey });
    assert.deepEqual([answer.status, answer.to], [303, '/account'], answer.text);
  }
  const stored = (name: string) => room.registry.byName(name)?.passkeys ?? [];
  const last = async () => {
    const [entry] = await room.queue.audit.list({ limit: 1 });
    return `${entry?.what} ${entry?.by} ${entry?.subject ?? ''}: ${entry?.why ?? ''}`;
  };

  before(async () => {
    room = await startConsoleRoom(settings);
    ada = await room.person('ada', 'operator');
    bob = await room.person('bob', 'viewer');
    await ada.browser.get('/account');
    await bob.browser.get('/account');
    adas = new Authenticator(place);
    bobs = new Authenticator(place);
    assert.equal((await made(ada.browser, adas)).to, '/account?did=passkey');
    assert.equal((await made(bob.browser, bobs)).to, '/account?did=passkey');
    await room.registry.refresh();
  });
  after(() => room?.stop());

  it('are for the address of the console alone, and not there without one', () => {
    const of = (some: Record<string, unknown>) =>
      passkeyPlace(
        testConfig({ url: 'redis://127.0.0.1:1', dataDir: '/nowhere' }, { mailboxes: [], console: some })
          .console,
      );
    assert.deepEqual(of(settings), { origin: place.origin, id: place.rpId });
    assert.equal(of({}), undefined);
    assert.equal(of({ publicUrl: 'https://127.0.0.1:8027' }), undefined);
    assert.equal(of({ publicUrl: 'https://[::1]:8027' }), undefined);
    // their page says so then
    const person = personOf(must(room.registry.byName('ada')), allRights, '127.0.0.1');
    const view = { person, passkeys: [], csrf: '', now: new Date(), said: '' };
    assert.match(textOf(accountBody({ ...view, able: false })), /console\.publicUrl/);
    assert.doesNotMatch(textOf(accountBody({ ...view, able: true })), /console\.publicUrl/);
    assert.deepEqual(of({ publicUrl: 'http://localhost:8027' }), {
      origin: 'http://localhost:8027',
      id: 'localhost',
    });
  });

  it('log in alone where they have verified their person', async () => {
    assert.equal(await login(adas), 303);
    assert.match(await last(), /^login person ada, console, from 127\.0\.0\.\d+ /);
    assert.equal(await login(adas, {}, { name: 'ada' }), 303);
    const [key] = stored('ada');
    assert.deepEqual([key?.name, key?.counter, key?.mayBeCopied], ['a key', 0, false]);
    // the private half is nowhere, and Redis has nothing of it in the clear
    const text = (await room.queue.redis.get(`${room.queue.prefix}:users`)) ?? '';
    assert.doesNotMatch(Buffer.from(text, 'base64').toString('latin1'), /publicKey/);
  });

  it('stand beside the password where they were only touched', async () => {
    const touched = { flags: present };
    assert.equal(await login(adas, touched), 401);
    assert.equal(await login(adas, touched, { password: 'not the password' }), 401);
    assert.equal(await login(adas, touched, { name: 'ada', password }), 303);
    assert.equal(await login(adas, { flags: 0 }, { name: 'ada', password }), 401, 'nobody was there');
  });

  it('of another site, kind or frame are refused', async () => {
    for (const said of [
      { origin: 'https://console.example.com.evil.example' },
      { origin: 'http://console.example.com' },
      { origin: 'https://evil.example', rpId: 'evil.example' },
      { rpId: 'example.com' },
      { type: 'webauthn.create' },
      { crossOrigin: true },
      { topOrigin: 'https://evil.example' },
    ])
      assert.equal(await login(adas, said), 401, JSON.stringify(said));
    assert.equal(await login(adas), 303);
  });

  it('count once, for a while, and for what was asked', async () => {
    const browser = stranger();
    const passkey = adas.use(await asked(browser));
    const form = { name: '', password: '', code: '', to: '/', passkey };
    assert.equal((await browser.post('/login', form)).status, 303);
    // whoever has seen it on its way sends it again
    assert.equal((await stranger().post('/login', form)).status, 401);
    assert.equal(await login(adas, { challenge: Buffer.alloc(32, 7).toString('base64url') }), 401);
    const late = adas.use(await asked(browser));
    room.ahead += 301_000;
    assert.equal((await stranger().post('/login', { ...form, passkey: late })).status, 401);
    const timely = adas.use(await asked(stranger()));
    room.ahead += 290_000;
    assert.equal((await stranger().post('/login', { ...form, passkey: timely })).status, 303);
    // what a step-up or a registration was given
    await ada.browser.get('/account');
    const step = adas.use(await asked(ada.browser));
    assert.equal((await stranger().post('/login', { ...form, passkey: step })).status, 401);
    // one challenge under the name of another, by somebody who writes into Redis
    const { redis, prefix } = room.queue;
    const before = new Set(await redis.keys(`${prefix}:challenge:*`));
    const given = await asked(stranger());
    const [key = ''] = (await redis.keys(`${prefix}:challenge:*`)).filter((each) => !before.has(each));
    await redis.del(key);
    const other = await asked(stranger());
    const [source = ''] = (await redis.keys(`${prefix}:challenge:*`)).filter((each) => !before.has(each));
    await redis.rename(source, key);
    for (const options of [given, other])
      assert.equal((await stranger().post('/login', { ...form, passkey: adas.use(options) })).status, 401);
  });

  it('of another person show nothing of this one', async () => {
    assert.equal(await login(bobs, {}, { name: 'ada' }), 401);
    assert.equal(await login(bobs, {}, { name: 'ada', password }), 401);
    // with the id of her key, or her handle
    assert.equal(await login(bobs, { id: adas.id, userHandle: adas.userHandle }), 401);
    assert.equal(await login(bobs, { userHandle: adas.userHandle }), 401);
    assert.equal(await login(bobs, { userHandle: null }), 401);
    assert.equal(await login(new Authenticator(place)), 401);
    assert.equal(await login(bobs), 303);
    // nor can he register hers
    await fresh(bob.browser, bobs);
    const credential = adas.make(await offered(bob.browser));
    const answer = await bob.browser.post('/account/passkeys', { name: 'hers', credential });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /is known already/);
    adas.userHandle = Buffer.from(room.registry.byName('ada')?.id ?? '').toString('base64url');
  });

  it('step up for their person, in its session', async () => {
    room.ahead += 61 * 60_000;
    const { browser } = ada;
    const late = await browser.post('/account/passkeys/new', { name: 'x' });
    assert.equal(late.status, 403);
    assert.match(late.text, /data-passkey="get"/);
    const proven = async (key: Authenticator, said: Said = {}) =>
      await browser.post('/account/passkeys/new', {
        name: 'x',
        _password: '',
        _code: '',
        _passkey: key.use(await asked(browser), said),
      });
    assert.equal((await proven(bobs)).status, 403);
    assert.equal((await proven(bobs, { id: adas.id })).status, 403);
    assert.equal((await proven(adas, { flags: present })).status, 403, 'without a password');
    // what a stranger was given counts for no session
    const passkey = adas.use(await asked(stranger()));
    assert.equal(
      (await browser.post('/account/passkeys/new', { name: 'x', _passkey: passkey, _password: '' })).status,
      403,
    );
    assert.equal((await proven(adas)).status, 200);
    assert.match(await last(), /^step-up person ada/);
  });

  it('that were copied are noticed by their counter, and those without one are not', async () => {
    const counting = new Authenticator(place);
    counting.counter = 5;
    assert.equal((await made(ada.browser, counting)).status, 303);
    for (const [counter, status] of [
      [6, 303],
      [6, 401],
      [5, 401],
      [0, 401],
      [7, 303],
    ] as const)
      assert.equal(await login(counting, { counter }), status, String(counter));
    assert.equal(await login(counting, { counter: 3 }), 401);
    assert.match(
      await last(),
      /^denied somebody, console, from \S+ ada: the counter of the passkey a key went back/,
    );
    assert.equal(await login(adas), 303);
    assert.equal(await login(adas), 303);
  });

  it('that may not be copied do not become such that may; a copy that is made is noted', async () => {
    const synced = new Authenticator(place);
    synced.flags = present | verified | mayBeCopied;
    assert.equal((await made(ada.browser, synced)).status, 303);
    assert.equal(await login(synced, { flags: present | verified }), 401);
    assert.equal(await login(adas, { flags: present | verified | mayBeCopied }), 401);
    assert.equal(await login(synced, { flags: synced.flags | isCopied }), 303);
    await room.registry.refresh();
    assert.equal(stored('ada').find(({ id }) => id === synced.id)?.isCopied, true);
  });

  it('are made by their person alone, just after it has shown who it is', async () => {
    const key = new Authenticator(place);
    for (const said of [
      { origin: 'https://evil.example' },
      { rpId: 'evil.example' },
      { challenge: Buffer.alloc(32).toString('base64url') },
      { crossOrigin: true },
      { flags: 0 },
      // with a certificate of its maker: lists of such are fetched from where they say
      { maker: maker() },
    ])
      assert.equal((await made(ada.browser, key, said)).status, 400, Object.keys(said).join());
    // given to bob, and used by ada
    await fresh(bob.browser, bobs);
    const credential = key.make(await offered(bob.browser));
    assert.equal((await ada.browser.post('/account/passkeys', { name: 'x', credential })).status, 400);
    // twice
    const twice = key.make(await offered(ada.browser));
    assert.equal((await ada.browser.post('/account/passkeys', { name: 'x', credential: twice })).status, 303);
    const again = new Authenticator(place);
    const known = JSON.parse(twice);
    const clone = { ...known, id: again.id, rawId: again.id };
    assert.equal(
      (await ada.browser.post('/account/passkeys', { name: 'x', credential: JSON.stringify(clone) })).status,
      400,
    );
    assert.equal((await stranger().post('/account/passkeys', { name: 'x', credential: twice })).status, 401);
    for (const name of ['', ' '.repeat(3), 'x'.repeat(61), 'a\u0007b'])
      assert.equal(
        (await ada.browser.post('/account/passkeys', { name, credential: twice })).status,
        400,
        name,
      );
  });

  it('are removed by their person, and with a reset; a disabled person has none that count', async () => {
    const spare = new Authenticator(place);
    assert.equal((await made(bob.browser, spare)).status, 303);
    assert.equal(await login(spare), 303);
    assert.equal((await ada.browser.post('/account/passkeys/remove', { id: spare.id })).status, 400);
    assert.equal(await login(spare), 303);
    assert.equal((await bob.browser.post('/account/passkeys/remove', { id: spare.id })).status, 303);
    assert.equal(await login(spare), 401);
    const edit = async (change: (person: { disabled: boolean; epoch: number }) => void) =>
      await room.registry.change(({ people }) => {
        for (const each of people) if (each.name === 'bob') change(each);
      });
    await edit((person) => {
      person.disabled = true;
    });
    assert.equal(await login(bobs), 401);
    await edit((person) => {
      person.disabled = false;
    });
    assert.equal(await login(bobs), 303);
    const root = await room.person('root', 'administrator');
    await root.browser.get('/users');
    assert.equal((await root.browser.post('/users/bob/act', { act: 'reset' })).status, 200);
    assert.equal(await login(bobs), 401);
    await room.registry.refresh();
    assert.deepEqual(stored('bob'), []);
  });

  it('are limited as passwords are: ten wrong ones from one address, sixty questions', async () => {
    const browser = room.browser('127.0.0.250');
    for (let tries = 0; tries < 10; tries += 1)
      assert.equal(
        (
          await browser.post('/login', {
            name: '',
            password: '',
            passkey: adas.use(await asked(browser), { flags: 0 }),
          })
        ).status,
        401,
      );
    assert.equal(
      (await browser.post('/login', { name: '', password: '', passkey: adas.use(await asked(browser)) }))
        .status,
      429,
    );
    for (let tries = 11; tries < 60; tries += 1)
      assert.equal((await browser.post('/login/passkey', {})).status, 200, String(tries));
    assert.equal((await browser.post('/login/passkey', {})).status, 429);
    assert.equal(await login(adas), 303);
    assert.equal(browser.cookies.has(browserMark), false);
  });
});
