import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { allGranted, type Client } from '../../src/client/index.ts';
import { ClientRegistry, clientOf, Rates } from '../../src/client/registry.ts';
import { createLog } from '../../src/log.ts';
import { refreshEvery } from '../../src/redis/index.ts';
import { useTestQueue } from '../support/queue.ts';

describe('the clients of an installation', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  const log = createLog('silent', 'test');
  const clock = { now: Date.parse('2026-11-30T10:00:00Z') };
  const open = () => {
    const { redis, prefix, seal, unseal } = test.queue;
    const parts = { redis, prefix, seal, unseal, log, now: () => clock.now };
    return ClientRegistry.open({ ...parts, folder: test.server.dataDir });
  };
  const key = () => `${test.queue.prefix}:clients`;
  const anew = async () => {
    rmSync(join(test.server.dataDir, 'clients.version'), { force: true });
    await test.queue.redis.del(key());
    return await open();
  };
  const add = (registry: ClientRegistry, name: string, grants = {}) =>
    registry.change((document) => {
      const { now } = clock;
      document.clients.push({ name, grants: { ...allGranted, ...grants }, createdAt: now, pins: [] });
    });
  const token = (registry: ClientRegistry, client: string, facts = {}) =>
    registry.addCredential(client, { note: '', scope: {}, expiresAt: null, ...facts });
  const wrong = { code: 'client-unauthenticated', message: 'the token or login is not valid' };

  it('authenticates a token, in any process, and says the same of every wrong one', async () => {
    const registry = await anew();
    await add(registry, 'erp', { partners: ['acme'] });
    await add(registry, 'shop');
    const { text, id } = await token(registry, 'ERP', { scope: { verbs: ['read'] } });
    assert.match(text, /^sealpost_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}$/);
    const other = await open();
    const client = other.byToken(text);
    assert.deepEqual([client.name, client.credential, client.grants.verbs], ['erp', id, ['read']]);
    assert.deepEqual([client.mayUsePartner('ACME'), client.mayUsePartner('other')], [true, false]);
    assert.equal(other.byLogin('erp', text).name, 'erp');
    for (const each of [
      '',
      'x',
      `${text}0`,
      text.slice(0, -1),
      text.replace(/.$/, (c) => (c === 'a' ? 'b' : 'a')),
    ])
      assert.throws(() => other.byToken(each), wrong, each);
    for (const user of ['shop', 'nobody', '', 'erp '])
      assert.throws(() => other.byLogin(user, text), wrong, user);
    const stored = JSON.stringify(await test.queue.redis.get(key()));
    assert.ok(!stored.includes(text) && !JSON.stringify(other.document).includes(text));
  });

  it('gives a token limits of its own: both hold, and what one has sent counts for the others', async () => {
    const registry = await anew();
    await add(registry, 'erp', { limits: { messages: 5, octets: 0, size: 1000 } });
    await add(registry, 'shop');
    const [few, many, none, free] = [
      await token(registry, 'erp', { limits: { messages: 2, octets: 0, size: 0 } }),
      await token(registry, 'erp', { limits: { messages: 9, octets: 0, size: 10 } }),
      await token(registry, 'erp'),
      await token(registry, 'shop', { limits: { messages: 0, octets: 100, size: 0 } }),
    ].map(({ text }) => registry.byToken(text));
    assert.deepEqual(
      [few, many, none, free].map((each) => each?.grants.limits),
      [
        { messages: 2, octets: 0, size: 1000 },
        { messages: 5, octets: 0, size: 10 },
        { messages: 5, octets: 0, size: 1000 },
        { messages: 0, octets: 100, size: 0 },
      ],
    );
    const rates = new Rates(() => 0);
    const sent = (client: Client | undefined, octets = 1) => {
      assert.ok(client);
      try {
        rates.takeMessages(client);
        rates.takeOctets(client, octets);
        return 'sent';
      } catch (error) {
        return error instanceof Error ? error.message : '';
      }
    };
    const ofToken = `token ${few?.credential} of client erp may send 2 messages a minute`;
    assert.deepEqual([sent(few), sent(few), sent(few)], ['sent', 'sent', ofToken]);
    // the limit that refused has taken nothing from the other one
    assert.deepEqual(
      [sent(many), sent(many), sent(none), sent(none), sent(many)],
      ['sent', 'sent', 'sent', ...Array(2).fill('client erp may send 5 messages a minute')],
    );
    assert.equal(sent(few), 'client erp may send 5 messages a minute');
    assert.deepEqual([sent(free, 99), sent(free, 2)], ['sent', 'sent']);
    assert.match(sent(free), /^token \w+ of client shop may send 100 octets a minute$/);
    assert.deepEqual(few && registry.again(few)?.grants.limits, few?.grants.limits);
    assert.deepEqual(few && registry.again(few)?.shared, few?.shared);
  });

  it('knows a token until it expires', async () => {
    const registry = await anew();
    await add(registry, 'erp');
    const { text } = await token(registry, 'erp', { expiresAt: clock.now + 1 });
    const client = registry.byToken(text);
    clock.now += 1;
    assert.throws(() => registry.byToken(text), wrong);
    assert.equal(registry.again(client), undefined);
  });

  it('lets every process know of a revocation within a second', async () => {
    const registry = await anew();
    await add(registry, 'erp');
    const { text, id } = await token(registry, 'erp');
    const door = await open();
    door.start();
    try {
      const client: Client = door.byToken(text);
      let changes = 0;
      door.onChange(() => {
        changes += 1;
      });
      await registry.change((document) => {
        document.credentials = document.credentials.filter((each) => each.id !== id);
      });
      for (let waited = 0; changes === 0 && waited < 200; waited++) await sleep(refreshEvery / 2);
      assert.equal(changes, 1);
      assert.throws(() => door.byToken(text), wrong);
      assert.equal(door.again(client), undefined);
    } finally {
      door.stop();
    }
  });

  it('gains nobody anything who writes into Redis', async () => {
    const registry = await anew();
    await add(registry, 'erp');
    const { text } = await token(registry, 'erp');
    const { redis } = test.queue;
    const first = (await redis.get(key())) ?? '';
    await add(registry, 'shop');
    const second = (await redis.get(key())) ?? '';
    const forged = [
      JSON.stringify({ version: 99, clients: [{ name: 'evil', grants: allGranted }], credentials: [] }),
      test.queue.seal('keycheck', { version: 99, clients: [], credentials: [] }).toString('base64'),
      `${second.slice(0, 60)}${second.slice(60, 61) === 'A' ? 'B' : 'A'}${second.slice(61)}`,
      // An older list, such as one from before a revocation.
      first,
      '',
    ];
    for (const each of forged) {
      await redis.set(key(), each);
      await registry.refresh();
      assert.equal(registry.trouble?.code, 'clients-changed', each.slice(0, 40));
      assert.throws(() => registry.byToken(text), wrong);
      assert.equal(registry.byName('erp'), undefined);
      // A process that is started now knows no better.
      assert.equal((await open()).trouble?.code, 'clients-changed', each.slice(0, 40));
      await assert.rejects(add(registry, 'more'), { code: 'clients-changed' });
    }
    await redis.set(key(), second);
    await registry.refresh();
    assert.deepEqual([registry.trouble, registry.byToken(text).name], [undefined, 'erp']);
  });

  it('takes an older list when a person accepts it', async () => {
    const registry = await anew();
    await add(registry, 'erp');
    const backup = (await test.queue.redis.get(key())) ?? '';
    await add(registry, 'shop');
    await test.queue.redis.set(key(), backup);
    await registry.change(() => undefined, true);
    assert.deepEqual(
      (await open()).document.clients.map(({ name }) => name),
      ['erp'],
    );
  });

  it('loses no change of two processes at once', async () => {
    const [one, two] = [await anew(), await open()];
    await Promise.all([...'abcdef'].map((name, at) => add(at % 2 ? one : two, name)));
    const names = (await open()).document.clients.map(({ name }) => name);
    assert.deepEqual(names.sort(), [...'abcdef']);
    assert.throws(() => clientOf(one.document, 'nobody'), { code: 'client-unknown' });
  });
});
