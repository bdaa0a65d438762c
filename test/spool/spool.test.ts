import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { QueueRoom } from '../../src/queue/index.ts';
import type { SpoolRef } from '../../src/spool/index.ts';
import { loadSpoolKey } from '../../src/spool/key.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue, testConfig, useTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

describe('spool', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  useTestQueue(
    (opened) => {
      ({ server, queue } = opened);
    },
    { spool: { inlineLimit: '1KiB' } },
  );

  const store = async (octets: Buffer, step = octets.length): Promise<SpoolRef> => {
    const writer = queue.spool.create();
    for (let at = 0; at < octets.length; at += step) await writer.write(octets.subarray(at, at + step));
    return await writer.commit();
  };
  const file = (ref: SpoolRef) => join(server.dataDir, 'spool', ref.id.slice(0, 2), ref.id);

  for (const [size, step, kind] of [
    [0, 1, 'inline'],
    [1024, 100, 'inline'],
    [1025, 100, 'file'],
    [65_536, 1000, 'file'],
    [300_000, 70_001, 'file'],
    [262_144 * 2, 262_144, 'file'],
  ] as const) {
    it(`keeps ${size} octets, written ${step} at a time, as ${kind}`, async () => {
      const octets = randomBytes(size);
      const ref = await store(octets, step);
      assert.equal(ref.kind, kind);
      assert.equal(ref.octets, size);
      assert.deepEqual(await queue.spool.read(ref), octets);
      await queue.spool.remove(ref);
      await assert.rejects(queue.spool.read(ref), { code: 'spool-missing' });
    });
  }

  it('keeps the order of writes that nobody waits for', async () => {
    const octets = randomBytes(400_000);
    const writer = queue.spool.create();
    const writes = Array.from({ length: 40 }, (_, at) =>
      writer.write(octets.subarray(at * 10_000, (at + 1) * 10_000)),
    );
    const ref = await writer.commit();
    await Promise.all(writes);
    assert.deepEqual(await queue.spool.read(ref), octets);
  });

  it('detects files that were changed, cut or exchanged', async () => {
    const [a, b] = [await store(randomBytes(200_000)), await store(randomBytes(200_000))];
    const whole = await readFile(file(a));
    for (const at of [0, 5, 17, 100_000, whole.length - 1]) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x80;
      await writeFile(file(a), changed);
      await assert.rejects(queue.spool.read(a), { code: 'spool-corrupt' }, `octet ${at}`);
    }
    for (const length of [0, 17, 17 + 65_552, 17 + 2 * 65_552, whole.length - 1]) {
      await writeFile(file(a), whole);
      await truncate(file(a), length);
      await assert.rejects(queue.spool.read(a), { code: 'spool-corrupt' }, `cut to ${length}`);
    }
    await copyFile(file(b), file(a));
    await assert.rejects(queue.spool.read(a), { code: 'spool-corrupt' });
  });

  it('detects values in redis that were exchanged', async () => {
    const [a, b] = [await store(Buffer.from('a')), await store(Buffer.from('b'))];
    await queue.redis.rename(`{sealpost}:o:${a.id}`, `{sealpost}:o:${b.id}`);
    await assert.rejects(queue.spool.read(b), { code: 'spool-corrupt' });
  });

  it('leaves nothing after an abort', async () => {
    const folder = join(server.dataDir, 'spool', 'tmp');
    const writer = queue.spool.create();
    await writer.write(randomBytes(100_000));
    assert.equal((await readdir(folder)).length, 1);
    await writer.abort();
    await writer.abort();
    assert.equal((await readdir(folder)).length, 0);
  });

  it('says spool-write when the folder cannot be written', async () => {
    const blocked = join(server.dataDir, 'blocked');
    await writeFile(blocked, 'a file where a folder should be');
    const room = await openTestQueue(server, { spool: { inlineLimit: '1KiB', directory: blocked } });
    await assert.rejects(accept(room, randomBytes(5000)), { code: 'spool-write' });
    await room.close();
  });

  it('has a marker of a message nowhere on disk, and on disk what it should find', async () => {
    const marker = `marker-${randomBytes(8).toString('hex')}`;
    const small = await accept(queue, `Subject: ${marker}\r\n\r\n${marker}`);
    await accept(queue, `${marker}\r\n`.repeat(20_000));
    await queue.redis.bgrewriteaof();
    while (/aof_rewrite_in_progress:1/.test(await queue.redis.info('persistence')))
      await new Promise((resolve) => setTimeout(resolve, 20));
    const entries = await readdir(server.dataDir, { recursive: true, withFileTypes: true });
    let text = '';
    for (const entry of entries)
      if (entry.isFile()) text += await readFile(join(entry.parentPath, entry.name), 'latin1');
    assert.ok(!text.includes(marker));
    assert.ok(text.includes(small.id), 'the search would find it');
  });
});

describe('spool key', () => {
  it('is made once, for its owner alone, however many start at the same time', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'sealpost-key-'));
    const module = new URL('../../src/spool/key.ts', import.meta.url).href;
    const script = `const { loadSpoolKey } = await import(${JSON.stringify(module)});
      console.log((await loadSpoolKey({}, ${JSON.stringify(dataDir)})).export().toString('hex'));`;
    const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    const keys = (await Promise.all([run(), run(), run(), run()])).map(({ stdout }) => stdout.trim());
    assert.equal(new Set(keys).size, 1);
    assert.equal(keys[0]?.length, 64);
    assert.equal((await stat(join(dataDir, 'spool.key'))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(dataDir), ['spool.key']);

    const config = testConfig({ url: 'redis://localhost', dataDir });
    await chmod(join(dataDir, 'spool.key'), 0o644);
    await assert.rejects(loadSpoolKey(config.spool, dataDir), { code: 'file-mode' });
    await rm(dataDir, { recursive: true });
  });

  it('must be 32 octets', async () => {
    process.env.SEALPOST_TEST_KEY = randomBytes(16).toString('base64');
    const config = testConfig(
      { url: 'redis://localhost', dataDir: '/nonexistent' },
      { spool: { key: { env: 'SEALPOST_TEST_KEY' } } },
    );
    await assert.rejects(loadSpoolKey(config.spool, config.dataDir), { code: 'config-invalid' });
  });

  it('is noticed at the start when it is another one', async () => {
    const server = await startTestRedis();
    await (await openTestQueue(server)).close();
    process.env.SEALPOST_TEST_KEY = randomBytes(32).toString('base64');
    await assert.rejects(openTestQueue(server, { spool: { key: { env: 'SEALPOST_TEST_KEY' } } }), {
      code: 'spool-corrupt',
    });
    await server.stop();
  });
});
