/** Several daemons, each as on a machine of its own (supervisor, folders, control socket), on one Redis. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { QueueRoom } from '../../src/queue/index.ts';
import { TcpProxy } from '../faults/support/proxy.ts';
import { kill, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Dovecot, skipWithoutDovecot, startDovecot } from '../support/dovecot.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

const skip = skipWithout('openssl', 'redis-server') || skipWithoutDovecot();

describe('several daemons on one Redis', { skip, timeout: 1_800_000 }, () => {
  const world = makeWorld();
  const inbox = join(world.folder, 'shared-inbox');
  const key = { file: world.file('spool.key', randomBytes(32).toString('base64')) };
  const running = new Set<TestDaemon>();
  let redis: TestRedis;
  let dovecot: Dovecot;
  let queue: QueueRoom;
  before(async () => {
    redis = await startTestRedis();
    dovecot = await startDovecot();
    queue = await openTestQueue(redis, { spool: { key } });
  });
  after(async () => {
    for (const daemon of running) await daemon.stop();
    await queue?.close();
    await dovecot?.stop();
    await redis?.stop();
    world.remove();
  });

  const orders = {
    name: 'orders',
    addresses: ['orders@own.example'],
    destinations: [{ type: 'directory', path: inbox }],
  };
  async function start(mailboxes: object[], only?: string): Promise<TestDaemon> {
    const config = {
      redis: { url: redis.url },
      spool: { key, directory: join(world.folder, 'shared-spool') },
      mailboxes,
    };
    const daemon = await startDaemon(world, { config, args: only === undefined ? [] : ['--only', only] });
    running.add(daemon);
    return daemon;
  }
  const stopAll = async () => {
    for (const daemon of running) await daemon.stop();
    running.clear();
  };
  const delivered = () => readdirSync(inbox).filter((name) => !name.startsWith('.'));

  it('share the work: two receive at their own addresses, others decrypt and hand off', async () => {
    const receivers = [await start([orders], 'receive'), await start([orders], 'receive')];
    const workers = [await start([orders], 'decrypt'), await start([orders], 'decrypt,handoff')];
    assert.deepEqual(
      [...receivers, ...workers].map((daemon) => daemon.roles().map(({ role }) => role)),
      [['receive'], ['receive'], ['decrypt'], ['decrypt', 'handoff']],
    );
    const sent = receivers.flatMap((daemon, index) =>
      Array.from({ length: 10 }, (_, count) => daemon.accept(world.mail(textEntity(`${index} ${count}`)))),
    );
    const ids = await Promise.all(sent);
    // One machine of two dies: the other does its jobs.
    const [first] = workers;
    for (const { pid } of [...(first?.roles() ?? []), { pid: first?.pid ?? 0 }]) kill(pid);
    const large = await receivers[0]?.accept(world.mail(textEntity('large '.repeat(100_000))));
    assert.ok(large);
    for (const id of [...ids, large]) await workers[1]?.reaches(id, 'delivered');
    assert.equal(delivered().length, 21);
    await stopAll();
  });

  it('poll a mailbox one at a time; when the poller dies another takes over, and nothing comes twice', async () => {
    const password = { file: world.file('imap.password', dovecot.password) };
    const proxies = [
      await TcpProxy.start({ port: dovecot.tlsPort }),
      await TcpProxy.start({ port: dovecot.tlsPort }),
    ];
    const polled = (port: number) => ({
      name: 'polled',
      imap: {
        host: '127.0.0.1',
        port,
        ca: dovecot.tls.cert,
        user: dovecot.user,
        password,
        action: 'move',
        pollInterval: '1s',
      },
      destinations: [{ type: 'directory', path: inbox }],
    });
    const daemons = await Promise.all(proxies.map(({ port }) => start([polled(port)])));
    const before = delivered().length;
    const append = async (from: number, to: number) => {
      const client = await dovecot.client();
      for (let count = from; count < to; count++)
        await client.append('INBOX', world.mail(textEntity(`${count} `.repeat(20_000))));
      await client.logout();
    };
    await append(0, 5);
    await daemons[0]?.waitFor('all are delivered', () => delivered().length === before + 5);
    assert.deepEqual(proxies.map(({ connections }) => connections).sort(), [0, 1], 'one of them polls');
    const [lease] = (await queue.redis.keys('{sealpost}:imap:lease:*')) ?? [];
    assert.ok(lease && (await queue.redis.pttl(lease)) <= 20_000, 'the lease ends by itself');

    const at = proxies.findIndex(({ connections }) => connections === 1);
    const [holder, other] = [daemons[at], daemons[1 - at]];
    assert.ok(holder && other);
    // Slow enough to be killed in the middle.
    const line = proxies[at];
    if (line) line.delay = 30;
    await append(5, 25);
    await other.waitFor('it is in the middle of them', () => delivered().length > before + 5);
    for (const { pid } of [...holder.roles(), { pid: holder.pid }]) kill(pid);
    const known = await queue.ledger.list({ mailbox: 'polled', limit: 100 });
    assert.ok(known.messages.length < 25, 'some are left for the other');
    await append(25, 30);
    await other.waitFor('all are delivered', async () => {
      const { messages } = await queue.ledger.list({ mailbox: 'polled', state: 'delivered', limit: 100 });
      return messages.length === 30;
    });
    assert.equal(proxies[1 - at]?.connections, 1);
    assert.equal(delivered().length, before + 30, 'each is there once');
    const client = await dovecot.client();
    await client.mailboxOpen('INBOX');
    assert.deepEqual(await client.search({ all: true }), []);
    await client.logout();
    await stopAll();
    for (const proxy of proxies) await proxy.stop();
  });
});
