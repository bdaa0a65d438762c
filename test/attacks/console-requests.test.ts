/**
 * Attacks with requests to the console: forged ones, sessions that were made up or read, and what browsers would run.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { html } from '../../src/console/html.ts';
import { page } from '../../src/console/page.ts';
import { browserSession, type ConsoleRoom, type Somebody, startConsoleRoom } from '../support/console.ts';
import { skipWithout } from '../support/world.ts';

describe('requests to the console', { skip: skipWithout('redis-server') }, () => {
  let room: ConsoleRoom;
  let ada: Somebody;
  let bob: Somebody;
  const done: string[] = [];
  const pages = [
    page({
      method: 'GET',
      url: '/',
      needs: 'viewer',
      handle: async ({ csrf, query }) => ({
        title: `Start ${query.text ?? ''}`,
        body: html`<p>${query.text}</p>
          <a href=${query.text}>x</a>
          <input type="hidden" name="_csrf" value=${csrf} />`,
      }),
    }),
    page({
      method: 'POST',
      url: '/act',
      needs: 'viewer',
      async handle({ person, form }) {
        done.push(`${person.name} ${form.get('what')}`);
        return { to: '/' };
      },
    }),
    page({
      method: 'GET',
      url: '/download',
      needs: 'viewer',
      handle: async () => ({
        answer: {
          stream: (async function* () {
            yield Buffer.from('<script>alert(1)</script>');
          })(),
          ...{ type: 'message/rfc822', octets: 25, fileName: 'x.eml' },
        },
      }),
    }),
  ];
  before(async () => {
    room = await startConsoleRoom({ hostnames: ['console.example'] }, pages);
    ada = await room.person('ada', 'administrator');
    bob = await room.person('bob', 'viewer');
    await ada.browser.get('/');
    await bob.browser.get('/');
  });
  after(() => room?.stop());

  const formType = { 'content-type': 'application/x-www-form-urlencoded' };

  it('change nothing without the Origin of the console, and the token of the login', async () => {
    const { browser } = ada;
    const body = (csrf: string) => new URLSearchParams({ what: 'forged', _csrf: csrf }).toString();
    const own = { ...formType, origin: room.url };
    const forged: [Record<string, string>, string][] = [
      [formType, body(browser.csrf)],
      [{ ...formType, origin: 'null' }, body(browser.csrf)],
      [{ ...formType, origin: 'http://evil.example' }, body(browser.csrf)],
      [{ ...formType, origin: `http://127.0.0.1:${room.port + 1}` }, body(browser.csrf)],
      [{ ...formType, origin: `https://127.0.0.1:${room.port}` }, body(browser.csrf)],
      [{ ...own, 'sec-fetch-site': 'cross-site' }, body(browser.csrf)],
      [{ ...own, 'sec-fetch-site': 'same-site' }, body(browser.csrf)],
      [own, body('')],
      [own, body(bob.browser.csrf)],
      [own, 'what=forged'],
      [own, `what=forged&_csrf=${browser.csrf}x`],
    ];
    for (const [headers, text] of forged) {
      const answer = await browser.ask('POST', '/act', headers, text);
      assert.equal(answer.status, 403, JSON.stringify(headers) + text);
    }
    assert.deepEqual(done, []);
    const right = await browser.ask(
      'POST',
      '/act',
      { ...own, 'sec-fetch-site': 'same-origin' },
      body(browser.csrf),
    );
    assert.equal(right.status, 303);
    assert.deepEqual(done.splice(0), ['ada forged']);
  });

  it('log nobody in from another page, and nobody out by a link', async () => {
    const stranger = room.browser();
    const form = new URLSearchParams(await room.proof(bob)).toString();
    const origin = 'http://evil.example';
    assert.equal((await stranger.ask('POST', '/login', { ...formType, origin }, form)).status, 403);
    assert.equal(stranger.cookies.size, 0);
    assert.equal((await bob.browser.get('/logout')).status, 404);
    assert.equal((await bob.browser.get('/')).status, 200);
  });

  it('are forms only, of a bounded size, with one method', async () => {
    const { browser } = ada;
    const origin = room.url;
    const json = await browser.ask('POST', '/act', { 'content-type': 'application/json', origin }, '{}');
    assert.equal(json.status, 415);
    const parts = { 'content-type': 'multipart/form-data; boundary=x', origin };
    assert.equal((await browser.ask('POST', '/act', parts, '--x--')).status, 415);
    const large = `what=${'x'.repeat(300_000)}`;
    assert.equal((await browser.ask('POST', '/act', { ...formType, origin }, large)).status, 413);
    const many = 'a&'.repeat(3000);
    assert.equal((await browser.ask('POST', '/act', { ...formType, origin }, many)).status, 400);
    for (const method of ['PUT', 'DELETE', 'PATCH'])
      assert.equal((await browser.ask(method, '/act', { ...formType, origin })).status, 404, method);
    assert.deepEqual(done, []);
  });

  it('for another host are refused: names that were made to lead here', async () => {
    for (const [host, status] of [
      ['evil.example', 421],
      [`evil.example:${room.port}`, 421],
      [`console.example:${room.port}`, 200],
    ] as const)
      assert.equal((await room.browser().get('/login', { host })).status, status, host);
  });

  it('get the same headers with each answer, errors included', async () => {
    const answers = [
      await ada.browser.get('/'),
      await ada.browser.get('/nothing'),
      await ada.browser.get('/download'),
      await room.browser().get('/login'),
      await room.browser().get('/'),
      await room.browser().get('/static/console.css'),
      await room.browser().get('/login', { host: 'evil.example' }),
      await room.browser().get('/%'),
      await room.browser().ask('POST', '/act', {}, ''),
    ];
    for (const { headers, status } of answers) {
      const policy = String(headers['content-security-policy']);
      for (const rule of [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
      ])
        assert.ok(policy.split('; ').includes(rule), `${status}: ${rule}`);
      assert.doesNotMatch(policy, /unsafe|https?:|\*/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['referrer-policy'], 'same-origin');
    }
    assert.equal(answers[0]?.headers['cache-control'], 'no-store');
    assert.equal(answers[2]?.headers['content-disposition'], 'attachment; filename="x.eml"');
  });

  it('show markup of others as text', async () => {
    const text = `"><script>alert(1)</script>\u202e' onload=x`;
    const { text: shown } = await ada.browser.get(`/?text=${encodeURIComponent(text)}`);
    // no script but the files of the console
    const scripts = shown.split('<script').slice(1);
    for (const each of scripts) assert.match(each, /^ (?:type="module" )?src="\/static\/[\w.-]+"/);
    assert.doesNotMatch(shown, /\u202e/);
    assert.match(shown, /&lt;script>/);
  });

  it('come with a cookie for this host alone, that no script reads', async () => {
    room.ahead += 90_000;
    const answer = await room.browser().post('/login', await room.proof(ada));
    const cookies = answer.headers['set-cookie'] ?? [];
    assert.equal(cookies.length, 2);
    for (const cookie of cookies)
      assert.match(
        cookie,
        /^__Host-[a-z-]+=[\w.-]+; Path=\/; Secure; HttpOnly; SameSite=Lax(?:; Max-Age=\d+)?$/,
      );
    // two of them could be taken for each other
    const { browser } = ada;
    const id = browser.cookies.get(browserSession) ?? '';
    const two = `${browserSession}=${'A'.repeat(43)}; ${browserSession}=${id}`;
    assert.equal((await room.browser().get('/', { cookie: two })).status, 303);
    const one = `a=b; ${browserSession}=${id}`;
    assert.equal((await room.browser().get('/', { cookie: one })).status, 200);
  });

  it('lead nowhere else after a login', async () => {
    room.ahead += 90_000;
    for (const to of [
      '//evil.example',
      '/\\evil.example',
      'https://evil.example',
      '/..//evil.example',
      'x',
    ]) {
      const { text } = await room.browser().get(`/login?to=${encodeURIComponent(to)}`);
      const kept = /name="to" value="([^"]*)"/.exec(text)?.[1] ?? '';
      assert.equal(new URL(kept, room.url).origin, room.url, to);
      assert.doesNotMatch(kept, /^\/[/\\]/);
    }
    const form = { ...(await room.proof(bob)), to: '//evil.example/' };
    assert.equal((await room.browser().post('/login', form)).to, '/');
  });

  it('find no session that was read in Redis, written there, or made up', async () => {
    const { redis, prefix } = room.queue;
    const id = ada.browser.cookies.get(browserSession) ?? '';
    const keys = await redis.keys(`${prefix}:session:*`);
    assert.ok(keys.length >= 2);
    const everything: string[] = [];
    for (const key of keys) everything.push(key, (await redis.getBuffer(key))?.toString('latin1') ?? '');
    assert.ok(!everything.join().includes(id));
    const thief = room.browser();
    for (const key of keys) {
      thief.cookies.set(browserSession, key.split(':').at(-1) ?? '');
      assert.equal((await thief.get('/')).status, 303);
    }
    // a session of ada, put at the place of one whose id the thief knows
    const { createHash } = await import('node:crypto');
    const known = 'B'.repeat(43);
    const place = `${prefix}:session:${createHash('sha256').update(known).digest('hex')}`;
    for (const key of keys) {
      await redis.set(place, (await redis.getBuffer(key)) ?? '');
      thief.cookies.set(browserSession, known);
      assert.equal((await thief.get('/')).status, 303);
    }
    await redis.set(place, JSON.stringify({ person: 'x' }));
    assert.equal((await thief.get('/')).status, 303);
    await redis.del(place);
  });

  it('end with a session: after a pause, and after its time in any case', async () => {
    const { redis, prefix } = room.queue;
    const { createHash } = await import('node:crypto');
    room.ahead += 90_000;
    const browser = room.browser();
    await browser.post('/login', await room.proof(ada));
    const id = browser.cookies.get(browserSession) ?? '';
    const key = `${prefix}:session:${createHash('sha256').update(id).digest('hex')}`;
    const idle = 30 * 60_000;
    await redis.pexpire(key, 5000);
    assert.equal((await browser.get('/')).status, 200);
    const left = await redis.pttl(key);
    assert.ok(left > 5000 && left <= idle, String(left));
    room.ahead += 12 * 3_600_000 - 60_000;
    assert.equal((await browser.get('/')).status, 200);
    room.ahead += 61_000;
    assert.equal((await browser.get('/')).status, 303);
    room.ahead = 0;
  });
});

describe('a console behind a proxy', { skip: skipWithout('redis-server') }, () => {
  let room: ConsoleRoom;
  before(async () => {
    room = await startConsoleRoom({ trustedProxies: ['127.0.0.9'], hostnames: ['console.example'] });
  });
  after(() => room?.stop());

  const host = 'console.example';

  it('believes the proxy that is named, and nobody else', async () => {
    const proxy = room.browser('127.0.0.9');
    const far = { host, 'x-forwarded-for': '203.0.113.7' };
    const clear = await proxy.get('/login', far);
    assert.equal(clear.status, 403);
    const secure = await proxy.get('/login', { ...far, 'x-forwarded-proto': 'https' });
    assert.equal(secure.status, 200);
    assert.match(String(secure.headers['strict-transport-security']), /max-age=\d{8}/);
    // another one on this machine says the same
    const liar = await room.browser('127.0.0.8').get('/login', { ...far, 'x-forwarded-proto': 'https' });
    assert.equal(liar.headers['strict-transport-security'], undefined);
  });

  it('knows its own Origin by what the proxy speaks', async () => {
    const proxy = room.browser('127.0.0.9');
    const fields = { 'content-type': 'application/x-www-form-urlencoded' };
    const form = 'name=x&password=y&code=0';
    const login = (origin: string) => {
      const far = { host, 'x-forwarded-for': '203.0.113.8', 'x-forwarded-proto': 'https' };
      return proxy.ask('POST', '/login', { ...fields, ...far, origin }, form);
    };
    assert.equal((await login(`http://${host}`)).status, 403);
    assert.equal((await login(`https://${host}`)).status, 401);
  });

  it('limits tries by the address that the proxy names', async () => {
    const proxy = room.browser('127.0.0.9');
    const fields = { 'content-type': 'application/x-www-form-urlencoded' };
    const login = (address: string) =>
      proxy.ask(
        'POST',
        '/login',
        {
          ...{ ...fields, host, origin: `https://${host}`, 'x-forwarded-proto': 'https' },
          'x-forwarded-for': address,
        },
        'name=x&password=y&code=0',
      );
    const { redis, prefix } = room.queue;
    await redis.set(`${prefix}:tries:address:203.0.113.9`, '10', 'PX', 60_000);
    // the subscriber's network, not one address of 2^64
    await redis.set(`${prefix}:tries:address:2001:db8:0:7::/64`, '10', 'PX', 60_000);
    assert.equal((await login('203.0.113.9')).status, 429);
    assert.equal((await login('2001:db8:0:7:1:2:3:4')).status, 429);
    assert.equal((await login('2001:db8:0:7::9')).status, 429);
    assert.equal((await login('2001:db8:0:8::9')).status, 401);
  });
});
