/** Attacks on logins through OpenID Connect: mixed-up answers, forged tokens, borrowed names, groups that overflow. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { csrfField } from '../../src/console/csrf.ts';
import { html } from '../../src/console/html.ts';
import { page } from '../../src/console/page.ts';
import {
  type Answered,
  type Browser,
  type ConsoleRoom,
  formOf,
  startConsoleRoom,
} from '../support/console.ts';
import { freePort, until } from '../support/net.ts';
import { type OidcServer, startOidcServer } from '../support/oidc-server.ts';
import { skipWithout } from '../support/world.ts';

const pages = [
  page({
    method: 'GET',
    url: '/',
    needs: 'viewer',
    handle: async ({ person: { name, role, rights }, csrf }) => ({
      title: 'Start',
      body: html`<p>${name} is ${role} of ${String(rights.mailboxes)}</p><form>${csrfField(csrf)}</form>`,
    }),
  }),
  page({
    method: 'POST',
    url: '/grave',
    needs: 'operator',
    stepUp: true,
    handle: async ({ form }) => ({ title: 'Done', body: html`<p>done ${form.get('what')}</p>` }),
  }),
];

describe('logins through OpenID Connect', { skip: skipWithout('redis-server') }, () => {
  let provider: OidcServer;
  let room: ConsoleRoom;
  before(async () => {
    provider = await startOidcServer();
    process.env.SEALPOST_TEST_OIDC = provider.clientSecret;
    const port = await freePort();
    room = await startConsoleRoom(
      {
        port,
        oidc: {
          ...{ issuer: provider.issuer, clientId: provider.clientId },
          clientSecret: { env: 'SEALPOST_TEST_OIDC' },
          url: `http://127.0.0.1:${port}`,
          groups: [
            { group: 'chiefs', role: 'administrator' },
            { group: 'mail', role: 'operator', mailboxes: ['orders'] },
          ],
        },
      },
      pages,
      {
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            destinations: [{ type: 'directory', path: '/nowhere' }],
          },
        ],
      },
    );
  });
  after(async () => {
    await room?.stop();
    provider?.stop();
  });
  afterEach(() => {
    provider.lies = {};
    provider.age = 0;
  });

  /** To the provider and back, as a browser goes; `change` makes another address of the way back. */
  async function through(browser: Browser, url: string, change = (back: string) => back): Promise<Answered> {
    const sent = await fetch(url, { redirect: 'manual' });
    const back = new URL(change(sent.headers.get('location') ?? ''));
    return await browser.get(`${back.pathname}${back.search}`);
  }

  async function login(
    browser: Browser,
    person: OidcServer['person'],
    change?: (back: string) => string,
  ): Promise<Answered> {
    provider.person = person;
    const away = await browser.get('/login/oidc?to=%2F');
    assert.equal(away.status, 303);
    return await through(browser, away.to, change);
  }

  const shown = async (browser: Browser) => (await browser.get('/')).text;

  it('let people of a group in, with the rights of the group', async () => {
    const browser = room.browser();
    const back = await login(browser, { sub: '1', groups: ['x', 'mail'], name: 'Mona Lisa' });
    assert.deepEqual([back.status, back.to], [303, '/'], back.text);
    assert.match(await shown(browser), /Mona-Lisa is operator of orders/);
    const asked = provider.last;
    assert.equal(asked.get('code_challenge_method'), 'S256');
    assert.match(asked.get('code_challenge') ?? '', /^[\w-]{43}$/);
    assert.equal(asked.get('response_type'), 'code');
    for (const name of ['state', 'nonce']) assert.match(asked.get(name) ?? '', /^[\w-]{43}$/);
  });

  it('refuse people of no group, of groups that overflow, or that are not listed, and ask nobody for more', async () => {
    const place = 'http://127.0.0.1:1/groups';
    const elsewhere = { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: place } } };
    for (const more of [
      {},
      { groups: [] },
      { groups: ['others'] },
      { groups: 'mail' },
      { groups: [['mail']] },
      { groups: ['mail'], hasgroups: true },
      { groups: ['mail'], ...elsewhere },
      { groups: ['mail', ...Array.from({ length: 1000 }, (_, at) => `g${at}`)] },
    ]) {
      const browser = room.browser('127.0.4.1');
      await room.queue.redis.del(`${room.queue.prefix}:tries:address:127.0.4.1`);
      const answer = await login(browser, { sub: '2', ...more });
      assert.equal(answer.status, 401, JSON.stringify(more).slice(0, 100));
      assert.equal((await browser.get('/')).status, 303);
    }
    assert.ok(!provider.asked.includes('/groups'));
    const [first] = await room.queue.audit.list({ limit: 1 });
    assert.deepEqual([first?.what, first?.subject], ['denied', 'login']);
    assert.equal(room.registry.bySubject(provider.issuer, '2'), undefined);
  });

  it('know a person by issuer and subject, never by a mail address or a name', async () => {
    const ada = await room.person('ada', 'administrator');
    const browser = room.browser();
    const borrowed = { name: 'ada', email: 'ada@own.example', preferred_username: 'ada' };
    const back = await login(browser, { sub: '3', groups: ['mail'], ...borrowed });
    assert.equal(back.status, 303);
    assert.match(await shown(browser), /ada-2 is operator/);
    assert.match(await shown(ada.browser), /ada is administrator/);
    // the same subject with another name is the same person
    const again = room.browser();
    await login(again, { sub: '3', groups: ['chiefs'], name: 'Zoe' });
    assert.match(await shown(again), /ada-2 is administrator/);
    // and whoever is at the provider has no password here
    const { password } = ada;
    const local = { name: 'ada-2', password, code: '000000' };
    assert.equal((await room.browser('127.0.4.2').post('/login', local)).status, 401);
  });

  it('refuse tokens that are forged, for others, old, or of another login', async () => {
    const now = Math.floor(Date.now() / 1000);
    const lies: OidcServer['lies'][] = [
      { signature: 'none' },
      { signature: 'hmac' },
      { signature: 'other' },
      { claims: { iss: 'http://evil.example' } },
      { claims: { aud: 'another' } },
      { claims: { aud: ['console', 'another'] } },
      { claims: { exp: now - 600 } },
      { claims: { nonce: 'another' } },
      { claims: { nonce: undefined } },
      { claims: { sub: undefined } },
    ];
    for (const lie of lies) {
      provider.lies = lie;
      const browser = room.browser();
      const answer = await login(browser, { sub: '1', groups: ['chiefs'] });
      assert.equal(answer.status, 401, JSON.stringify(lie));
      assert.equal((await browser.get('/')).status, 303, JSON.stringify(lie));
    }
  });

  it('refuse a way back with another state or issuer, of another browser, or a second time', async () => {
    const person = { sub: '1', groups: ['chiefs'] };
    const lies: Record<string, string | undefined>[] = [
      { state: 'another' },
      { state: undefined },
      { iss: 'http://evil.example' },
      { iss: undefined },
      { code: undefined, error: 'access_denied' },
    ];
    for (const back of lies) {
      provider.lies = { back };
      const browser = room.browser();
      assert.equal((await login(browser, person)).status, 401, JSON.stringify(back));
      assert.equal((await browser.get('/')).status, 303);
    }
    provider.lies = {};
    // whoever gets a victim to open his own way back: the victim has not begun it
    const attacker = room.browser();
    const victim = room.browser();
    provider.person = person;
    const away = await attacker.get('/login/oidc');
    const sent = await fetch(away.to, { redirect: 'manual' });
    const { pathname, search } = new URL(sent.headers.get('location') ?? '');
    assert.equal((await victim.get(`${pathname}${search}`)).status, 401);
    assert.equal(victim.cookies.size, 0);
    // a provider that takes a code twice does not help
    provider.lies = { anybody: true };
    const kept = new Map(attacker.cookies);
    assert.equal((await attacker.get(`${pathname}${search}`)).status, 303);
    attacker.cookies.clear();
    for (const [name, value] of kept) attacker.cookies.set(name, value);
    assert.equal((await attacker.get(`${pathname}${search}`)).status, 401);
  });

  it('do not have the provider asked without end, in our name and with our secret, by a stranger', async () => {
    const browser = room.browser('127.0.0.77');
    const answers: string[] = [];
    for (let round = 0; round < 63; round += 1) {
      browser.cookies.clear();
      const away = new URL((await browser.get('/login/oidc')).to);
      const query = new URLSearchParams({
        ...{ code: 'x', state: away.searchParams.get('state') ?? '', iss: provider.issuer },
      });
      const kept = new Map(browser.cookies);
      const back = async () => await browser.get(`/login/oidc/back?${query}`);
      const { status, text } = await back();
      answers.push(`${status} ${text.includes('invalid_grant') ? 'asked' : 'not asked'}`);
      if (round > 0) continue;
      for (const [name, value] of kept) browser.cookies.set(name, value);
      const again = await back();
      assert.equal(again.status, 401);
      assert.ok(!again.text.includes('invalid_grant'), 'the same way back is not asked about again');
    }
    const reached = answers.filter((each) => each === '401 asked').length;
    assert.ok(reached > 50 && reached <= 60, `${reached} times`);
    assert.deepEqual(answers.slice(60), ['429 not asked', '429 not asked', '429 not asked']);
    // that says nothing of others
    assert.equal((await login(room.browser(), { sub: '1', groups: ['chiefs'] })).status, 303);
  });

  it('are proven again at the provider before grave acts, just now, and by the same person', async () => {
    const browser = room.browser();
    await login(browser, { sub: '1', groups: ['mail'] });
    await browser.get('/');
    room.ahead += 6 * 60_000;
    const asked = await browser.post('/grave', { what: 'this' });
    assert.equal(asked.status, 403);
    const kept = formOf(asked.text, '/login/oidc/step-up');
    const away = async () => {
      const answer = await browser.post('/login/oidc/step-up', kept);
      assert.equal(answer.status, 200);
      return (/<a href="(http[^"]*)"/.exec(answer.text)?.[1] ?? '').replaceAll('&amp;', '&');
    };
    // the provider remembered the person, whatever it was asked
    provider.age = 3600;
    const old = await away();
    assert.equal(new URL(old).searchParams.get('max_age'), '0');
    assert.equal((await through(browser, old)).status, 401);
    provider.age = 0;
    provider.lies = { claims: { auth_time: undefined } };
    assert.equal((await through(browser, await away())).status, 401);
    provider.lies = {};
    // another person, at this very moment by the clock of the console
    provider.age = -6 * 60;
    provider.person = { sub: '3', groups: ['chiefs'] };
    assert.equal((await through(browser, await away())).status, 401);
    assert.equal((await browser.post('/grave', { what: 'this' })).status, 403);
    provider.age = 0;
    provider.person = { sub: '1', groups: ['mail'] };
    room.ahead = 0;
    const before = browser.cookies.get('__Host-sealpost');
    const back = await through(browser, await away());
    assert.equal(back.status, 200);
    assert.notEqual(browser.cookies.get('__Host-sealpost'), before);
    const done = await browser.post('/grave', formOf(back.text, '/grave'));
    assert.match(done.text, /done this/);
  });

  it('end for somebody who is disabled here at once, and for all after console.oidc.session', async () => {
    const browser = room.browser();
    await login(browser, { sub: '5', groups: ['mail'], name: 'eve' });
    assert.match(await shown(browser), /eve is operator/);
    room.ahead = 3_600_000 - 60_000;
    assert.equal((await browser.get('/')).status, 200);
    room.ahead = 3_600_000 + 1000;
    assert.equal((await browser.get('/')).status, 303);
    room.ahead = 0;
    await login(browser, { sub: '5', groups: ['mail'] });
    await room.registry.change(({ people }) => {
      for (const each of people) if (each.name === 'eve') each.disabled = true;
    });
    await until('eve is out', async () => (await browser.get('/')).status === 303);
    assert.equal((await login(browser, { sub: '5', groups: ['mail'] })).status, 401);
  });
});
