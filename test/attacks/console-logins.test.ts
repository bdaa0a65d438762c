/** Attacks on the logins of the console, over HTTP. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { totpAt } from '../../src/user/index.ts';
import {
  browserMark,
  browserSession,
  type ConsoleRoom,
  type Somebody,
  startConsoleRoom,
} from '../support/console.ts';
import { until } from '../support/net.ts';
import { skipWithout } from '../support/world.ts';

describe('logins of the console', { skip: skipWithout('redis-server') }, () => {
  let room: ConsoleRoom;
  let ada: Somebody;
  before(async () => {
    room = await startConsoleRoom();
    ada = await room.person('ada', 'administrator');
  });
  after(() => room?.stop());

  const wrong = { password: 'not the password', code: '000000' };

  it('say the same for an unknown name, a wrong password and a wrong code', async () => {
    const stranger = room.browser('127.0.0.3');
    const tries = [
      { name: 'nobody', ...wrong },
      { name: 'ada', ...wrong },
      { name: 'ada', password: ada.password, code: '000000' },
      { name: 'ada', password: ada.password, code: '' },
    ];
    const answers = [];
    for (const form of tries) {
      const { status, text } = await stranger.post('/login', form);
      answers.push([status, text]);
    }
    assert.equal(answers[0]?.[0], 401);
    assert.match(String(answers[0]?.[1]), /Name, password or code are wrong/);
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
  });

  it('are limited by address, and nobody locks another person out', async () => {
    room.ahead += 90_000;
    const stranger = room.browser('127.0.0.4');
    // Each takes the work of a password, so most of them are counted here.
    const tried = `${room.queue.prefix}:tries:address:127.0.0.4`;
    assert.equal((await stranger.post('/login', { name: 'ada', ...wrong })).status, 401);
    assert.equal(await room.queue.redis.get(tried), '1');
    await room.queue.redis.incrby(tried, 8);
    assert.equal((await stranger.post('/login', { name: 'ada', ...wrong })).status, 401);
    // even with everything right
    const proof = await room.proof(ada);
    const refused = await stranger.post('/login', proof);
    assert.deepEqual([refused.status, /too many/i.test(refused.text)], [429, true]);
    // the owner comes from the same address with a browser that it has used before, and from another one with a new one
    const known = room.browser('127.0.0.4');
    known.cookies.set(browserMark, ada.browser.cookies.get(browserMark) ?? '');
    assert.equal((await known.post('/login', proof)).status, 303);
    assert.equal((await room.browser('127.0.0.5').post('/login', await room.proof(ada))).status, 303);
  });

  it('do not take the mark of one person for another, or one that was made up', async () => {
    room.ahead += 90_000;
    const bob = await room.person('bob', 'viewer');
    // who has no tries left
    const stranger = room.browser('127.0.0.4');
    // refused before anything of it is looked at
    const proof = await room.proof(bob);
    for (const mark of [ada.browser.cookies.get(browserMark) ?? '', 'x.y', '']) {
      stranger.cookies.set(browserMark, mark);
      assert.equal((await stranger.post('/login', proof)).status, 429, mark);
    }
    stranger.cookies.set(browserMark, bob.browser.cookies.get(browserMark) ?? '');
    assert.equal((await stranger.post('/login', { name: 'bob', ...wrong })).status, 401);
  });

  it('take a code once', async () => {
    room.ahead += 90_000;
    const form = await room.proof(ada);
    assert.equal((await room.browser('127.0.0.7').post('/login', form)).status, 303);
    assert.equal((await room.browser('127.0.0.7').post('/login', form)).status, 401);
  });

  it('let nobody guess the code who has the password', async () => {
    room.ahead += 90_000;
    const eve = await room.person('eve', 'viewer');
    // from many addresses, each below its own limit
    const guess = async (from: string) => {
      const form = { name: 'eve', password: eve.password, code: '000000' };
      return (await room.browser(from).post('/login', form)).status;
    };
    assert.equal(await guess('127.0.1.1'), 401);
    await room.registry.refresh();
    const counted = `${room.queue.prefix}:tries:code:${room.registry.byName('eve')?.id}`;
    assert.equal(await room.queue.redis.get(counted), '1');
    await room.queue.redis.incrby(counted, 8);
    assert.equal(await guess('127.0.1.2'), 401);
    const right = await room.proof(eve);
    assert.equal((await room.browser('127.0.1.50').post('/login', right)).status, 429);
    // a stranger without the password does not get there
    const { browser } = eve;
    browser.cookies.delete(browserSession);
    assert.equal((await browser.post('/login', right)).status, 303);
  });

  it('give a session another id, whatever the browser came with', async () => {
    room.ahead += 90_000;
    const browser = room.browser('127.0.0.8');
    const fixed = 'A'.repeat(43);
    browser.cookies.set(browserSession, fixed);
    assert.equal((await browser.post('/login', await room.proof(ada))).status, 303);
    const first = browser.cookies.get(browserSession) ?? '';
    assert.match(first, /^[A-Za-z0-9_-]{43}$/);
    assert.notEqual(first, fixed);
    assert.equal((await browser.post('/login', await room.proof(ada))).status, 303);
    const thief = room.browser('127.0.0.9');
    thief.cookies.set(browserSession, first);
    assert.equal((await thief.get('/')).status, 303, 'the session before is no more');
  });

  it('need an invitation that is new, for the first time', async () => {
    const page = await room.browser().get('/welcome');
    const secret = /<code>([A-Z2-7]+)<\/code>/.exec(page.text)?.[1] ?? '';
    const sealed = /name="sealed" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
    const code = totpAt(secret, Date.now() + room.ahead);
    const form = {
      name: 'ada',
      password: 'another long password',
      again: 'another long password',
      sealed,
      code,
    };
    const stranger = room.browser('127.0.2.1');
    for (const invitation of ['', 'guessed'])
      assert.equal((await stranger.post('/welcome', { ...form, invitation })).status, 401);
    // one that is too old
    const { addPerson, invite } = await import('../../src/user/index.ts');
    let old = '';
    await room.registry.change((document) => {
      const rights = { role: 'viewer', mailboxes: '*', partners: '*', content: false } as const;
      const at = Date.now() + room.ahead - 86_400_001;
      old = invite(addPerson(document, 'late', rights, { now: at }), at);
    });
    const late = { ...form, name: 'late', invitation: old };
    assert.equal((await stranger.post('/welcome', late)).status, 401);
  });

  it('refuse passwords that are short, repeated, or contain the name', async () => {
    const { addPerson, invite } = await import('../../src/user/index.ts');
    let code = '';
    await room.registry.change((document) => {
      const rights = { role: 'viewer', mailboxes: '*', partners: '*', content: false } as const;
      const at = Date.now() + room.ahead;
      code = invite(addPerson(document, 'carla', rights, { now: at }), at);
    });
    for (const password of ['short pass', 'aaaaaaaaaaaaaaaa', 'carla is my name']) {
      const form = { name: 'carla', invitation: code, password, again: password };
      assert.equal((await room.browser('127.0.2.2').post('/welcome', form)).status, 400, password);
    }
  });

  it('end by themselves when the person is disabled', async () => {
    const dan = await room.person('dan', 'operator');
    assert.equal((await dan.browser.get('/')).status, 200);
    await room.registry.change(({ people }) => {
      for (const each of people) if (each.name === 'dan') each.disabled = true;
    });
    await until('dan is out', async () => (await dan.browser.get('/')).status === 303);
    assert.equal((await dan.browser.post('/login', await room.proof(dan))).status, 401);
  });

  it('are in a list of their own for each person, so that a flood hides nobody', async () => {
    const key = (name: string) => `${room.queue.prefix}:logins:${room.registry.byName(name)?.id ?? 'nobody'}`;
    await room.registry.refresh();
    const { redis } = room.queue;
    await redis.del(key('bob'), key('nobody'));
    assert.equal((await room.browser('127.0.3.1').post('/login', { name: 'bob', ...wrong })).status, 401);
    for (let tries = 0; tries < 2; tries += 1)
      await room.browser('127.0.3.2').post('/login', { name: 'secret typed as name', ...wrong });
    assert.equal(await redis.llen(key('bob')), 1);
    const lines = await redis.lrange(key('nobody'), 0, -1);
    assert.equal(lines.length, 2);
    for (const line of lines) assert.doesNotMatch(line, /secret/);
  });
});
