/**
 * A morning with alerts: mail that nobody can read waits, people are told by mail and webhook, and told when all is
 * well.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startApi, type TestApi } from '../support/api.ts';
import { type Hook, startHook } from '../support/hook.ts';
import { type KeepingServer, startKeepingServer } from '../support/mail-server.ts';
import { makeWorld, partnerHeader, skipWithout, textEntity } from '../support/world.ts';

describe('alerts of the running daemon', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let hook: Hook;
  let server: KeepingServer;
  let api: TestApi;
  let all: string;
  let orders: string;
  let other: string;
  before(async () => {
    hook = await startHook();
    server = await startKeepingServer();
    const secret = { file: world.file('alerts.secret', 'the secret of the alerts') };
    const mailbox = (name: string) => ({
      ...{ name, addresses: [`${name}@own.example`] },
      destinations: [{ type: 'directory', path: `${world.folder}/${name}` }],
    });
    api = await startApi(world, {
      args: [],
      config: {
        mailboxes: [mailbox('orders'), mailbox('other')],
        partners: [
          {
            ...{ name: 'operators', addresses: ['edi-team@own.example'], from: 'sealpost@own.example' },
            ...{ encrypt: false, sign: 'none', route: { host: '127.0.0.1', port: server.port, tls: 'none' } },
          },
        ],
        alerts: {
          every: '1s',
          mail: { partner: 'operators', gather: '100ms' },
          webhook: { url: hook.url, secret, allowPrivate: true },
        },
      },
    });
    const verbs = 'read,alerts,silence,terminate';
    all = await api.token('all', '--scope', verbs, '--mailbox', '*', '--partner', '*');
    orders = await api.token('orders', '--scope', verbs, '--mailbox', 'orders');
    other = await api.token('other', '--scope', 'alerts', '--mailbox', 'other');
  });
  after(async () => {
    await api?.daemon.stop();
    await server?.close();
    hook?.close();
    world.remove();
  });

  const list = async (token: string) => (await api.call(token, '/v1/alerts')).json;
  const post = (token: string, path: string, body?: object) =>
    api.call(token, path, {
      method: 'POST',
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  interface Told {
    kind: string;
    alert: { id: string; rule: string; labels: Record<string, string>; text: string };
  }
  const posted = () => hook.posted.flatMap(({ body }): Told[] => JSON.parse(body).alerts);
  const mails = () => server.kept.map(({ octets }) => octets.toString());
  let id: string;

  it('tell by mail and webhook that a message waits, once', async () => {
    id = await api.daemon.accept(Buffer.from(`${partnerHeader()}${textEntity('in clear')}`));
    await api.daemon.reaches(id, 'suspended');
    const told = await api.daemon.waitFor('the webhook', () =>
      posted().find(({ kind, alert }) => kind === 'fired' && alert.rule === 'suspended'),
    );
    assert.deepEqual(told.alert.labels, { direction: 'inbound', mailbox: 'orders', reason: 'not-smime' });
    const mail = await api.daemon.waitFor('the mail', () =>
      mails().find((text) => text.includes('(suspended)')),
    );
    assert.match(mail, /^Auto-Submitted: auto-generated\r$/m);
    assert.match(mail, /^To: <edi-team@own.example>\r$/m);
    assert.match(mail, /NEW: 1 message in mailbox orders waits for a person: /);
    assert.match(mail, /what to do: Terminate the message/);
    assert.ok(hook.posted.every(({ headers }) => headers['sealpost-signature'] !== undefined));
  });

  it('are listed for those who may see them, and for nobody else', async () => {
    const shown = await list(orders);
    assert.deepEqual(
      shown.alerts.map(({ rule, state, silencedBy }: Record<string, unknown>) => [rule, state, silencedBy]),
      [['suspended', 'firing', null]],
    );
    assert.deepEqual([(await list(other)).alerts, shown.channels], [[], []]);
    assert.deepEqual((await list(all)).channels.map(({ name }: { name: string }) => name).sort(), [
      'mail',
      'webhook',
    ]);
    const changes = (await api.call(orders, '/v1/alerts/changes')).json;
    assert.deepEqual(
      changes.changes.map(({ kind }: { kind: string }) => kind),
      ['fired'],
    );
    const after = await api.call(orders, `/v1/alerts/changes?after=${changes.cursor}`);
    assert.deepEqual(after.json.changes, []);
    assert.equal((await api.call(other, '/v1/alerts/changes')).json.changes.length, 0);
    const ran = await api.daemon.command(['alerts', 'list']);
    assert.match(ran.stdout.toString(), /suspended {2}since .*\n {2}1 message in mailbox orders waits/);
  });

  it('are silenced by who may see them, with a reason and for a time', async () => {
    const [{ id: alert }] = (await list(orders)).alerts;
    assert.equal((await post(other, '/v1/alerts/silences', { alert, for: '1h', why: 'x' })).status, 403);
    for (const [body, status] of [
      [{ alert, for: '1h' }, 400],
      [{ alert, for: 'soon', why: 'x' }, 400],
      [{ alert, for: '1h', until: '2030-01-01T00:00:00Z', why: 'x' }, 400],
      [{ alert, for: '91d', why: 'x' }, 400],
      [{ alert: 'none', for: '1h', why: 'x' }, 400],
      [{ rule: 'suspended', for: '1h', why: 'x' }, 403],
      [{ mailbox: 'other', for: '1h', why: 'x' }, 403],
    ] as const)
      assert.equal((await post(orders, '/v1/alerts/silences', body)).status, status, JSON.stringify(body));
    const made = await post(orders, '/v1/alerts/silences', { mailbox: 'orders', for: '1h', why: 'known' });
    assert.equal(made.status, 200, made.text);
    const { alerts, silences } = await list(orders);
    assert.deepEqual([alerts[0].silencedBy, silences[0].by], [made.json.id, silences[0].by]);
    assert.match(silences[0].by, /^client orders, token /);
    assert.equal((await post(orders, '/v1/alerts/silences/none/end')).status, 404);
    const [entry] = JSON.parse(
      (await api.daemon.command(['audit', '--json', '--limit', '1'])).stdout.toString(),
    ).entries;
    assert.deepEqual([entry.what, entry.subject], ['alert-silence', 'mailbox orders']);
    const ended = await api.daemon.command(['alerts', 'unsilence', made.json.id]);
    assert.equal(ended.code, 0, ended.stderr);
    const own = ['alerts', 'silence', alert, '--for', '1h', '--why', 'looked at'];
    assert.match(
      (await api.daemon.command(own)).stdout.toString(),
      /^silence \w+ until .*: alert \w+ \(looked at\)$/m,
    );
    assert.equal((await list(orders)).alerts[0].silencedBy === null, false);
  });

  it('say that all is well again, also to who was told before the silence', async () => {
    await api.daemon.command(['messages', 'terminate', id, '--why', 'test']);
    await api.daemon.waitFor('the webhook', () => posted().find(({ kind }) => kind === 'cleared'));
    await api.daemon.waitFor('the mail', () => mails().find((text) => text.includes('BACK TO NORMAL: ')));
    await api.daemon.waitFor('nothing needs a person', async () => (await list(orders)).alerts.length === 0);
  });

  it('are tested by a person: what works is said, and what does not', async () => {
    const ran = await api.daemon.command(['alerts', 'test']);
    assert.equal(ran.code, 0, ran.stdout.toString() + ran.stderr);
    assert.match(ran.stdout.toString(), /^webhook: taken$/m);
    assert.match(ran.stdout.toString(), /^mail: message o[0-9a-f]{31}$/m);
    assert.equal((await post(orders, '/v1/alerts/test')).status, 403);
    hook.answers.push(500, 500, 500);
    const failed = await api.daemon.command(['alerts', 'test']);
    assert.equal(failed.code, 1);
    assert.match(failed.stdout.toString(), /^webhook: failed: it answered with status 500$/m);
    assert.match(failed.stdout.toString(), /^mail: message /m);
    await api.daemon.waitFor(
      'the webhook has it in the end',
      () => posted().filter(({ kind }) => kind === 'test').length >= 2,
    );
  });
});
