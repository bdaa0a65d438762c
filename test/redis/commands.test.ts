import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Command, type Redis } from 'ioredis';
import { createLog } from '../../src/log.ts';
import { commandOf, sendTogether } from '../../src/redis/commands.ts';
import { connect, disconnect, ready } from '../../src/redis/index.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { leftOver } from '../support/young.ts';

// Before the first connection replaces it.
const original: unknown = Reflect.get(Command.prototype, 'initPromise');

describe('commands of ioredis', () => {
  let server: TestRedis;
  let redis: Redis;
  before(async () => {
    server = await startTestRedis({ appendfsync: 'no' });
    const target = { url: server.url, commandTimeout: 5000 };
    redis = connect(target, 'producer', createLog('silent', 'test'));
    await ready(redis, target);
  });
  after(async () => {
    await disconnect(redis);
    await server.stop();
  });

  it('replaces the method that it was read from', () => {
    const digest = createHash('sha256').update(String(original)).digest('hex');
    assert.equal(
      digest,
      '940e42e8f740cf48785923c68c0659490286390412c53b55d77fea7f207643e4',
      'ioredis has changed: read Command.initPromise again (src/redis/commands.ts)',
    );
    assert.notEqual(Reflect.get(Command.prototype, 'initPromise'), original);
  });

  it('leaves nothing of a command in the old generation', async () => {
    const value = 'x'.repeat(2000);
    const each = await leftOver(() => redis.sendCommand(commandOf('set', ['young', value])));
    assert.ok(each < 1300, `${Math.round(each)} octets a command`);
  });

  it('leaves nothing of commands that went together', async () => {
    const together = () =>
      sendTogether(redis, [commandOf('multi'), commandOf('get', ['young']), commandOf('exec')]);
    const each = await leftOver(together);
    assert.ok(each < 4000, `${Math.round(each)} octets`);
  });

  it('gives each reply, and each error, in order', async () => {
    await redis.set('a', 'text');
    const replies = await sendTogether(redis, [
      commandOf('get', ['a']),
      commandOf('lpush', ['a', '1']),
      commandOf('get', ['a'], true),
    ]);
    assert.deepEqual(replies[0], [null, 'text']);
    assert.match(String(replies[1]?.[0]), /WRONGTYPE/);
    assert.deepEqual(replies[2], [null, Buffer.from('text')]);
  });

  it('changes objects into lists of fields, as ioredis does', async () => {
    await redis.hset('h', { one: '1', two: '2' });
    assert.deepEqual(await redis.hgetall('h'), { one: '1', two: '2' });
  });

  it('never sends the rest of a transaction again without its beginning', async () => {
    let cutNow = false;
    const proxy = createServer((client) => {
      const upstream = createConnection(server.url.replace(/^unix:\/\//, ''));
      for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
      client.pipe(upstream);
      upstream.on('close', () => client.destroy());
      client.on('close', () => upstream.destroy());
      upstream.on('data', (octets) => {
        if (!cutNow) return void client.write(octets);
        // the reply of MULTI arrives, and no other
        cutNow = false;
        client.write(octets.subarray(0, 5), () => client.destroy());
      });
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const url = `redis://127.0.0.1:${Object(proxy.address()).port}`;
    const target = { url, commandTimeout: 5000 };
    const patient = connect(target, 'worker', createLog('silent', 'test'));
    try {
      await ready(patient, target);
      cutNow = true;
      const replies = await sendTogether(patient, [
        commandOf('multi'),
        commandOf('incr', ['once']),
        commandOf('exec'),
      ]);
      assert.deepEqual(replies[0], [null, 'OK']);
      assert.ok(replies[1]?.[0] && replies[2]?.[0]);
      assert.equal(await patient.get('once'), '1');
    } finally {
      await disconnect(patient);
      proxy.close();
    }
  });

  it('rejects what comes while the server is away, and works again later', async () => {
    const lost = new Promise((resolve) => redis.once('close', resolve));
    await server.kill();
    await lost;
    const replies = await sendTogether(redis, [commandOf('multi'), commandOf('exec')]);
    assert.ok(replies.every(([error]) => error !== null));
    const back = new Promise((resolve) => redis.once('ready', resolve));
    await server.start();
    await back;
    assert.deepEqual(await sendTogether(redis, [commandOf('ping')]), [[null, 'PONG']]);
  });
});
