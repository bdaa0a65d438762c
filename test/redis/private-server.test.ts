import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { createLog } from '../../src/log.ts';
import { connect, disconnect } from '../../src/redis/connection.ts';
import { checkDurability } from '../../src/redis/durability.ts';
import { privateServerUrl, startPrivateServer } from '../../src/redis/private-server.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';

const log = createLog('silent', 'test');

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('private server', () => {
  const folders: string[] = [];
  const tempFolder = async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealpost-server-'));
    folders.push(folder);
    return folder;
  };
  after(async () => {
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  });

  it('is durable, for us alone, and on no port', async () => {
    const server = await startTestRedis();
    try {
      const redis = connect({ url: server.url, commandTimeout: 2000 }, 'worker', log);
      const findings = await checkDurability(redis);
      assert.deepEqual(
        findings.map(({ setting, verdict }) => [setting, verdict]),
        [
          ['appendonly', 'durable'],
          ['appendfsync', 'durable'],
          ['maxmemory-policy', 'durable'],
        ],
      );
      assert.match(await redis.info('server'), /^tcp_port:0\r?$/m);
      await disconnect(redis);
      const socket = new URL(server.url).pathname;
      assert.equal((await stat(socket)).mode & 0o777, 0o700);
      assert.equal((await stat(dirname(socket))).mode & 0o777, 0o700);
    } finally {
      await server.stop();
    }
  });

  it('leaves no timer of its connections that keeps the process', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length;
    const before = timers();
    const server = await startPrivateServer(await tempFolder());
    const redis = connect({ url: server.url, commandTimeout: 2000 }, 'worker', log);
    await redis.ping();
    await server.stop();
    await disconnect(redis);
    assert.equal(timers(), before);
  });

  it('is shared by the same folder, and stopped by the last who leaves', async () => {
    const folder = await tempFolder();
    const [first, second] = await Promise.all([startPrivateServer(folder), startPrivateServer(folder)]);
    assert.equal(first.pid, second.pid);
    assert.deepEqual([first.adopted, second.adopted].sort(), [false, true]);
    await first.stop();
    assert.ok(alive(second.pid));
    await second.stop();
    await second.stop();
    assert.ok(!alive(second.pid));
  });

  it('works in a folder whose path is too long for a socket', async () => {
    const folder = join(await tempFolder(), 'a'.repeat(120));
    await mkdir(folder);
    const server = await startPrivateServer(folder);
    assert.equal(server.url, await privateServerUrl(folder));
    assert.ok(new URL(server.url).pathname.length < 100);
    await server.stop();
    await rm(dirname(new URL(server.url).pathname), { recursive: true, force: true });
  });

  it('is there when it has loaded its file, not before', async () => {
    const folder = await tempFolder();
    const first = await startPrivateServer(folder);
    const redis = connect({ url: first.url, commandTimeout: 2000 }, 'worker', log);
    for (let key = 0; key < 20; key++) await redis.set(`k${key}`, 'x');
    await disconnect(redis);
    await first.stop();
    // microseconds for each key
    const second = await startPrivateServer(folder, { settings: { 'key-load-delay': '20000' } });
    const again = connect({ url: second.url, commandTimeout: 2000 }, 'worker', log);
    try {
      // without a connection that waits for the end of loading by itself
      assert.match(await again.info('persistence'), /^loading:0\r?$/m);
      assert.equal(await again.dbsize(), 20);
      const words = await readFile(join(folder, 'redis', 'redis.log'), 'utf8');
      assert.equal(words.match(/ready to accept connections/gi)?.length, 2);
    } finally {
      await disconnect(again);
      await second.stop();
    }
  });

  it('says why it did not come up', async () => {
    const folder = await tempFolder();
    await assert.rejects(startPrivateServer(folder, { settings: { maxmemory: 'nonsense' } }), {
      code: 'redis-unreachable',
      message: /maxmemory/,
    });
  });

  it('is started again after a crash that left its files behind', async () => {
    const folder = await tempFolder();
    await mkdir(join(folder, 'redis'));
    // A process id that is in use, but by another program.
    await writeFile(join(folder, 'redis', 'redis.pid'), String(process.pid));
    await writeFile(join(folder, 'redis', 'start.lock'), '999999999');
    const server = await startPrivateServer(folder);
    assert.equal(server.adopted, false);
    await server.stop();
  });

  it('is started again after a loss of power that left the lock without its number', async () => {
    const folder = await tempFolder();
    await mkdir(join(folder, 'redis'));
    const lock = join(folder, 'redis', 'start.lock');
    await writeFile(lock, '');
    const before = new Date(Date.now() - 60_000);
    await utimes(lock, before, before);
    const server = await startPrivateServer(folder, { startTimeout: 20_000 });
    await server.stop();
  });

  it('keeps what was accepted through kill -9', async () => {
    const server = await startTestRedis();
    try {
      const ids: string[] = [];
      for (let round = 0; round < 3; round++) {
        const queue = await openTestQueue(server);
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, at) => accept(queue, `message ${round} ${at}`)),
        );
        ids.push(...results.map(({ id }) => id));
        await server.kill();
        await queue.close();
        await server.start();
      }
      const queue = await openTestQueue(server);
      assert.equal(new Set(ids).size, 60);
      for (const id of ids) assert.equal((await queue.ledger.get(id))?.state, 'received');
      assert.equal((await queue.queues.depth()).inbound.waiting, 60);
      await queue.close();
    } finally {
      await server.stop();
    }
  });
});
