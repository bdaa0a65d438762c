import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { createLog } from '../../src/log.ts';
import { openQueue } from '../../src/queue/index.ts';
import { connect, disconnect, guarded, redisError } from '../../src/redis/connection.ts';
import { describeTarget, redisOptions } from '../../src/redis/target.ts';
import { testConfig } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';

describe('redis.url', () => {
  const of = (url: string) => redisOptions({ url, commandTimeout: 1000 });

  it('names a host, a TLS host or a socket', () => {
    assert.deepEqual(of('redis://cache.example'), { host: 'cache.example', port: 6379 });
    assert.deepEqual(of('redis://user:p%40ss@[::1]:7000/2'), {
      host: '::1',
      port: 7000,
      db: 2,
      username: 'user',
      password: 'p@ss',
    });
    assert.deepEqual(of('rediss://cache.example:6380'), {
      host: 'cache.example',
      port: 6380,
      tls: { servername: 'cache.example' },
    });
    assert.deepEqual(of('unix:///run/a%20b/redis.sock?db=3'), { path: '/run/a b/redis.sock', db: 3 });
  });

  it('is refused when it is something else', () => {
    for (const url of ['localhost:6379', 'http://localhost', 'redis://localhost/one', ''])
      assert.throws(() => of(url), { code: 'config-invalid' }, url);
  });

  it('is shown without its password', () => {
    const target = { url: 'redis://user:secret@cache.example:7000/1', commandTimeout: 1000 };
    assert.equal(describeTarget(target), 'redis://cache.example:7000/1');
  });
});

describe('errors of redis', () => {
  it('say what is wrong without the arguments of the command', async () => {
    const server = await startTestRedis();
    const redis = connect({ url: server.url, commandTimeout: 1000 }, 'worker', createLog('silent', 'test'));
    const secret = 'secret-argument';
    const wrong = guarded('test', redis.call('NOSUCH', secret));
    await assert.rejects(wrong, (error: Error) => {
      assert.doesNotMatch(`${error.message} ${error.stack} ${JSON.stringify(error)}`, new RegExp(secret));
      return true;
    });
    await disconnect(redis);
    await disconnect(redis);
    await server.stop();
  });

  it('say why EXEC itself was refused, when memory runs short after its commands were queued', async (t) => {
    const server = await startTestRedis();
    const redis = connect({ url: server.url, commandTimeout: 1000 }, 'worker', createLog('silent', 'test'));
    const other = connect({ url: server.url, commandTimeout: 1000 }, 'worker', createLog('silent', 'test'));
    t.after(async () => {
      await disconnect(redis);
      await disconnect(other);
      await server.stop();
    });
    await redis.call('MULTI');
    assert.equal(await redis.call('SET', 'key', 'value'), 'QUEUED');
    await other.config('SET', 'maxmemory', '1');
    await assert.rejects(redis.call('EXEC'), (error: Error) => {
      assert.match(error.message, /^EXECABORT /);
      assert.equal(redisError(error, 'test').code, 'redis-full');
      return true;
    });
  });

  for (const [reply, code] of [
    ["OOM command not allowed when used memory > 'maxmemory'.", 'redis-full'],
    ['MISCONF Errors writing to the AOF file: No space left on device', 'redis-full'],
    ['NOREPLICAS Not enough good replicas to write.', 'redis-unreachable'],
    ['LOADING Redis is loading the dataset in memory', 'redis-unreachable'],
    ['Command timed out', 'redis-unreachable'],
    ["Stream isn't writeable and enableOfflineQueue options is false", 'redis-unreachable'],
  ] as const)
    it(`"${reply}" is ${code}`, () => {
      assert.equal(redisError(new Error(reply), 'test').code, code);
    });
});

describe('a server that is not there', () => {
  it('is an error in time, whether it refuses or says nothing', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    assert.ok(typeof address === 'object' && address !== null);
    const dataDir = await mkdtemp(join(tmpdir(), 'sealpost-absent-'));
    for (const url of [`redis://127.0.0.1:${address.port}`, `unix://${dataDir}/no.sock`]) {
      let lines = '';
      const stream = new Writable({
        write(chunk, _encoding, done) {
          lines += chunk;
          done();
        },
      });
      const config = testConfig({ url, dataDir }, { redis: { commandTimeout: '400ms' } });
      const log = createLog('info', 'test', stream);
      await assert.rejects(openQueue(config, { role: 'test', log }), { code: 'redis-unreachable' });
      assert.ok(lines.split('\n').length <= 2, 'one line at the most, however often it tried');
    }
    silent.close();
    await rm(dataDir, { recursive: true });
  });
});
