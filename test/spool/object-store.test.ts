/** The object store as a spool, against Ceph's RADOS Gateway. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { createLog } from '../../src/log.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { loadSpoolKey, openLargeStore, type SpoolRef } from '../../src/spool/index.ts';
import { command } from '../support/command.ts';
import { accept, until } from '../support/messages.ts';
import { objectStorePrograms, startObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { openTestQueue, testConfig } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { startS3Proxy } from '../support/s3-proxy.ts';
import { skipWithout } from '../support/world.ts';

describe('spool in an object store', { skip: skipWithout(...objectStorePrograms) }, () => {
  let server: TestRedis;
  let store: TestObjectStore;
  let queue: QueueRoom;
  const open = (s3: Record<string, unknown> = {}, more: Record<string, unknown> = {}) =>
    openTestQueue(server, {
      spool: {
        store: 's3',
        inlineLimit: '1KiB',
        s3: { ...store.settings, ...s3 },
        sweepAfter: '0s',
        ...more,
      },
    });
  before(async () => {
    [server, store] = await Promise.all([startTestRedis(), startObjectStore()]);
    queue = await open();
  });
  after(async () => {
    await queue?.close();
    await store?.stop();
    await server?.stop();
  });

  const put = async (octets: Buffer, step = 300_000, room = queue): Promise<SpoolRef> => {
    const writer = room.spool.create();
    try {
      for (let at = 0; at < octets.length; at += step) await writer.write(octets.subarray(at, at + step));
      return await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
  };
  const key = ({ id }: SpoolRef) => `sealpost/${id.slice(0, 2)}/${id}`;
  const objects = async () => {
    const { Contents = [] } = await store.client.send(new ListObjectsV2Command({ Bucket: store.bucket }));
    return Contents.map(({ Key }) => Key ?? '');
  };
  const uploads = async () => {
    const { Uploads = [] } = await store.client.send(
      new ListMultipartUploadsCommand({ Bucket: store.bucket }),
    );
    return Uploads.map(({ Key }) => Key ?? '');
  };

  const window = 64 * 65_536;
  for (const [size, what] of [
    [1025, 'one request'],
    [65_536, 'a whole chunk'],
    [window, 'exactly what one read gives'],
    [window + 1, 'one octet more than one read gives'],
    [2 * window, 'two reads'],
    [80 * 65_536, 'a part and an empty rest'],
    [17_000_000, 'several parts'],
  ] as const) {
    it(`keeps ${size} octets: ${what}`, async () => {
      const octets = randomBytes(size);
      const ref = await put(octets);
      assert.equal(ref.kind, 'file');
      assert.deepEqual(await objects(), [key(ref)]);
      assert.deepEqual(await uploads(), []);
      assert.ok(octets.equals(await queue.spool.read(ref)));
      await queue.spool.remove(ref);
      await queue.spool.remove(ref);
      assert.deepEqual(await objects(), []);
      await assert.rejects(queue.spool.read(ref), { code: 'spool-missing' });
    });
  }

  it('gives octets as they are stored, and takes them back, for backups', async () => {
    const octets = randomBytes(9_000_000);
    const ref = await put(octets);
    const settings = { spool: { store: 's3', s3: store.settings } };
    const config = testConfig(server, settings);
    const log = createLog('silent', 'test');
    const key = await loadSpoolKey(config.spool, config.dataDir);
    const large = await openLargeStore(config, key, log);
    try {
      const sealed: Buffer[] = [];
      for await (const piece of large.sealed(ref.id)) sealed.push(piece);
      assert.equal(Buffer.concat(sealed).includes(octets.subarray(0, 64)), false);
      await large.remove(ref.id);
      await assert.rejects(large.sealed(ref.id).next(), { code: 'spool-missing' });
      const writer = await large.createSealed(ref.id);
      for (const piece of sealed) await writer.write(piece);
      await writer.finish();
      assert.ok(octets.equals(await queue.spool.read(ref)));
      await large.remove(ref.id);
    } finally {
      large.close();
    }
  });

  it('is in a backup, and a restore brings it back: with sealpost backup and restore', async () => {
    const elsewhere = await startTestRedis();
    const folder = mkdtempSync(join(tmpdir(), 'sealpost-s3-backup-'));
    try {
      const place = (name: string) => join(folder, name);
      const configOf = (name: string, at: TestRedis, prefix: string) => {
        const s3 = { ...store.settings, prefix };
        const spool = { store: 's3', inlineLimit: '1KiB', s3, key: { file: place('spool.key') } };
        writeFileSync(place(name), JSON.stringify({ dataDir: at.dataDir, redis: { url: at.url }, spool }));
        return place(name);
      };
      copyFileSync(join(server.dataDir, 'spool.key'), place('spool.key'));
      chmodSync(place('spool.key'), 0o600);
      const [old, fresh] = [
        configOf('old.json', server, 'sealpost/'),
        configOf('new.json', elsewhere, 'again/'),
      ];
      const sealpost = async (...args: string[]) => {
        const { code, stdout, stderr } = await command(args);
        assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
        return `${stdout}`;
      };
      const mails = [randomBytes(3000), randomBytes(9_000_000)];
      const ids: string[] = [];
      for (const octets of mails) ids.push((await accept(queue, octets)).id);
      const [key, backup] = [place('key'), place('one.backup')];
      await sealpost('backup', 'keygen', key);
      assert.match(await sealpost('backup', '--to', `${key}.pub`, backup, '--config', old), / 2 objects, /);
      assert.match(await sealpost('backup', 'verify', backup, '--key', key), / 2 objects, /);
      for (const octets of mails) assert.equal(readFileSync(backup).includes(octets.subarray(0, 32)), false);
      assert.match(await sealpost('restore', backup, '--key', key, '--config', fresh), /2 messages wait/);
      assert.equal((await objects()).filter((name) => name.startsWith('again/')).length, 2);
      for (const [at, id] of ids.entries()) {
        await sealpost('messages', 'save', id, '--original', place(id), '--config', fresh);
        assert.ok(mails[at]?.equals(readFileSync(place(id))), id);
      }
    } finally {
      await elsewhere.stop();
      rmSync(folder, { recursive: true });
      for (const Key of (await objects()).filter((name) => name.startsWith('again/')))
        await store.client.send(new DeleteObjectCommand({ Bucket: store.bucket, Key }));
      for (const id of await queue.redis.keys(`${queue.prefix}*`)) await queue.redis.del(id);
      for (const Key of await objects())
        await store.client.send(new DeleteObjectCommand({ Bucket: store.bucket, Key }));
    }
  });

  it('keeps small octets in Redis', async () => {
    assert.equal((await put(randomBytes(1024))).kind, 'inline');
    assert.deepEqual(await objects(), []);
  });

  it('shows nothing readable, and detects objects that were changed, cut or exchanged', async () => {
    const octets = Buffer.alloc(6_000_000, 'marker-of-the-content ');
    const [a, b] = [await put(octets), await put(randomBytes(6_000_000))];
    const raw = async (ref: SpoolRef) => {
      const { Body } = await store.client.send(new GetObjectCommand({ Bucket: store.bucket, Key: key(ref) }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    };
    const replace = (Body: Buffer) =>
      store.client.send(new PutObjectCommand({ Bucket: store.bucket, Key: key(a), Body }));
    const whole = await raw(a);
    assert.ok(!whole.includes('marker'));
    for (const at of [0, 5, 5_000_000, whole.length - 1]) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x80;
      await replace(changed);
      await assert.rejects(queue.spool.read(a), { code: 'spool-corrupt' }, `octet ${at}`);
    }
    for (const length of [0, 17, 17 + 65_552, 17 + 64 * 65_552, whole.length - 1]) {
      await replace(whole.subarray(0, length));
      await assert.rejects(queue.spool.read(a), { code: 'spool-corrupt' }, `cut to ${length}`);
    }
    await replace(await raw(b));
    await assert.rejects(queue.spool.read(a), { code: 'spool-corrupt' });
    await replace(whole);
    assert.ok(octets.equals(await queue.spool.read(a)));
    for (const ref of [a, b]) await queue.spool.remove(ref);
  });

  it('aborts an upload that its owner gives up, in parts or not yet', async () => {
    for (const size of [100_000, 12_000_000]) {
      const writer = queue.spool.create();
      await writer.write(randomBytes(size));
      await writer.abort();
    }
    assert.deepEqual([await objects(), await uploads()], [[], []]);
  });

  it('sweeps objects and unfinished uploads that no message needs, and nothing else', async () => {
    const { id } = await accept(queue, randomBytes(50_000));
    const kept = await objects();
    const orphan = await put(randomBytes(50_000));
    const begun = key({ ...orphan, id: 'f'.repeat(32) });
    for (const Key of [begun, 'sealpost/not-ours', 'elsewhere/ff'])
      await store.client.send(new CreateMultipartUploadCommand({ Bucket: store.bucket, Key }));
    assert.equal((await queue.sweep()).files, 2);
    assert.deepEqual(await objects(), kept);
    assert.deepEqual((await uploads()).toSorted(), ['elsewhere/ff', 'sealpost/not-ours']);
    await queue.flow.terminate(id, 'test');
    assert.deepEqual(await objects(), []);
  });

  it('stores as many at a time as it may; the others wait, or are told to come again', async (t) => {
    const room = await open({ uploads: 1, timeout: '3s' });
    t.after(() => room.close());
    const first = room.spool.create();
    await first.write(randomBytes(2000));
    await assert.rejects(put(randomBytes(2000), 2000, room), { code: 'queue-full' });
    const next = put(randomBytes(2000), 2000, room);
    await first.abort();
    await room.spool.remove(await next);
  });

  it('reads credentials from the environment, and asks over TLS with the given certificate', async (t) => {
    const { accessKeyId, secretAccessKey } = {
      accessKeyId: 'SEALPOSTTEST',
      secretAccessKey: 'a-secret-of-the-tests',
    };
    Object.assign(process.env, { TEST_S3_ID: accessKeyId, TEST_S3_SECRET: secretAccessKey });
    const room = await open({
      endpoint: store.tlsEndpoint,
      ca: store.caFile,
      accessKeyId: { env: 'TEST_S3_ID' },
      secretAccessKey: { env: 'TEST_S3_SECRET' },
    });
    t.after(() => room.close());
    const octets = randomBytes(6_000_000);
    const ref = await put(octets, 300_000, room);
    assert.ok(octets.equals(await room.spool.read(ref)));
    await room.spool.remove(ref);
    const untrusting = await open({ endpoint: store.tlsEndpoint });
    t.after(() => untrusting.close());
    assert.equal(untrusting.intake.refusal()?.code, 'queue-full');
    await assert.rejects(put(octets, 300_000, untrusting), { code: 'spool-unreachable' });
  });

  for (const [what, change] of [
    ['a wrong secret', { secretAccessKey: { env: 'TEST_WRONG' } }],
    ['a bucket that is not there', { bucket: 'no-such-bucket' }],
  ] as const) {
    it(`accepts nothing with ${what}, and says so without the secret`, async (t) => {
      process.env.TEST_WRONG = 'wrong-wrong-wrong';
      const room = await open(change);
      t.after(() => room.close());
      assert.equal(room.intake.refusal()?.code, 'queue-full');
      await assert.rejects(put(randomBytes(2000), 2000, room), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'spool-refused');
        assert.doesNotMatch(error.message, /wrong-wrong|SEALPOSTTEST/);
        return true;
      });
    });
  }

  it('takes nothing for whole that was changed on its way: the gateway refuses it', async (t) => {
    const proxy = await startS3Proxy(store.port);
    t.after(() => proxy.stop());
    const room = await open({ endpoint: proxy.endpoint });
    t.after(() => room.close());
    proxy.mode = 'change';
    await assert.rejects(put(randomBytes(6_000_000), 300_000, room), { code: 'spool-write' });
    assert.deepEqual(await objects(), []);
    assert.deepEqual((await uploads()).toSorted(), ['elsewhere/ff', 'sealpost/not-ours']);
  });

  it('asks again when an answer breaks off, for octets and for the end of an upload', async (t) => {
    const proxy = await startS3Proxy(store.port);
    t.after(() => proxy.stop());
    const room = await open({ endpoint: proxy.endpoint });
    t.after(() => room.close());
    const octets = randomBytes(6_000_000);
    const writer = room.spool.create();
    await writer.write(octets);
    proxy.dropAnswers(1, /^POST .*uploadId=/);
    const ref = await writer.commit();
    proxy.dropAnswers(2, /^GET /);
    assert.ok(octets.equals(await room.spool.read(ref)));
    assert.equal(proxy.dropped, 3);
    await room.spool.remove(ref);
  });

  it('gives up on a store that hangs, fails at once from then on, and comes back by itself', async (t) => {
    const proxy = await startS3Proxy(store.port);
    t.after(() => proxy.stop());
    const room = await open({ endpoint: proxy.endpoint, timeout: '2s' });
    t.after(() => room.close());
    const ref = await put(randomBytes(5000), 5000, room);
    proxy.mode = 'hang';
    await assert.rejects(put(randomBytes(5000), 5000, room), { code: 'spool-unreachable' });
    const asked = proxy.requests;
    for (let i = 0; i < 50; i += 1) await assert.rejects(room.spool.read(ref), { code: 'spool-unreachable' });
    assert.ok(proxy.requests - asked < 10, `${proxy.requests - asked} requests while it was away`);
    await until(async () => room.intake.refusal() !== null);
    proxy.mode = 'pass';
    await until(async () => room.intake.refusal() === null);
    await room.spool.read(ref);
    await room.spool.remove(ref);
  });

  it('continues after the gateway was killed and restarted', async () => {
    const ref = await put(randomBytes(5000));
    await store.kill();
    await assert.rejects(put(randomBytes(5000)), { code: 'spool-unreachable' });
    // a message that ends meanwhile does not fail for octets that cannot go now
    await queue.spool.remove(ref);
    await until(async () => queue.intake.refusal() !== null);
    await store.start();
    await until(async () => queue.intake.refusal() === null);
    assert.deepEqual(await objects(), [key(ref)]);
    assert.equal((await queue.sweep()).files, 1);
  });
});
