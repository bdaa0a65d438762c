import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { createLog } from '../../src/log.ts';
import { openQueue } from '../../src/queue/index.ts';
import { connect, disconnect } from '../../src/redis/connection.ts';
import { checkDurability } from '../../src/redis/durability.ts';
import { testConfig } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const log = createLog('silent', 'test');

describe('durability check', () => {
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.stop());

  const wrong = [
    ['appendfsync', 'everysec', 'always'],
    ['maxmemory-policy', 'allkeys-lru', 'noeviction'],
    ['appendonly', 'no', 'yes'],
  ] as const;
  for (const [setting, bad, good] of wrong) {
    it(`refuses ${setting} ${bad}, and only warns when relaxed`, async () => {
      const redis = connect({ url: server.url, commandTimeout: 2000 }, 'worker', log);
      await redis.config('SET', setting, bad);
      try {
        await assert.rejects(openQueue(testConfig(server), { role: 'test', log }), {
          code: 'redis-not-durable',
          message: new RegExp(`${setting} is ${bad}`),
          hint: new RegExp(`${setting} ${good}`),
        });
        let lines = '';
        const stream = new Writable({
          write(chunk, _encoding, done) {
            lines += chunk;
            done();
          },
        });
        const config = testConfig(server, { redis: { durability: 'relaxed' } });
        const queue = await openQueue(config, { role: 'test', log: createLog('warn', 'test', stream) });
        await queue.close();
        assert.match(lines, new RegExp(`${setting} is ${bad}`));
      } finally {
        await redis.config('SET', setting, good);
        await disconnect(redis);
      }
    });
  }

  it('says what it cannot verify where CONFIG is forbidden, and refuses', async () => {
    const admin = connect({ url: server.url, commandTimeout: 2000 }, 'worker', log);
    await admin.call('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all', '-config');
    const url = server.url.replace('unix://', 'unix://limited:secret@host');
    const redis = connect({ url, commandTimeout: 2000 }, 'worker', log);
    const findings = await checkDurability(redis);
    assert.deepEqual(
      findings.map(({ setting, verdict }) => [setting, verdict]),
      [
        ['appendonly', 'durable'],
        ['appendfsync', 'unknown'],
        ['maxmemory-policy', 'durable'],
      ],
    );
    await assert.rejects(openQueue(testConfig({ ...server, url }), { role: 'test', log }), {
      code: 'redis-not-durable',
      hint: /relaxed/,
    });
    await disconnect(redis);
    await disconnect(admin);
  });

  it('says that a wrong password is one, without it', async () => {
    const url = server.url.replace('unix://', 'unix://limited:wrong-secret@host');
    const config = testConfig({ ...server, url }, { redis: { commandTimeout: '3s' } });
    await assert.rejects(openQueue(config, { role: 'test', log }), (error: Error) => {
      assert.match(error.message, /login/);
      assert.doesNotMatch(error.message + String(error.cause), /wrong-secret/);
      return true;
    });
  });
});
