/** The doors of a running daemon beside each other: what opens one must not open another. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { browserOf, type Somebody, startConsole, type TestConsole } from '../support/console.ts';
import { commitOne } from '../support/queue.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('the console beside the API', { skip: skipWithout('openssl', 'redis-server') }, () => {
  let world: World;
  let console: TestConsole;
  let ada: Somebody;
  let token: string;
  let api: string;
  let metrics: string;
  before(async () => {
    world = makeWorld();
    const file = join(world.folder, 'metrics-token');
    writeFileSync(file, 'token-of-prometheus\n', { mode: 0o600 });
    console = await startConsole(world, {
      args: ['--only', 'api,console,http'],
      console: { fourEyes: true },
      config: { api: { port: 0 }, http: { port: 0, metricsToken: { file } } },
    });
    const portOf = (name: string) => new RegExp(`"${name}":"[^"]*:(\\d+)"`).exec(console.daemon.log())?.[1];
    api = `http://127.0.0.1:${portOf('api')}`;
    metrics = `http://127.0.0.1:${portOf('http')}/metrics`;
    ada = await console.person('ada', 'administrator', '--content');
    const ran = await console.daemon.command(
      ['tokens', 'add', 'erp', '--scope', 'read,terminate', '--partner', '*', '--mailbox', '*'],
      { env: { SUDO_USER: 'alice\u202e\nroot@host  resume' } },
    );
    assert.equal(ran.code, 0, ran.stderr);
    token = ran.stdout.toString().trim();
  });
  after(async () => {
    await console?.daemon.stop();
    world?.remove();
  });

  it('opens no route of the API with a cookie', async () => {
    const browser = browserOf(api);
    for (const [name, value] of ada.browser.cookies) browser.cookies.set(name, value);
    for (const path of ['/v1/messages', '/v1/openapi.json', '/v1/certificates', '/v1/events'])
      assert.equal((await browser.get(path)).status, 401, path);
    const session = ada.browser.cookies.get('__Host-sealpost') ?? '';
    assert.equal((await browser.get('/v1/messages', { authorization: `Bearer ${session}` })).status, 401);
  });

  it('opens no page of the console with a token', async () => {
    const browser = console.browser();
    const authorization = `Bearer ${token}`;
    assert.equal((await browser.get('/', { authorization })).status, 303);
    browser.cookies.set('__Host-sealpost', token);
    assert.equal((await browser.get('/')).status, 303);
    assert.equal((await browser.post('/second/x', { answer: 'confirm' }, { authorization })).status, 401);
  });

  it('lets no token do alone what two persons have to do', async () => {
    const { queue } = console.daemon;
    const writer = queue.intake.begin();
    void writer.write(Buffer.from('Subject: order\r\n\r\n4711\r\n'));
    const envelope = { from: 'us@own.example', to: ['edi@acme.example'] };
    const origin = { kind: 'command', detail: {} } as const;
    const entry = { partner: 'acme', origin, envelope, messageId: null };
    const { id } = await commitOne(queue, writer, entry);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    await console.daemon.waitFor('the token is known', async () => {
      const answer = await fetch(`${api}/v1/messages/${id}`, { headers });
      return answer.status === 200;
    });
    const answer = await fetch(`${api}/v1/messages/${id}/terminate`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ why: 'alone' }),
    });
    assert.equal(answer.status, 403);
    assert.match(await answer.text(), /second-person-needed/);
    assert.equal((await queue.ledger.get(id))?.state, 'queued');
  });

  it('shows metrics to those who have the token, and off loopback to nobody else', async () => {
    const ask = async (authorization: string) => {
      // As through a proxy of this machine: what comes from it directly needs no token.
      const headers = { 'x-forwarded-for': '203.0.113.7', ...(authorization !== '' && { authorization }) };
      return (await fetch(metrics, { headers })).status;
    };
    for (const wrong of ['', 'Bearer', 'Bearer x', `Bearer ${token}`, 'Basic token-of-prometheus'])
      assert.equal(await ask(wrong), 401, wrong);
    assert.equal(await ask('Bearer token-of-prometheus'), 200);
  });

  it('shows the name in SUDO_USER as claimed, beside the user that the system knows', async () => {
    const [entry] = (await console.daemon.queue.audit.list({})).filter(({ what }) => what === 'token-add');
    assert.match(entry?.by ?? '', /^[^@\s]+@\S+ \(SUDO_USER says alice root@host resume\)$/);
  });

  it('ends the logins of a person who is disabled on the machine, and lets it in again', async () => {
    const { browser, ...login } = ada;
    assert.equal((await browser.get('/')).status, 200);
    const disabled = await console.daemon.command(['users', 'disable', 'ada']);
    assert.equal(disabled.code, 0, disabled.stderr);
    await console.daemon.waitFor('ada is out', async () => (await browser.get('/')).status === 303);
    assert.equal((await console.daemon.command(['users', 'enable', 'ada'])).code, 0);
    assert.equal((await browser.post('/login', await console.proof(login))).status, 303);
    assert.equal((await console.daemon.command(['users', 'reset', 'ada'])).code, 0);
    await console.daemon.waitFor('ada is out', async () => (await browser.get('/')).status === 303);
    const listed = await console.daemon.command(['users', 'list', '--json']);
    const [person] = JSON.parse(listed.stdout.toString());
    assert.deepEqual([person.name, person.login, person.invited, person.totp], ['ada', 'none', true, false]);
    assert.doesNotMatch(listed.stdout.toString(), /hash|salt|secret/);
  });

  it('adds no person with a bad name, role or mailbox, and none twice', async () => {
    const cases: [string[], RegExp][] = [
      [['users', 'add', 'a b', '--role', 'viewer'], /not a name for a person/],
      [['users', 'add', 'ada', '--role', 'viewer'], /already/],
      [['users', 'add', 'new'], /--role is missing/],
      [['users', 'add', 'new', '--role', 'root'], /not a role/],
      [['users', 'add', 'new', '--role', 'viewer', '--mailbox', 'none'], /no mailbox none/],
      [['users', 'add', 'new', '--role', 'viewer', '--subject', 's'], /no provider/],
      [['users', 'disable', 'nobody'], /no person "nobody"/],
    ];
    for (const [args, said] of cases) {
      const ran = await console.daemon.command(args);
      assert.notEqual(ran.code, 0, args.join(' '));
      assert.match(ran.stderr, said);
    }
  });
});
