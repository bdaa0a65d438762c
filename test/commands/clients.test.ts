import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { ClientRegistry } from '../../src/client/registry.ts';
import { createLog } from '../../src/log.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { command } from '../support/command.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('clients and tokens', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let queue: QueueRoom;
  let registry: ClientRegistry;
  let configFile: string;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    const partner = (name: string) => ({
      name,
      addresses: [`x@${name}.example`],
      encrypt: false,
      sign: 'none',
    });
    configFile = world.file(
      'sealpost.yaml',
      stringify({
        dataDir: server.dataDir,
        redis: { url: server.url },
        partners: [partner('acme'), partner('other')],
      }),
    );
    queue = await openTestQueue(server);
    registry = await ClientRegistry.open({
      ...queue,
      folder: server.dataDir,
      log: createLog('silent', 'test'),
      now: Date.now,
    });
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
    world?.remove();
  });

  const run = async (...args: string[]) => {
    const ran = await command([...args, '--config', configFile], { env: { SUDO_USER: 'alice' } });
    return { ...ran, stdout: ran.stdout.toString() };
  };
  const clientFor = async (token: string) => {
    await registry.refresh();
    return registry.byToken(token);
  };

  it('makes a client with its first token, which is shown once and works', async () => {
    const made = await run(
      'tokens',
      'add',
      'erp',
      '--scope',
      'send,read',
      '--partner',
      'acme',
      '--note',
      'ERP 7',
    );
    assert.equal(made.code, 0, made.stderr);
    const token = made.stdout.trim();
    assert.match(token, /^sealpost_\w+$/);
    const client = await clientFor(token);
    assert.deepEqual(
      [client.name, client.grants.verbs, client.grants.partners],
      ['erp', ['send', 'read'], ['acme']],
    );
    assert.deepEqual([client.grants.senders, client.grants.mailboxes], [[], []]);
    const listed = await run('tokens', 'list');
    assert.ok(!listed.stdout.includes(token.slice(20)));
    assert.match(listed.stdout, /^\w{10} {2}erp {2}valid {2}until 20\d\d-\S+ {2}used 20\S+ {2}ERP 7\n$/);
    assert.match(
      (await run('audit')).stdout,
      /SUDO_USER says alice\) {2}token-add {2}erp {2}token \w{10}\n.*client-add {2}erp {2}send read; partners acme; mailboxes none\n/,
    );
  });

  it('never gives a token more than its client has', async () => {
    await run('clients', 'add', 'shop', '--scope', 'send', '--partner', 'acme', '--sender', '@shop.example');
    const { stdout } = await run(
      'tokens',
      'add',
      'shop',
      '--scope',
      'send,content',
      '--partner',
      'acme,other',
    );
    const { grants } = await clientFor(stdout.trim());
    assert.deepEqual(
      [grants.verbs, grants.partners, grants.senders],
      [['send'], ['acme'], ['@shop.example']],
    );
    const granted = await run('clients', 'grant', 'shop', '--partner', '*', '--messages-per-minute', '60');
    assert.match(granted.stdout, /partners {4}all\n.*limit {7}60 messages a minute/s);
    assert.deepEqual((await clientFor(stdout.trim())).grants.partners, ['acme', 'other']);
  });

  it('gives a token limits of its own, shows them, and keeps them when it is rotated', async () => {
    await run('clients', 'add', 'desk', '--scope', 'send', '--messages-per-minute', '50');
    const limits = ['--messages-per-minute', '60', '--max-size', '1MiB', '--octets-per-minute', '0'];
    const made = await run('tokens', 'add', 'desk', ...limits);
    assert.equal(made.code, 0, made.stderr);
    const client = await clientFor(made.stdout.trim());
    assert.deepEqual(client.grants.limits, { messages: 50, octets: 0, size: 1_048_576 });
    const rotated = await clientFor((await run('tokens', 'rotate', client.credential)).stdout.trim());
    assert.notEqual(rotated.credential, client.credential);
    assert.deepEqual(rotated.grants.limits, client.grants.limits);
    const words = /^\w{10} {2}desk {2}valid {2}.* {2}60 messages a minute {2}1048576 octets a message$/m;
    assert.match((await run('tokens', 'list')).stdout, words);
    assert.match((await run('audit')).stdout, /token \w{10}; 60 messages a minute; 1048576 octets a message/);
    const plain = (await run('tokens', 'add', 'desk')).stdout.trim();
    const listed: { id: string; limits: unknown }[] = JSON.parse(
      (await run('tokens', 'list', '--json')).stdout,
    );
    const limitsOf = (id: string) => listed.find((each) => each.id === id)?.limits;
    assert.deepEqual(limitsOf(client.credential), { messages: 60, octets: 0, size: 1_048_576 });
    assert.deepEqual(limitsOf((await clientFor(plain)).credential), { messages: 0, octets: 0, size: 0 });
    assert.match((await run('tokens', 'add', 'desk', '--max-size', 'big')).stderr, /--max-size: not a size/);
  });

  it('rotates a token with an overlap, and revokes one', async () => {
    const old = (await run('tokens', 'add', 'erp')).stdout.trim();
    const id = (await clientFor(old)).credential;
    const rotated = await run('tokens', 'rotate', id, '--overlap', '1h');
    const fresh = rotated.stdout.trim();
    assert.equal((await clientFor(old)).name, 'erp');
    assert.equal((await clientFor(fresh)).name, 'erp');
    const left = (registry.document.credentials.find((each) => each.id === id)?.expiresAt ?? 0) - Date.now();
    assert.ok(left > 0 && left <= 3_600_000, String(left));
    const revoked = await run('tokens', 'revoke', id);
    assert.equal(revoked.code, 0, revoked.stderr);
    await assert.rejects(clientFor(old), { code: 'client-unauthenticated' });
    assert.equal((await clientFor(fresh)).name, 'erp');
    assert.equal((await run('tokens', 'revoke', id)).code, 1);
  });

  it('removes a client with its tokens', async () => {
    const token = (await run('tokens', 'add', 'gone', '--scope', 'read', '--partner', '*')).stdout.trim();
    assert.equal((await clientFor(token)).name, 'gone');
    assert.equal((await run('clients', 'remove', 'GONE')).code, 0);
    await assert.rejects(clientFor(token), { code: 'client-unauthenticated' });
    assert.match(
      (await run('clients', 'show', 'gone')).stderr,
      /no client "gone".*\n.*clients are erp, shop/,
    );
  });

  it('names what is wrong, and changes nothing then', async () => {
    const wrong: [string[], RegExp][] = [
      [['clients', 'add', 'a b'], /not a name for a client/],
      [['clients', 'add', 'operator'], /not a name for a client/],
      [['clients', 'add', 'Sealpost'], /not a name for a client/],
      [
        ['clients', 'add', 'new', '--scope', 'send,fly'],
        /--scope: "fly" is not a verb.*verbs are send, read/s,
      ],
      [['clients', 'add', 'new', '--partner', 'nobody'], /there is no partner nobody/],
      [['clients', 'add', 'new', '--sender', 'no address'], /--sender/],
      [['clients', 'add', 'new', '--pin', 'abc'], /--pin: not a SHA-256/],
      [['clients', 'add', 'new', '--max-size', 'big'], /--max-size: not a size/],
      [['clients', 'add', 'ERP'], /there is a client ERP already/],
      [['tokens', 'add', 'new'], /there is no client new.*write --scope/s],
      [['tokens', 'add', 'erp', '--expires', 'soon'], /--expires: not a time/],
    ];
    const before = await queue.redis.get('{sealpost}:clients');
    for (const [args, said] of wrong) {
      const ran = await run(...args);
      assert.ok(ran.code !== 0, args.join(' '));
      assert.match(ran.stderr, said);
    }
    assert.equal(await queue.redis.get('{sealpost}:clients'), before);
  });

  it('accepts a restored list when it is told to', async () => {
    const backup = (await queue.redis.get('{sealpost}:clients')) ?? '';
    await run('clients', 'add', 'later');
    await queue.redis.set('{sealpost}:clients', backup);
    const refused = await run('clients', 'list');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /older|seen before/);
    assert.equal((await run('clients', 'accept')).code, 0);
    const listed = await run('clients', 'list');
    assert.ok(listed.code === 0 && !listed.stdout.includes('later'));
  });
});
