/**
 * What a person does to a message whose destination or partner does not answer, at the running daemon; and one mail for
 * a thousand recipients of ours.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { sickServer, type TestServer } from '../support/sick-servers.ts';
import { makeWorld, partnerHeader, skipWithout, textEntity, type World } from '../support/world.ts';

const lists = 20;
const perList = 50;

describe('at the running daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let web: Server;
  let partner: TestServer;
  const held: ServerResponse[] = [];
  let posts = 0;
  before(async () => {
    world = makeWorld();
    web = createServer((request, response) => {
      request.resume().on('end', () => {
        posts += 1;
        if (request.url === '/hangs') held.push(response);
        else response.writeHead(500).end();
      });
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    partner = await sickServer('silent-after-data');
    const { port } = web.address() as AddressInfo;
    const secret = { file: world.file('hook-secret', 'a secret of the tests') };
    const webhook = (path: string) => ({
      name: path,
      addresses: [`${path}@own.example`],
      destinations: [
        ...[{ type: 'webhook', url: `http://127.0.0.1:${port}/${path}`, secret, allowPrivate: true }],
      ],
    });
    const list = (_: unknown, at: number) => ({
      name: `list${at}`,
      addresses: [`@list${at}.example`],
      notSmime: 'pass',
      destinations: [{ type: 'directory', path: join(world.folder, `list${at}`) }],
    });
    daemon = await startDaemon(world, {
      config: {
        smtp: {
          ...{ listen: [{ port: 0 }], hostname: 'own.example', greetingDelay: '0ms' },
          maxRecipients: lists * perList,
        },
        mailboxes: [webhook('hangs'), webhook('fails'), ...Array.from({ length: lists }, list)],
        workers: { decrypt: 1, outbound: 1, drainTimeout: '1s' },
        partners: [
          {
            ...{ name: 'slow', addresses: ['edi@slow.example'], certificates: [world.partner.certFile] },
            ...{ identity: 'own', from: 'orders@own.example' },
            route: { host: '127.0.0.1', port: partner.port, tls: 'none' },
          },
        ],
      },
    });
  });
  after(async () => {
    for (const response of held) response.destroy();
    web?.close();
    await daemon?.stop();
    await partner?.close();
    world?.remove();
  });

  const bring = (mailbox: string) =>
    daemon.accept(world.mail(textEntity('an order')), { to: [`${mailbox}@own.example`] });
  const terminate = async (id: string) => {
    const { code, stderr } = await daemon.command(['messages', 'terminate', id, '--why', 'the wrong order']);
    assert.equal(code, 0, stderr);
    assert.equal((await daemon.queue.ledger.get(id))?.state, 'terminated');
  };
  const typesOf = async (id: string) =>
    (await daemon.queue.ledger.get(id))?.events.map(({ type }) => type) ?? [];

  it('a webhook that answers when its message has been ended is in the record, and is not asked again', async () => {
    const id = await bring('hangs');
    await daemon.waitFor('the webhook is asked', () => held.length === 1);
    const refused = await daemon.command(['messages', 'decode', id]);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /is decoded: only a suspended or delivered message/);
    await terminate(id);
    held.pop()?.writeHead(204).end();
    await daemon.waitFor('the answer is noted', async () => (await typesOf(id)).includes('handed-off'));
    assert.deepEqual(await typesOf(id), ['received', 'decoded', 'terminated', 'handed-off']);
    const record = await daemon.queue.ledger.get(id);
    assert.deepEqual([record?.state, record?.events.at(-1)?.facts.late], ['terminated', true]);
  });

  it('a webhook that failed before is not asked any more', async () => {
    const id = await bring('fails');
    await daemon.waitFor('an attempt has failed', async () => (await typesOf(id)).includes('retried'));
    await terminate(id);
    // What was under way when it was ended may still come, but nothing after it: attempts are 400 ms apart at most.
    let before = -1;
    await daemon.waitFor('it is not asked any more', async () => {
      const same = posts === before;
      before = posts;
      if (!same) await sleep(1500);
      return same;
    });
  });

  it('a partner that falls silent behind the data holds no message that was ended', async () => {
    const file = world.file('order.txt', 'an order');
    const sent = await daemon.command(['send', '--partner', 'slow', file]);
    assert.equal(sent.code, 0, sent.stderr);
    const id = /\b(o[0-9a-f]+)\b/.exec(sent.stdout.toString())?.[1] ?? '';
    await daemon.waitFor('the partner is called', () => partner.connections() > 0);
    await terminate(id);
    const octets = await daemon.queue.flow.originalOf(id);
    assert.equal(octets, null);
  });

  it('one mail for a thousand recipients of twenty mailboxes is twenty messages, once each', async () => {
    const to = Array.from({ length: lists * perList }, (_, at) => `r${at}@list${at % lists}.example`);
    const mail = Buffer.from(`${partnerHeader()}${textEntity('for all')}`);
    const reply = await daemon.send(mail, { to });
    assert.match(reply, /^250 /);
    const all = async () =>
      (await daemon.queue.ledger.list({ limit: 100 })).messages.filter(({ mailbox }) =>
        mailbox?.startsWith('list'),
      );
    await daemon.waitFor('all are delivered', async () => {
      const messages = await all();
      return messages.length === lists && messages.every(({ state }) => state === 'delivered');
    });
    for (const { envelope, mailbox } of await all()) {
      assert.equal(envelope.to.length, perList);
      assert.ok(envelope.to.every((each) => each.endsWith(`@${mailbox}.example`)));
    }
    // again and again: no second hand-off, and no record that grows without end
    for (let times = 0; times < 12; times++) assert.match(await daemon.send(mail, { to }), /^250 /);
    for (const { id } of await all())
      assert.ok((await daemon.queue.redis.hstrlen(`{sealpost}:m:${id}`, 'e')) < 40_000);
    for (let at = 0; at < lists; at++)
      assert.equal(
        readdirSync(join(world.folder, `list${at}`)).filter((name) => !name.startsWith('.')).length,
        1,
      );
    assert.match(await daemon.send(mail, { to: [...to, 'more@list0.example'] }), /^452 /);
  });
});
