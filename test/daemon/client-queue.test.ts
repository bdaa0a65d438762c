/** A program with `sealpost/client`, the Redis user that the command prints, and the running daemon. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { QueueClient } from '../../src/producer/index.ts';
import { kill, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { runOk } from '../support/peers/run.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { healthyServer, type TestServer } from '../support/sick-servers.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

const root = resolve(import.meta.dirname, '../..');

describe('the queue of a client, with the daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let partner: TestServer;
  let daemon: TestDaemon;
  let client: QueueClient;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    partner = await healthyServer();
    const route = { host: '127.0.0.1', port: partner.port, tls: 'none' };
    const acme = { name: 'acme', addresses: ['edi@acme.example'], from: 'erp@own.example' };
    daemon = await startDaemon(world, {
      config: {
        redis: { url: server.url },
        mailboxes: [],
        smtp: {},
        partners: [{ ...acme, encrypt: false, sign: 'none', route }],
        clientQueues: { enabled: true },
      },
    });
    const grants = ['--scope', 'send', '--partner', 'acme'];
    const added = await daemon.command(['clients', 'add', 'erp', ...grants, '--queue', '--json']);
    const printed = JSON.parse(added.stdout.toString());
    await daemon.queue.redis.call('ACL', ...printed.acl.split(' ').slice(1));
    client = new QueueClient({ redis: { path: server.url.replace(/^unix:\/\//, '') }, ...printed });
  });
  after(async () => {
    await client?.close();
    await daemon?.stop();
    await partner?.close();
    await server?.stop();
    world?.remove();
  });

  it('sends, and loses nothing when the process is killed', async () => {
    const [first] = await client.submit({ partner: 'acme', content: 'one', filename: 'one.txt' }, 60_000);
    await daemon.reaches(first?.id ?? '', 'sent');
    const jobs: string[] = [];
    for (let index = 0; index < 40; index += 1) {
      jobs.push(
        await client.enqueue({ partner: 'acme', content: `${index}`, filename: `many-${index}.txt` }),
      );
      if (index === 20) kill(daemon.pidOf('submit'));
    }
    const results = await Promise.all(jobs.map((job) => client.result(job, 120_000)));
    const ids = results.flatMap((messages) => messages.map(({ id }) => id));
    assert.equal(new Set(ids).size, 40);
    for (const id of ids) await daemon.reaches(id, 'sent');
    const arrived = partner.taken.filter((text) => text.includes('many-'));
    assert.equal(arrived.length, 40);
  });

  it('runs the example of docs/sending.md as it stands there', async () => {
    const page = readFileSync(join(root, 'docs/sending.md'), 'utf8');
    const [, example = ''] = /^```js\n(.*?QueueClient.*?)^```$/ms.exec(page) ?? [];
    const socket = JSON.stringify({ path: server.url.replace(/^unix:\/\//, '') });
    assert.ok(example.includes("{ host: 'redis.example' }"));
    world.file('example.mjs', example.replace("{ host: 'redis.example' }", socket));
    world.file('order.xml', '<order number="4711"/>');
    const added = await daemon.command(
      'clients add shop --scope send --partner acme --queue --json'.split(' '),
    );
    world.file('sealpost-queue.json', added.stdout.toString());
    await daemon.queue.redis.call('ACL', ...JSON.parse(added.stdout.toString()).acl.split(' ').slice(1));
    // The package as Node finds it, with the code of this folder.
    const found = join(world.folder, 'node_modules/sealpost');
    mkdirSync(found, { recursive: true });
    writeFileSync(join(found, 'package.json'), '{ "exports": { "./client": "./client.mjs" } }');
    writeFileSync(
      join(found, 'client.mjs'),
      `export * from ${JSON.stringify(pathToFileURL(join(root, 'src/producer/index.ts')))};`,
    );
    const [first, second] = [
      await runOk(process.execPath, ['example.mjs'], { cwd: world.folder }),
      await runOk(process.execPath, ['example.mjs'], { cwd: world.folder }),
    ];
    const id = first.toString().trim();
    // Its key is the same: so is the message.
    assert.equal(second.toString().trim(), id);
    await daemon.reaches(id, 'sent');
    assert.equal(partner.taken.filter((text) => text.includes('filename="order.xml"')).length, 1);
  });

  it('gets a new password, and the old one is of no use', async () => {
    const ran = await daemon.command(['clients', 'queue', 'erp']);
    const text = ran.stdout.toString();
    const acl = /^ {2}(ACL SETUSER .*)$/m.exec(text)?.[1] ?? '';
    assert.match(text, /^ {2}password {2}sealpost_\w{10}_\w{49}$/m);
    await daemon.queue.redis.call('ACL', ...acl.split(' ').slice(1));
    const path = server.url.replace(/^unix:\/\//, '');
    const value = (name: string) => new RegExp(`^ {2}${name} +(\\S+)$`, 'm').exec(text)?.[1] ?? '';
    const options = { client: value('client'), prefix: value('prefix'), key: value('key'), redis: { path } };
    const old = new QueueClient({ ...options, user: value('user'), password: 'sealpost_old' });
    await assert.rejects(old.submit({ partner: 'acme', content: '1', filename: 'a' }, 500));
    await old.close();
    const fresh = new QueueClient({ ...options, user: value('user'), password: value('password') });
    assert.equal((await fresh.submit({ partner: 'acme', content: '1', filename: 'a' }, 60_000)).length, 1);
    await fresh.close();
  });
});
