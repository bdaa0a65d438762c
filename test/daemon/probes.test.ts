/** What the HTTP listener says of itself, of the installation and of messages, and to whom. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { makeWorld, partnerHeader, skipWithout, textEntity, type World } from '../support/world.ts';

describe('probes and metrics of the running daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let url: string;
  before(async () => {
    world = makeWorld();
    daemon = await startDaemon(world, {
      config: {
        http: { port: 0, metricsToken: { file: world.file('token', 'the-token') } },
        partners: [
          {
            ...{ name: 'acme', addresses: ['edi@partner.example'], certificates: [world.partner.certFile] },
            ...{ identity: 'own', route: { host: '127.0.0.1', port: 9, tls: 'none' } },
          },
        ],
      },
    });
    url = `http://${/"http":"([^"]+)"/.exec(daemon.log())?.[1]}`;
  });
  after(async () => {
    await daemon?.stop();
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
});
