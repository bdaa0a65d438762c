/** Attacks on what people may do in the console: grave acts, rights, and an audit trail that is away. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { isGrave } from '../../src/api/granting.ts';
import type { Route } from '../../src/api/route.ts';
import { routesOf } from '../../src/api/routes.ts';
import { csrfField } from '../../src/console/csrf.ts';
import { html } from '../../src/console/html.ts';
import { type PageCall, page } from '../../src/console/page.ts';
import { invite, personNamed } from '../../src/user/index.ts';
import {
  browserSession,
  type ConsoleRoom,
  formOf,
  type Somebody,
  startConsoleRoom,
} from '../support/console.ts';
import { until } from '../support/net.ts';
import { commitOne } from '../support/queue.ts';
import { skipWithout } from '../support/world.ts';

/** Calls an operation as a page of the console would. */
async function call({ operations, form }: PageCall) {
  const id = form.get('id');
  const answer = await operations.call(form.get('operation'), {
    ...(id !== '' && { params: { id } }),
    json: { why: form.get('why') },
  });
  if (!('json' in answer)) return { answer };
  return { title: 'Done', body: html`<p>${JSON.stringify(answer.json)}</p>` };
}

const pages = [
  page({
    method: 'GET',
    url: '/',
    needs: 'viewer',
    handle: async ({ csrf, stepUpFresh }) => ({
      title: 'Start',
      body: html`<p>${stepUpFresh ? 'fresh' : 'stale'}</p><form>${csrfField(csrf)}</form>`,
    }),
  }),
  page({ method: 'POST', url: '/call', needs: 'viewer', handle: call }),
  page({
    method: 'GET',
    url: '/messages/:id/original',
    needs: 'viewer',
    handle: async ({ operations, params }) => ({ answer: await operations.call('getOriginal', { params }) }),
  }),
  page({
    method: 'GET',
    url: '/events',
    needs: 'viewer',
    handle: async ({ operations }) => ({ answer: await operations.call('followEvents') }),
  }),
  page({
    method: 'POST',
    url: '/bulk',
    needs: 'operator',
    stepUp: true,
    handle: async () => ({ to: '/done' }),
  }),
];

const partners = [
  { name: 'acme', addresses: ['@acme.example'], encrypt: false, sign: 'none', from: 'us@own.example' },
  { name: 'other', addresses: ['@other.example'], encrypt: false, sign: 'none', from: 'us@own.example' },
].map((partner) => ({ ...partner, route: { host: '127.0.0.1', port: 9 } }));

async function queued(room: ConsoleRoom, partner = 'acme'): Promise<string> {
  const writer = room.queue.intake.begin();
  void writer.write(Buffer.from('Subject: order\r\n\r\n4711\r\n'));
  const envelope = { from: 'us@own.example', to: [`edi@${partner}.example`] };
  const origin = { kind: 'command', detail: {} } as const;
  return (await commitOne(room.queue, writer, { partner, origin, envelope, messageId: null })).id;
}

const stateOf = async (room: ConsoleRoom, id: string) => (await room.queue.ledger.get(id))?.state;
const acts = async (room: ConsoleRoom) =>
  (await room.queue.audit.list({})).map(({ what, by, subject, id }) => [what, by, id ?? subject].join(' '));

describe('acts in the console', { skip: skipWithout('redis-server') }, () => {
  let room: ConsoleRoom;
  let ada: Somebody;
  let vic: Somebody;
  before(async () => {
    room = await startConsoleRoom({}, pages, { partners });
    ada = await room.person('ada', 'operator');
    vic = await room.person('vic', 'viewer');
    await ada.browser.get('/');
    await vic.browser.get('/');
  });
  after(() => room?.stop());
  const from = 'console, from 127.0.0.1';

  it('know which operations are grave: each of them, by name', () => {
    const parts = { config: { api: {}, partners: [], mailboxes: [] }, queue: {} };
    // What they work with is not needed to list them.
    const routes: Route[] = Reflect.apply(routesOf, undefined, [
      { ...parts, rates: {}, streams: { route: { name: 'followEvents', grant: 'read' } } },
    ]);
    const grave = routes.filter(isGrave).map(({ name }) => name);
    for (const name of [
      'getContent',
      'getOriginal',
      'terminateMessage',
      'decodeMessageAgain',
      'approveCertificate',
      'rejectCertificate',
      'revokeCertificate',
      'pinCertificate',
    ])
      assert.ok(grave.includes(name), name);
    // whatever comes later, too: what is done to replay, to people or to tokens
    for (const { name } of routes)
      if (
        /replay|approve|pin|terminate|again|user|token|content|original|actOn/i.test(name) &&
        !/^(?:list|preview|get(?!Content|Original))/.test(name)
      )
        assert.ok(grave.includes(name), name);
  });

  it('ask again who it is before each grave one, and do it then', async () => {
    const { browser } = ada;
    const id = await queued(room);
    room.ahead += 6 * 60_000;
    const wanted = { operation: 'terminateMessage', id, why: 'sent twice' };
    const asked = await browser.post('/call', wanted);
    assert.equal(asked.status, 403);
    assert.equal(await stateOf(room, id), 'queued');
    const kept = formOf(asked.text, '/call');
    assert.deepEqual(Object.fromEntries(kept), { ...wanted, _csrf: browser.csrf });
    // a thief of the session does not have the password
    const bad = [...kept, ['_password', 'not the password'], ['_code', '000000']] satisfies [
      string,
      string,
    ][];
    const refused = await browser.post('/call', bad);
    assert.deepEqual([refused.status, await stateOf(room, id)], [403, 'queued']);
    assert.match(refused.text, /Name, password or code are wrong|name, password or code are wrong/);
    const { password, code } = await room.proof(ada);
    const before = browser.cookies.get(browserSession) ?? '';
    const right = [...kept, ['_password', password], ['_code', code]] satisfies [string, string][];
    assert.equal((await browser.post('/call', right)).status, 200);
    assert.equal(await stateOf(room, id), 'terminated');
    // the session has another id, and the old one is no more
    assert.notEqual(browser.cookies.get(browserSession), before);
    const thief = room.browser();
    thief.cookies.set(browserSession, before);
    assert.equal((await thief.get('/')).status, 303);
    assert.deepEqual((await acts(room)).slice(0, 2), [
      `terminate person ada, ${from} ${id}`,
      `step-up person ada, ${from} `,
    ]);
    // and that counts for a while
    const next = await queued(room);
    assert.equal((await browser.post('/call', { ...wanted, id: next })).status, 200);
  });

  it('ask for pages that say so, and for looks at content', async () => {
    const { browser } = ada;
    room.ahead += 6 * 60_000;
    assert.match((await browser.get('/')).text, /stale/);
    assert.equal((await browser.post('/bulk', {})).status, 403);
    const id = await queued(room);
    // this operator may not read content at all
    assert.equal((await browser.post('/call', { operation: 'getOriginal', id })).status, 403);
    room.rights = { content: true };
    const eve = await room.person('eve', 'viewer');
    room.rights = {};
    await eve.browser.get('/');
    const look = { operation: 'getOriginal', id };
    const seen = await eve.browser.post('/call', look);
    assert.deepEqual(
      [seen.status, seen.headers['content-disposition']],
      [200, `attachment; filename="${id}.eml"`],
    );
    assert.match(seen.text, /4711/);
    assert.equal((await acts(room))[0], `original person eve, ${from} ${id}`);
    room.ahead += 6 * 60_000;
    const asked = await eve.browser.post('/call', look);
    assert.equal(asked.status, 403);
    assert.doesNotMatch(asked.text, /4711/);
  });

  it('are no looks that another site makes a browser take, with a step-up that still counts', async () => {
    room.rights = { content: true };
    const eli = await room.person('eli', 'viewer');
    room.rights = {};
    const id = await queued(room);
    const path = `/messages/${id}/original`;
    const looks = async () =>
      (await acts(room)).filter((each) => each.startsWith('original person eli')).length;
    const led: Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site', referer: `${room.url}/messages` },
      // browsers that say nothing of sites
      {},
      { referer: 'https://evil.example/' },
      { referer: `http://127.0.0.1:${room.port + 1}/` },
      { referer: `${room.url}.evil.example/` },
      { referer: 'about:blank' },
    ];
    for (const headers of led) {
      const answer = await eli.browser.ask('GET', path, headers);
      assert.equal(answer.status, 403, JSON.stringify(headers));
      assert.doesNotMatch(answer.text, /4711/);
      // whoever wanted it has a link, which is one of the console
      assert.ok(answer.text.includes(`<a href="${path}">`), answer.text);
    }
    assert.equal(await looks(), 0);
    const own: Record<string, string>[] = [
      { 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
      { referer: `${room.url}/messages/${id}` },
    ];
    for (const headers of own) {
      const answer = await eli.browser.ask('GET', path, headers);
      assert.equal(answer.status, 200, JSON.stringify(headers));
      assert.match(answer.text, /4711/);
    }
    assert.equal(await looks(), own.length);
    // what is no look is opened by a link of a mail, as ever
    const page = await eli.browser.ask('GET', '/', { 'sec-fetch-site': 'cross-site' });
    assert.equal(page.status, 200);
  });

  it('are followed live no longer than the session lasts', async () => {
    const sam = await room.person('sam', 'viewer');
    await sam.browser.get('/');
    const cookie = [...sam.browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { cookie, accept: 'text/event-stream' };
    const stream = await fetch(`${room.url}/events`, { headers });
    assert.equal(stream.headers.get('x-accel-buffering'), 'no');
    assert.match(stream.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/);
    assert.ok(stream.body);
    const reader = stream.body.getReader();
    assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), ': events\n\n');
    await sam.browser.post('/logout', {});
    const ended = async () => {
      for (;;) if ((await reader.read()).done) return 'done';
    };
    // It is cut, which a reader may see as an error.
    await ended().catch(() => 'cut');
    assert.equal((await fetch(`${room.url}/events`, { headers, redirect: 'manual' })).status, 303);
  });

  it('are followed live no longer than the logins of the person last: sealpost users reset', async () => {
    const rio = await room.person('rio', 'viewer');
    const cookie = [...rio.browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const stream = await fetch(`${room.url}/events`, { headers: { cookie, accept: 'text/event-stream' } });
    assert.ok(stream.body);
    const reader = stream.body.getReader();
    assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), ': events\n\n');
    await room.registry.change((document) => void invite(personNamed(document, 'rio'), Date.now()));
    const ended = (async () => {
      for (;;) if ((await reader.read()).done) return 'ended';
    })().catch(() => 'ended');
    const late = new Promise((resolve) => setTimeout(resolve, 60_000, 'it goes on').unref());
    assert.equal(await Promise.race([ended, late]), 'ended');
    await reader.cancel().catch(() => undefined);
  });

  it('are refused without the right, and noted', async () => {
    const id = await queued(room);
    const { browser } = vic;
    assert.equal((await browser.post('/bulk', {})).status, 403);
    assert.equal((await browser.post('/call', { operation: 'terminateMessage', id, why: 'x' })).status, 403);
    assert.equal(await stateOf(room, id), 'queued');
    assert.deepEqual((await acts(room)).slice(0, 2), [
      `denied person vic, ${from} POST /call`,
      `denied person vic, ${from} POST /bulk`,
    ]);
  });

  it('follow the rights of this moment, not those of the login', async () => {
    const bob = await room.person('bob', 'operator');
    await bob.browser.get('/');
    const id = await queued(room);
    const change = async (
      edit: (person: { name: string; role: string; partners: '*' | string[] }) => void,
    ) => {
      await room.registry.change(({ people }) => {
        for (const each of people) if (each.name === 'bob') edit(each);
      });
    };
    const retry = () => bob.browser.post('/call', { operation: 'retryMessage', id });
    assert.equal((await retry()).status, 200);
    await change((person) => {
      person.partners = ['other'];
    });
    await until404(retry);
    // exactly as a message that is not there
    const unknown = await bob.browser.post('/call', { operation: 'retryMessage', id: 'f'.repeat(32) });
    const hidden = await retry();
    assert.equal(unknown.status, 404);
    assert.equal(hidden.text.replaceAll(id, ''), unknown.text.replaceAll('f'.repeat(32), ''));
    assert.equal(
      (await bob.browser.post('/call', { operation: 'getMessage', id: await queued(room, 'other') })).status,
      200,
    );
  });

  async function until404(ask: () => Promise<{ status: number }>): Promise<void> {
    for (let tries = 0; tries < 1000; tries += 1) {
      if ((await ask()).status === 404) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.fail('the old rights still hold');
  }

  it('are not done without the audit trail: no act, no look, no login', async () => {
    const { redis, prefix } = room.queue;
    room.ahead += 90_000;
    const id = await queued(room);
    const proof = await room.proof(ada);
    room.rights = { content: true };
    const eva = await room.person('eva', 'operator');
    room.rights = {};
    await eva.browser.get('/');
    const trail = `${prefix}:audit`;
    assert.equal(await redis.type(trail), 'stream');
    await redis.rename(trail, `${trail}-away`);
    await redis.set(trail, 'in the way');
    const sessions = (await redis.keys(`${prefix}:session:*`)).length;
    assert.ok((await room.browser().post('/login', proof)).status >= 500);
    assert.equal((await redis.keys(`${prefix}:session:*`)).length, sessions);
    for (const operation of ['terminateMessage', 'retryMessage', 'getOriginal']) {
      const answer = await eva.browser.post('/call', { operation, id, why: 'x' });
      assert.ok(answer.status >= 500, operation);
      assert.doesNotMatch(answer.text, /4711/);
    }
    assert.equal(await stateOf(room, id), 'queued');
    await redis.del(trail);
    await redis.rename(`${trail}-away`, trail);
    assert.equal(
      (await eva.browser.post('/call', { operation: 'terminateMessage', id, why: 'x' })).status,
      200,
    );
  });
});

describe('acts that need a second person', { skip: skipWithout('redis-server') }, () => {
  let room: ConsoleRoom;
  let ada: Somebody;
  let bob: Somebody;
  before(async () => {
    room = await startConsoleRoom({ fourEyes: true, maxRequestsPerPerson: 3 }, pages, { partners });
    ada = await room.person('ada', 'operator');
    bob = await room.person('bob', 'operator');
    await ada.browser.get('/');
    await bob.browser.get('/');
  });
  after(() => room?.stop());

  async function asked(id: string): Promise<string> {
    const answer = await ada.browser.post('/call', { operation: 'terminateMessage', id, why: 'twice' });
    assert.equal(answer.status, 202);
    assert.equal(await stateOf(room, id), 'queued');
    const page = await ada.browser.get('/second');
    return /action="\/second\/([0-9a-f]+)"/.exec(page.text)?.[1] ?? '';
  }

  it('are done by the second one, and not by one person twice', async () => {
    const id = await queued(room);
    const request = await asked(id);
    const alone = await ada.browser.post(`/second/${request}`, { answer: 'confirm' });
    assert.deepEqual([alone.status, await stateOf(room, id)], [403, 'queued']);
    // with another login of the same person, too
    room.ahead += 90_000;
    const other = room.browser();
    await other.post('/login', await room.proof(ada));
    await other.get('/');
    assert.equal((await other.post(`/second/${request}`, { answer: 'confirm' })).status, 403);
    assert.equal(await stateOf(room, id), 'queued');
    // it is among the pages
    assert.match((await bob.browser.get('/')).text, /href="\/second"/);
    const page = await bob.browser.get('/second');
    assert.match(page.text, /terminateMessage/);
    assert.match(page.text, new RegExp(id));
    assert.equal((await bob.browser.post(`/second/${request}`, { answer: 'confirm' })).status, 200);
    assert.equal(await stateOf(room, id), 'terminated');
    // once
    assert.equal((await bob.browser.post(`/second/${request}`, { answer: 'confirm' })).status, 404);
    const by = 'console, from 127.0.0.1';
    assert.deepEqual((await acts(room)).slice(0, 2), [
      `terminate person bob, ${by}, asked for by ada ${id}`,
      `second-confirmed person bob, ${by} terminateMessage ${request}`,
    ]);
  });

  it('need a second one who may do it, and a first one who still may', async () => {
    const id = await queued(room);
    const request = await asked(id);
    const vic = await room.person('vic', 'viewer');
    // who may terminate, but sees nothing of this partner
    room.rights = { partners: ['other'] };
    const olga = await room.person('olga', 'operator');
    room.rights = {};
    for (const { browser } of [vic, olga]) {
      await browser.get('/');
      assert.doesNotMatch((await browser.get('/second')).text, new RegExp(id));
      assert.equal((await browser.post(`/second/${request}`, { answer: 'confirm' })).status, 404);
    }
    await room.registry.change(({ people }) => {
      for (const each of people) if (each.name === 'ada') each.role = 'viewer';
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (let tries = 0; tries < 1000; tries += 1) {
      if (!(await ada.browser.get('/second')).text.includes(request)) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.equal((await bob.browser.post(`/second/${request}`, { answer: 'confirm' })).status, 403);
    assert.equal(await stateOf(room, id), 'queued');
    assert.equal((await bob.browser.post(`/second/${request}`, { answer: 'refuse' })).to, '/second');
    assert.equal(await stateOf(room, id), 'queued');
    await room.registry.change(({ people }) => {
      for (const each of people) if (each.name === 'ada') each.role = 'operator';
    });
  });

  it('wait for each person alone: whoever asks without end keeps nobody from asking', async () => {
    const id = await queued(room);
    const ask = ({ browser }: Somebody) =>
      browser.post('/call', { operation: 'terminateMessage', id, why: 'x' });
    const dan = await room.person('dan', 'operator');
    await dan.browser.get('/');
    for (let count = 0; count < 50; count += 1) assert.equal((await ask(dan)).status, 202, `${count}`);
    const refused = await ask(dan);
    assert.equal(refused.status, 429);
    assert.match(refused.text, /50 acts of dan wait/);
    assert.equal((await ask(bob)).status, 202);
    await room.queue.redis.del(`${room.queue.prefix}:seconds`);
  });

  it('are asked for by each person a few at a time, streams and downloads included', async () => {
    const open = async ({ browser }: Somebody) => {
      const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const stop = new AbortController();
      const headers = { cookie, accept: 'text/event-stream' };
      const { status } = await fetch(`${room.url}/events`, { headers, signal: stop.signal });
      return { status, stop };
    };
    const streams = [await open(ada), await open(ada), await open(ada)];
    assert.deepEqual(
      streams.map(({ status }) => status),
      [200, 200, 200],
    );
    const refused = await ada.browser.get('/');
    assert.equal(refused.status, 429);
    assert.match(refused.text, /console\.maxRequestsPerPerson/);
    assert.equal((await bob.browser.get('/')).status, 200);
    streams[0]?.stop.abort();
    await until('a place is free', async () => (await ada.browser.get('/')).status === 200);
    for (const { stop } of streams) stop.abort();
    await until('all places are free', async () => {
      const again = await Promise.all([ada, ada, ada].map(({ browser }) => browser.get('/')));
      return again.every(({ status }) => status === 200);
    });
  });

  it('do not wait for ever, and are not what somebody wrote into Redis', async () => {
    const id = await queued(room);
    const { redis, prefix } = room.queue;
    await redis.hset(`${prefix}:seconds`, 'f'.repeat(16), JSON.stringify({ operation: 'terminateMessage' }));
    assert.doesNotMatch((await bob.browser.get('/second')).text, /f{16}/);
    for (let tries = 0; tries < 1000; tries += 1) {
      const answer = await ada.browser.post('/call', { operation: 'terminateMessage', id, why: 'x' });
      if (answer.status === 202) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.match((await bob.browser.get('/second')).text, new RegExp(id));
    assert.equal(Object.keys(await redis.hgetall(`${prefix}:seconds`)).length, 1);
    room.ahead += 24 * 3_600_000 + 1000;
    const carl = await room.person('carl', 'operator');
    assert.doesNotMatch((await carl.browser.get('/second')).text, new RegExp(id));
  });
});
