/** A backup of keys that change while it is made shows one moment, and comes back as it was. */
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { makeBackup } from '../../src/backup/backup.ts';
import { KeyLoader } from '../../src/backup/key-loader.ts';
import { makeBackupKey, readBackupKey } from '../../src/backup/keypair.ts';
import { kindOf } from '../../src/backup/kinds.ts';
import { readBackup } from '../../src/backup/reading.ts';
import { createLog } from '../../src/log.ts';
import { keysOf } from '../../src/queue/keys.ts';
import { connect as connectTo } from '../../src/redis/index.ts';
import { openLargeStore } from '../../src/spool/index.ts';
import { testConfig, useTestQueue } from '../support/queue.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-backup-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const pair = makeBackupKey();
writeFileSync(join(folder, 'key'), pair.privateKey, { mode: 0o600 });
const recipient = pair.key;
const privateKey = readBackupKey(join(folder, 'key'), 'private');
let files = 0;

describe('a backup of Redis', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  const log = createLog('silent', 'test');
  const connect = (name: string, isFollower = false) =>
    connectTo({ url: test.server.url, commandTimeout: 30_000 }, 'producer', log, name, isFollower ? 2 : 3);

  async function backup(during?: () => void) {
    const config = testConfig(test.server);
    const spoolKey = createSecretKey(randomBytes(32));
    const store = await openLargeStore(config, spoolKey, log);
    files += 1;
    const file = join(folder, `${files}.backup`);
    const handle = await open(file, 'w');
    const configFile = join(folder, 'none.yaml');
    const parts = { configFile, config, version: 'test', connect, store, spoolKey, log };
    const sink = {
      write: async (octets: Buffer) => {
        during?.();
        await handle.writeFile(octets);
      },
    };
    const options = { recipient, withSpoolKey: false, withKeys: false };
    const result = await makeBackup(parts, options, sink).finally(() => handle.close());
    return { file, result };
  }

  /** Into other keys of the same server. */
  async function load(file: string, prefix: string) {
    const loader = new KeyLoader(test.queue.redis, prefix);
    const facts = await readBackup(file, privateKey, {
      key: (name, type, expiresAt) => loader.key(name, type, expiresAt),
      elements: (elements) => loader.elements(elements),
      gone: (name) => loader.gone(name),
    });
    await loader.end();
    return facts;
  }

  it('brings back keys of every type and size, with the time when they end', async () => {
    const { redis, prefix: p } = test.queue;
    const octets = randomBytes(700_000);
    await redis.set(`${p}:o:${'a'.repeat(32)}`, octets);
    await redis.set(`${p}:o:${'b'.repeat(32)}`, '');
    await redis.set(`${p}:d:x`, 'soon', 'PX', 500_000);
    await redis.hset(`${p}:m:small`, { s: 'queued', odd: Buffer.from([0, 255, 10]) });
    for (let at = 0; at < 5000; at += 1000) {
      const some = Array.from({ length: 1000 }, (_, index) => at + index);
      await redis.zadd(`${p}:ix:all`, ...some.flatMap((each) => [String(each), `m${each}`]));
      await redis.hset(`${p}:m:large`, ...some.flatMap((each) => [`f${each}`, 'x'.repeat(100)]));
      await redis.sadd(`${p}:lines`, ...some.map((each) => `line${each}`));
      await Promise.all(some.map((each) => redis.xadd(`${p}:audit`, `${each + 1}-0`, 'j', `{"n":${each}}`)));
    }
    for (const name of [
      'sessions:1',
      'oauth:google',
      'lease:sweep',
      'alive',
      'inbound:wait',
      'from:erp:submit:1',
    ])
      await redis.set(`${p}:${name}`, 'not for a backup');
    const { file, result } = await backup();
    // Of a kind that no line knows: what it is for may not be revived.
    assert.deepEqual([result.unknown, result.unknownKinds], [1, ['sessions']]);
    const { trailer } = await load(file, '{other}');
    const expected = [
      'audit',
      'd:x',
      'ix:all',
      'keycheck',
      'lines',
      'm:large',
      'm:small',
      ...['a', 'b'].map((each) => `o:${each.repeat(32)}`),
    ];
    const keys = (await redis.keys('{other}:*')).map((key) => key.slice('{other}:'.length)).sort();
    assert.deepEqual(
      keys.filter((key) => !/:(meta|id)$/.test(key)),
      expected,
    );
    assert.equal(trailer.keys, expected.length);
    const reads: Record<string, (key: string) => Promise<unknown>> = {
      'ix:all': (key) => redis.zrange(key, '0', '-1', 'WITHSCORES'),
      'm:large': (key) => redis.hgetall(key),
      lines: async (key) => (await redis.smembers(key)).sort(),
      audit: (key) => redis.xrange(key, '-', '+'),
    };
    for (const [name, read] of Object.entries(reads))
      assert.deepEqual(await read(`{other}:${name}`), await read(`${p}:${name}`), name);
    assert.ok((await redis.getBuffer(`{other}:o:${'a'.repeat(32)}`))?.equals(octets));
    assert.ok((await redis.hgetBuffer('{other}:m:small', 'odd'))?.equals(Buffer.from([0, 255, 10])));
    const [left, before] = [await redis.pttl('{other}:d:x'), await redis.pttl(`${p}:d:x`)];
    assert.ok(left > 0 && Math.abs(left - before) < 5000, `${left} of ${before}`);
  });

  it('shows one moment, although records change all the time', async () => {
    const { redis, prefix: p } = test.queue;
    // Octets go from one record to the other; their sum never changes, except between the steps of a backup that is
    // none.
    const records = Array.from({ length: 3000 }, (_, at) => `${p}:m:r${at}`);
    const pipeline = redis.pipeline();
    for (const key of records) pipeline.hset(key, 'n', 100);
    await pipeline.exec();
    const move = `redis.call('HINCRBY', KEYS[1], 'n', -ARGV[1]) redis.call('HINCRBY', KEYS[2], 'n', ARGV[1])
      redis.call('ZADD', KEYS[3], ARGV[2], 'moved' .. ARGV[2])`;
    let [busy, moves] = [true, 0];
    const another = test.queue.connect('mover');
    await once(another, 'ready');
    const mover = (async () => {
      while (busy) {
        const some = Array.from({ length: 20 }, () => {
          const [from, to] = [records[moves % 3000] ?? '', records[(moves * 7 + 1) % 3000] ?? ''];
          moves += 1;
          return another.eval(move, 3, from, to, `${p}:ix:moves`, 3, moves);
        });
        await Promise.all(some);
      }
    })();
    const before = moves;
    const { file, result } = await backup().finally(() => {
      busy = false;
    });
    const during = moves - before;
    await mover;
    await another.quit();
    assert.ok(during > 20, `only ${during} moves meanwhile`);
    await load(file, '{moment}');
    let sum = 0;
    const found = await Promise.all(records.map((key) => redis.hget(key.replace(p, '{moment}'), 'n')));
    for (const each of found) sum += Number(each);
    assert.equal(sum, 300_000);
    // And the index is of the same moment as the records.
    const count = await redis.zcard('{moment}:ix:moves');
    const moved = Array.from({ length: 3000 }, () => 100);
    for (let each = 0; each < count; each += 1) {
      const [from, to] = [each % 3000, (each * 7 + 1) % 3000];
      moved[from] = (moved[from] ?? 0) - 3;
      moved[to] = (moved[to] ?? 0) + 3;
    }
    assert.deepEqual(found.map(Number), moved, `after ${count} moves`);
    assert.ok(count >= before && result.at > 0);
  });

  it('holds nobody up for longer than it lives', async () => {
    const { redis, prefix: p } = test.queue;
    const failed = new Error('the disk is full');
    let writes = 0;
    const config = testConfig(test.server);
    const spoolKey = createSecretKey(randomBytes(32));
    const store = await openLargeStore(config, spoolKey, log);
    const parts = { configFile: 'none', config, version: 'test', connect, store, spoolKey, log };
    const sink = {
      write: async () => {
        writes += 1;
        if (writes > 2) throw failed;
      },
    };
    await assert.rejects(
      makeBackup(parts, { recipient, withSpoolKey: false, withKeys: false }, sink),
      failed,
    );
    assert.equal(await redis.set(`${p}:places`, '1'), 'OK');
  });

  it('writes nothing readable of what is in it', async () => {
    await test.queue.redis.hset(`${test.queue.prefix}:m:secret`, 'r', 'the subject of a message');
    const { file } = await backup();
    const octets = readFileSync(file);
    for (const word of ['subject', 'keycheck', test.queue.prefix, 'places'])
      assert.equal(octets.includes(word), false, word);
  });
});

describe('kinds of keys', () => {
  it('are known, each that the queue makes: a new one is saved or left out, and not forgotten', () => {
    const unknown: string[] = [];
    for (const [name, make] of Object.entries(keysOf('p'))) {
      const made: unknown =
        typeof make === 'function' ? Reflect.apply(make, undefined, ['inbound', 'xxxx']) : make;
      const key = String(made).slice('p:'.length);
      if (name !== 'prefix' && kindOf(key) === undefined) unknown.push(`${name}: ${key}`);
    }
    assert.deepEqual(unknown, []);
  });
});
