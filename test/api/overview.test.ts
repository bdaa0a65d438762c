/** What the API says of the whole, and what it does with mailboxes, routes and many messages. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { startApi, type TestApi } from '../support/api.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

describe('overview, routes and bulk acts over HTTP', {
  skip: skipWithout('openssl'),
  timeout: 1_800_000,
}, () => {
  const world = makeWorld();
  let api: TestApi;
  let all: string;
  let reads: string;
  let other: string;
  before(async () => {
    const destinations = [{ type: 'queue', name: 'erp', queue: 'erp' }];
    api = await startApi(world, {
      args: ['--only', 'api,receive,decrypt,handoff,outbound'],
      config: {
        mailboxes: [
          { name: 'orders', addresses: ['orders@own.example'], destinations },
          { name: 'strict', addresses: ['strict@own.example'], destinations },
          { name: 'other', addresses: ['other@own.example'], destinations },
        ],
        retry: { attempts: 3, firstDelay: '1h', maxDelay: '1h' },
      },
    });
    const whole = ['--partner', '*', '--mailbox', '*', '--sender', '*'];
    const verbs = 'send,read,resume,retry,terminate,decode-again,routes';
    all = await api.token('all', '--scope', verbs, ...whole);
    reads = await api.token('reads', '--scope', 'read', ...whole);
    other = await api.token(
      'other',
      '--scope',
      'read,routes,terminate',
      '--mailbox',
      'other',
      '--partner',
      'other',
    );
  });
  after(async () => {
    await api?.daemon.stop();
    world.remove();
  });

  const post = (token: string, path: string, body: object = {}) =>
    api.call(token, path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const mail = (text: string, mailbox = 'orders') =>
    api.daemon.accept(world.mail(textEntity(text)), { to: [`${mailbox}@own.example`] });

  /** Neither signed nor encrypted. */
  const plain = async (text: string) => {
    const raw = Buffer.from(`From: edi@partner.example\r\n\r\n${text}\r\n`);
    const id = await api.daemon.accept(raw, { to: ['strict@own.example'] });
    await api.daemon.reaches(id, 'suspended');
    return id;
  };

  it('counts what came and went, for a client of everything alone', async () => {
    const id = await mail('counted');
    await api.daemon.reaches(id, 'delivered');
    const { json } = await api.call(reads, '/v1/overview?hours=1');
    const sum = (name: string) =>
      json.flow.reduce((total: number, span: Record<string, number>) => total + (span[name] ?? 0), 0);
    assert.deepEqual([json.whole, sum('received'), sum('delivered')], [true, 1, 1]);
    assert.equal(json.latency.inbound.messages, 1);
    assert.deepEqual(json.waiting.queued, { messages: 0, oldest: null });
    const narrow = (await api.call(other, '/v1/overview')).json;
    assert.deepEqual([narrow.whole, narrow.flow, narrow.waiting, narrow.latency], [false, null, null, null]);
    assert.equal((await api.call(reads, '/v1/overview?hours=193')).status, 400);
  });

  it('pauses and resumes a mailbox: its mail is told to come again', async () => {
    assert.equal((await post(reads, '/v1/mailboxes/orders/pause')).status, 403);
    assert.equal((await post(other, '/v1/mailboxes/orders/pause')).status, 404);
    const paused = await post(all, '/v1/mailboxes/orders/pause', { why: 'stock-taking' });
    assert.deepEqual([paused.status, paused.json], [200, { name: 'orders', paused: true }]);
    assert.equal((await post(all, '/v1/mailboxes/orders/pause')).status, 409);
    const reply = await api.daemon.waitFor('it is refused', async () => {
      const said = await api.daemon.send(world.mail(textEntity('later')));
      return said.startsWith('450') ? said : undefined;
    });
    assert.match(reply, /^450 4\.2\.1 Mailbox is paused/);
    assert.equal((await mail('not paused', 'other')).length > 0, true);
    const listed = (await api.call(reads, '/v1/mailboxes')).json.mailboxes;
    const [orders] = listed.filter(({ name }: { name: string }) => name === 'orders');
    assert.equal(orders.state, 'paused');
    assert.deepEqual([orders.paused.why, orders.destinations, orders.imap], ['stock-taking', ['erp'], null]);
    assert.equal((await post(all, '/v1/mailboxes/orders/resume')).status, 200);
    assert.equal((await post(all, '/v1/mailboxes/orders/resume')).status, 409);
    await api.daemon.waitFor('it is taken', async () =>
      (await api.daemon.send(world.mail(textEntity('again')))).startsWith('250'),
    );
    assert.equal((await post(all, '/v1/mailboxes/orders/poll')).status, 409);
    const entries = await api.daemon.queue.audit.list({});
    assert.deepEqual(
      entries.slice(0, 2).map(({ what, subject }) => [what, subject]),
      [
        ['mailbox-resume', 'orders'],
        ['mailbox-pause', 'orders'],
      ],
    );
  });

  const routesOf = async (state: string): Promise<string[]> => {
    const { json } = await api.call(reads, `/v1/routes?state=${state}`);
    return json.routes.map(({ name }: { name: string }) => name);
  };

  it('pauses a destination, also one that decrypt hands off to itself', async () => {
    assert.equal((await post(all, '/v1/mailboxes/other/destinations/none/pause')).status, 404);
    const path = '/v1/mailboxes/other/destinations/erp';
    assert.equal((await post(other, `${path}/pause`, { why: 'release' })).status, 200);
    // Each process sees the pause within half a second: a message may still pass it on its way.
    const { id, line } = await api.daemon.waitFor('one stands in line', async () => {
      const sent = await mail(`waits ${Math.random()}`, 'other');
      const { state } = await api.daemon.reaches(sent, 'decoded', 'delivered');
      const [route] = (await api.call(other, '/v1/routes?mailbox=other')).json.routes;
      return state === 'decoded' && route.inLine > 0 ? { id: sent, line: route } : undefined;
    });
    assert.deepEqual(
      [line.name, line.state, line.type, line.target],
      ['other/erp', 'paused', 'queue', 'erp'],
    );
    assert.deepEqual(await routesOf('paused'), ['other/erp']);
    assert.equal((await api.daemon.queue.ledger.get(id))?.state, 'decoded');
    const ran = await api.daemon.command(['routes', 'resume', 'other/erp']);
    assert.deepEqual([ran.code, ran.stdout.toString()], [0, 'other/erp goes on\n'], ran.stderr);
    await api.daemon.reaches(id, 'delivered');
  });

  it('lists routes in pages, only those that the client may see', async () => {
    const names: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const path: string = `/v1/routes?limit=2${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
      const { json } = await api.call(reads, path);
      names.push(...json.routes.map(({ name }: { name: string }) => name));
      cursor = json.cursor;
    }
    assert.deepEqual(names, ['orders/erp', 'other/erp', 'strict/erp', 'acme', 'other']);
    const { json } = await api.call(other, '/v1/routes');
    assert.deepEqual(
      json.routes.map(({ name }: { name: string }) => name),
      ['other/erp', 'other'],
    );
    assert.deepEqual((await api.call(reads, '/v1/routes?state=paused')).json.routes, []);
  });

  it('says how sending to a partner failed, and pauses it', async () => {
    const { json } = await api.post(all, { partner: 'acme', subject: 'x', text: 'y' });
    const id: string = json.messages[0].id;
    const route = await api.daemon.waitFor('it failed', async () => {
      const found = (await api.call(reads, '/v1/routes?partner=acme')).json.routes[0];
      return found.state === 'failing' && found.lastFailure !== null ? found : undefined;
    });
    assert.equal(route.lastFailure.down, true);
    assert.equal(route.lastSuccess, null);
    assert.deepEqual(await routesOf('failing'), ['acme']);
    assert.equal((await post(all, '/v1/partners/acme/pause')).status, 200);
    assert.deepEqual([await routesOf('failing'), await routesOf('paused')], [[], ['acme']]);
    const ran = await api.daemon.command(['routes', 'list', '--json', '--state', 'paused']);
    const [{ name, state }] = JSON.parse(ran.stdout.toString());
    assert.deepEqual([name, state], ['acme', 'paused']);
    assert.equal((await post(all, '/v1/partners/acme/resume')).status, 200);
    assert.equal((await api.daemon.queue.ledger.get(id))?.state, 'queued');
  });

  it('previews and performs an act on many messages, without those that came later', async () => {
    const ids = [await plain('one'), await plain('two')];
    const verdict = await api.call(reads, `/v1/messages/${ids[0]}/verdict`);
    assert.deepEqual([verdict.status, verdict.json.headersShown], [200, false]);
    assert.deepEqual([verdict.json.verdict.signature, verdict.json.verdict.encrypted], ['none', false]);
    assert.equal((await api.call(other, `/v1/messages/${ids[0]}/verdict`)).json.code, 'message-unknown');
    const groups = (await api.call(reads, '/v1/suspended')).json.groups;
    const [group] = groups.filter(({ mailbox }: { mailbox: string }) => mailbox === 'strict');
    assert.deepEqual([group.reason, group.messages], ['not-smime', 2]);
    assert.deepEqual((await api.call(other, '/v1/suspended')).json.groups, []);
    const filter = 'act=terminate&reason=not-smime&mailbox=strict';
    assert.equal((await api.call(reads, `/v1/acts?${filter}`)).status, 403);
    assert.equal((await api.call(other, `/v1/acts?${filter}`)).json.messages, 0);
    const { json: seen } = await api.call(all, `/v1/acts?${filter}`);
    assert.deepEqual([seen.messages, seen.more, new Set(seen.ids)], [2, false, new Set(ids)]);
    const late = await plain('three');
    const act = { act: 'terminate', reason: 'not-smime', mailbox: 'strict', until: seen.until };
    assert.equal((await post(all, '/v1/acts', act)).status, 400, 'it needs a reason');
    assert.equal(
      (await post(all, '/v1/acts', { act: 'terminate', why: 'x' })).status,
      400,
      'it needs a filter',
    );
    assert.equal((await post(reads, '/v1/acts', { ...act, why: 'x' })).status, 403);
    const { json: result } = await post(all, '/v1/acts', { ...act, why: 'not for us' });
    assert.deepEqual([new Set(result.done), result.failed, result.more], [new Set(ids), [], false]);
    assert.equal((await api.daemon.queue.ledger.get(late))?.state, 'suspended');
    // with the octets goes what was kept of them
    assert.equal((await api.call(reads, `/v1/messages/${ids[0]}/verdict`)).json.code, 'original-gone');
    const named = await post(other, '/v1/acts', { act: 'terminate', why: 'x', ids: [late, 'nobody'] });
    assert.deepEqual(named.json.failed.map(({ code }: { code: string }) => code).sort(), [
      'message-unknown',
      'message-unknown',
    ]);
  });

  it('has the files checked on demand, on the machine that has them, and says what is wrong', async () => {
    const whole = ['--partner', '*', '--mailbox', '*', '--sender', '*'];
    const checks = await api.token('checks', '--scope', 'check', ...whole);
    const part = await api.token('part', '--scope', 'check', '--mailbox', 'orders');
    const start = (token: string) => api.call(token, '/v1/checks', { method: 'POST' });
    for (const token of [all, part]) {
      assert.equal((await start(token)).status, 403);
      assert.equal((await api.call(token, '/v1/checks')).status, 403);
    }
    assert.equal((await api.call(checks, '/v1/checks')).json.check, null);
    const { configFile } = api.daemon;
    const before = readFileSync(configFile, 'utf8');
    writeFileSync(configFile, `${before}\nnonsense: true\n`);
    try {
      const asked = await start(checks);
      assert.equal(asked.status, 200, asked.text);
      const found = await api.daemon.waitFor('an answer', async () => {
        const { json } = await api.call(checks, '/v1/checks');
        return json.check.answers.length > 0 && json.check;
      });
      const [answer, ...others] = found.answers;
      assert.deepEqual(others, [], 'one for the machine, however many processes it has');
      assert.deepEqual(answer.roles.toSorted(), ['api', 'decrypt', 'handoff', 'outbound', 'receive']);
      assert.deepEqual([answer.error, found.waiting], [null, []]);
      const wrong = answer.problems.find(({ setting }: { setting: string }) => setting === 'nonsense');
      assert.equal(wrong?.severity, 'error', JSON.stringify(answer));
      assert.ok(wrong.line > 1);
    } finally {
      writeFileSync(configFile, before);
    }
    const entries = await api.daemon.queue.audit.list({});
    assert.equal(entries.filter(({ what }) => what === 'check').length, 1);
  });
});
