/** Logins of people who have gone, and of those who share an address with somebody hostile. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { browserMark, browserSession, type ConsoleRoom, startConsoleRoom } from '../support/console.ts';
import { skipWithout } from '../support/world.ts';

describe('a login of the console', { skip: skipWithout('redis-server') }, () => {
  let room: ConsoleRoom;
  before(async () => {
    const host = 'console.example.com';
    room = await startConsoleRoom({ publicUrl: `https://${host}`, hostnames: [host] });
  });
  after(() => room?.stop());

  it('is not kept from ending by a page that is left open', async () => {
    const { browser } = await room.person('ada', 'viewer');
    const { redis, prefix } = room.queue;
    const id = browser.cookies.get(browserSession) ?? '';
    const key = `${prefix}:session:${createHash('sha256').update(id).digest('hex')}`;
    const script = readFileSync(new URL('../../src/console/static/live.js', import.meta.url), 'utf8');
    const [, field = ''] = /'(sealpost-[a-z]+)': 'yes'/.exec(script) ?? [];
    assert.equal(await redis.pexpire(key, 60_000), 1);
    assert.equal((await browser.get('/', { [field]: 'yes' })).status, 200);
    // A stream that comes back; the page behind it may do without.
    await browser.get('/account', { accept: 'text/event-stream' });
    assert.ok((await redis.pttl(key)) <= 60_000);
    // What the person does lets it live on.
    assert.equal((await browser.get('/account')).status, 200);
    assert.ok((await redis.pttl(key)) > 60_000);
    // And a form does so, whatever it says.
    assert.equal(await redis.pexpire(key, 60_000), 1);
    await browser.post('/logins', {}, { [field]: 'yes' });
    assert.ok((await redis.pttl(key)) > 60_000);
  });

  it('with a passkey is possible for a browser that is known, whatever a neighbour does', async () => {
    const { browser } = await room.person('bob', 'viewer');
    const known = room.browser();
    known.cookies.set(browserMark, browser.cookies.get(browserMark) ?? '');
    const neighbour = room.browser();
    const options = async (from: typeof known) => (await from.post('/login/passkey', {})).status;
    for (let tries = 0; tries < 60; tries += 1) assert.equal(await options(neighbour), 200);
    assert.equal(await options(neighbour), 429);
    assert.equal(await options(known), 200);
    // a mark that somebody has made up is none
    neighbour.cookies.set(browserMark, `${'x'.repeat(16)}.${'y'.repeat(43)}`);
    assert.equal(await options(neighbour), 429);
    for (let tries = 1; tries < 60; tries += 1) assert.equal(await options(known), 200);
    assert.equal(await options(known), 429);
  });
});
