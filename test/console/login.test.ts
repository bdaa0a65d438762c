/** Coming and going, over HTTP, against the running console. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startConsole, type TestConsole } from '../support/console.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('the console', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let console: TestConsole;
  before(async () => {
    world = makeWorld();
    console = await startConsole(world);
  });
  after(async () => {
    await console?.daemon.stop();
    world?.remove();
  });

  it('lets nobody in who has not logged in, and leads to the login', async () => {
    const stranger = console.browser();
    const answer = await stranger.get('/');
    assert.deepEqual([answer.status, answer.to], [303, '/login?to=%2F']);
    assert.equal((await stranger.get('/login')).status, 200);
    const posted = await stranger.post('/step-up', {});
    assert.equal(posted.status, 401);
  });

  it('takes an invitation once, then password and code, and ends at logout', async () => {
    const { browser, ...login } = await console.person('ada', 'administrator');
    const start = await browser.get('/');
    assert.equal(start.status, 200);
    assert.match(start.text, /ada/);
    const out = await browser.post('/logout', {});
    assert.deepEqual([out.status, out.to], [303, '/login']);
    assert.equal((await browser.get('/')).status, 303);
    const again = await browser.post('/login', { ...(await console.proof(login)), to: '/?a=1' });
    assert.deepEqual([again.status, again.to], [303, '/?a=1']);
    assert.equal((await browser.get('/')).status, 200);
    const what = (await console.daemon.queue.audit.list({})).map((entry) => [entry.what, entry.by]);
    const by = 'person ada, console, from 127.0.0.1';
    assert.deepEqual(what.slice(0, 4), [
      ['login', by],
      ['logout', by],
      ['login', by],
      ['password-set', by],
    ]);
  });
});
