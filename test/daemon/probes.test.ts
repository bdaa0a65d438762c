/** What the HTTP listener says of itself, of the installation and of messages, and to whom. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type KeepingServer, startKeepingServer } from '../support/mail-server.ts';
import { freePort } from '../support/net.ts';
import { run } from '../support/peers/run.ts';
import { makeWorld, partnerHeader, skipWithout, textEntity, type World } from '../support/world.ts';

describe('probes and metrics of the running daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let server: KeepingServer;
  let url: string;
  /** Where programs put what is sent to the partner beta. */
  let drop: string;
  before(async () => {
    world = makeWorld();
    server = await startKeepingServer();
    drop = join(world.folder, 'drop');
    mkdirSync(drop);
    const soon = world.party('edi@soon.example', { notAfter: new Date(Date.now() + 5 * 86_400_000) });
    daemon = await startDaemon(world, {
      config: {
        http: { port: 0, metricsToken: { file: world.file('token', 'the-token') } },
        partners: [
          {
            ...{ name: 'acme', addresses: ['edi@partner.example'], certificates: [world.partner.certFile] },
            ...{ identity: 'own', route: { host: '127.0.0.1', port: 9, tls: 'none' } },
          },
          {
            ...{ name: 'beta', addresses: ['edi@beta.example'], from: 'orders@own.example' },
            ...{ encrypt: false, sign: 'none' },
            route: { host: '127.0.0.1', port: server.port, tls: 'none' },
          },
          {
            ...{ name: 'soon', addresses: ['edi@soon.example'], certificates: [soon.certFile] },
            ...{ identity: 'own', route: { host: '127.0.0.1', port: 9, tls: 'none' } },
          },
        ],
        folders: [{ path: drop, client: 'erp', settle: '100ms', scan: '1s' }],
      },
    });
    url = `http://${/"http":"([^"]+)"/.exec(daemon.log())?.[1]}`;
  });
  after(async () => {
    await daemon?.stop();
    await server?.close();
    world?.remove();
  });

  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${url}${path}`, { headers });
    return { status: answer.status, text: await answer.text() };
  };
  const metric = async (name: string) =>
    (await get('/metrics')).text.split('\n').filter((line) => line.startsWith(`sealpost_${name}{`));

  it('count what happens to messages by partner, and give no label to who is unknown', async () => {
    const known = await daemon.accept(world.mail(textEntity('x')));
    await daemon.reaches(known, 'delivered');
    const stranger = partnerHeader().replaceAll('edi@partner.example', 'stranger@nowhere.example');
    const from = { from: 'stranger@nowhere.example' };
    const unknown = await daemon.accept(Buffer.from(`${stranger}${textEntity('in clear')}`), from);
    const forged = await daemon.accept(Buffer.from(`${partnerHeader()}${textEntity('in clear')}`));
    for (const id of [unknown, forged]) await daemon.reaches(id, 'suspended');
    // Each process tells what it has counted in its own time.
    const wanted = [
      (line: string) => line.includes('event="accepted"') && line.includes('mailbox="orders"'),
      (line: string) => line.includes('event="suspended"') && line.includes('reason="not-smime"'),
    ];
    await daemon.waitFor('the metrics of those who count', async () => {
      const lines = await metric('messages_total');
      return wanted.every((fits) => lines.some(fits));
    });
    const { text } = await get('/metrics');
    assert.equal(/stranger|nowhere/.test(text), false);
    const waiting = (await metric('suspended_messages')).join('\n');
    assert.match(waiting, /direction="inbound",mailbox="orders",partner="[a-z]*",reason="not-smime"/);
    for (const name of ['oldest_message_seconds', 'messages', 'queue_jobs'])
      assert.ok((await metric(name)).length > 0);
  });

  it('are shown to this machine, and to others with the token alone', async () => {
    assert.equal((await get('/metrics')).status, 200);
    // as a proxy on this machine hands it on
    const other = { 'x-forwarded-for': '192.0.2.1' };
    assert.equal((await get('/metrics', other)).status, 401);
    assert.equal((await get('/metrics', { ...other, authorization: 'Bearer wrong' })).status, 401);
    assert.equal((await get('/metrics', { ...other, authorization: 'Bearer the-token' })).status, 200);
  });

  it('say that this process lives and can work, and whether the whole does', async () => {
    for (const path of ['/livez', '/healthz', '/readyz']) assert.equal((await get(path)).status, 200, path);
    await daemon.waitFor(
      'all roles have a sign of life',
      async () => (await get('/readyz?whole')).status === 200,
    );
    const pid = daemon.pidOf('receive');
    process.kill(pid, 'SIGSTOP');
    try {
      const gone = await daemon.waitFor('its sign of life has ended', async () => {
        const { status, text } = await get('/readyz?whole');
        return status === 503 && text.includes('receive') ? text : undefined;
      });
      assert.equal(gone, 'no process of the role receive is there\n');
      assert.equal((await get('/readyz')).status, 200);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    assert.equal((await get('/nothing')).status === 200, false);
  });

  it('are taken by promtool and Prometheus, which has an answer to each question of the dashboard', {
    skip: skipWithout('prometheus', 'promtool'),
  }, async () => {
    const { text } = await get('/metrics');
    const checked = await run('promtool', ['check', 'metrics'], { input: text });
    assert.doesNotMatch(`${checked.stdout}${checked.stderr}`, /error/i);

    // something of each kind: refused at SMTP, sent, refused by the partner's server, a route that is down
    assert.match(await daemon.send(Buffer.from(''), { to: ['nobody@own.example'] }), /^550 /);
    await daemon.command(['clients', 'add', 'erp', '--scope', 'send', '--partner', 'beta']);
    await daemon.waitFor('the folder is made', () => existsSync(join(drop, 'beta')));
    server.answers.push('550 5.7.1 not here');
    const count = () => daemon.queue.ledger.count();
    const earlier = await count();
    for (const state of ['suspended', 'sent'] as const) {
      writeFileSync(join(drop, 'beta', state), 'order');
      await daemon.waitFor(state, async () => (await count())[state] > earlier[state]);
    }
    const mail = world.file('out.eml', 'From: orders@own.example\r\nSubject: x\r\n\r\nbody\r\n');
    assert.equal((await daemon.command(['send', '--partner', 'acme', mail])).code, 0);
    await daemon.waitFor('a route is down', async () => (await daemon.queue.routes.down()).length > 0);

    const deploy = resolve(import.meta.dirname, '../../deploy');
    const port = await freePort();
    const config = world.file(
      'prometheus.yaml',
      stringify({
        global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '2s' },
        rule_files: [join(deploy, 'prometheus/sealpost-rules.yaml')],
        scrape_configs: [
          { job_name: 'sealpost', static_configs: [{ targets: [url.replace('http://', '')] }] },
        ],
      }),
    );
    const prometheus = spawn(
      'prometheus',
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(world.folder, 'tsdb')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: 'ignore' },
    );
    const ended = once(prometheus, 'exit');
    try {
      const api = async (path: string): Promise<Answer> =>
        JSON.parse(await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).text());
      const ask = (query: string) => api(`query?query=${encodeURIComponent(query)}`);
      await daemon.waitFor('Prometheus answers', () => ask('1').catch(() => undefined));
      const { panels } = JSON.parse(readFileSync(join(deploy, 'grafana/sealpost.json'), 'utf8'));
      let questions = 0;
      for (const { title, targets } of panels)
        for (const { expr } of targets) {
          // a scrape that comes late on a busy machine has a gap before it
          const query = expr.replaceAll('$__rate_interval', '1m');
          await daemon.waitFor(`${title} has an answer to ${query}`, async () => {
            const { status, error, data } = await ask(query);
            assert.equal(status, 'success', `${title}: ${query}: ${error}`);
            return data?.result?.length !== 0;
          });
          questions += 1;
        }
      assert.ok(questions > 20);
      const rules = async () => (await api('rules')).data?.groups?.flatMap((group) => group.rules) ?? [];
      await daemon.waitFor('all rules are looked at', async () => {
        const found = await rules();
        assert.deepEqual(
          found.filter(({ health }) => health === 'err'),
          [],
        );
        return found.length > 10 && found.every(({ health }) => health === 'ok');
      });
      const states = Object.fromEntries((await rules()).map(({ name, state }) => [name, state]));
      // the others hold for minutes before they fire
      assert.deepEqual(
        ['SealpostCertificateEnds', 'SealpostSuspended', 'SealpostDown', 'SealpostSilent'].map(
          (name) => states[name],
        ),
        ['firing', 'pending', 'inactive', 'inactive'],
      );
    } finally {
      prometheus.kill();
      await ended;
    }
  });
});

/** Of Prometheus's own API, what is looked at. */
interface Answer {
  status: string;
  error?: string;
  data?: {
    result?: unknown[];
    groups?: { rules: { name: string; state: string; health: string }[] }[];
  };
}
