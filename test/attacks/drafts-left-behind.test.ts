/** A disk that is full, a Redis that is away, processes that are killed: what they leave in the spool folder. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSecretKey, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { SealpostError } from '../../src/errors.ts';
import { draftOwner } from '../../src/files.ts';
import { createLog } from '../../src/log.ts';
import { openQueue, type QueueRoom } from '../../src/queue/index.ts';
import { RedisIntake } from '../../src/queue/intake.ts';
import { keysOf } from '../../src/queue/keys.ts';
import { Pressure } from '../../src/queue/pressure.ts';
import { connect, disconnect } from '../../src/redis/connection.ts';
import { type DurableWrites, primaryWrites } from '../../src/redis/durable-writes.ts';
import { SpoolFolder } from '../../src/spool/folder.ts';
import { TieredSpool } from '../../src/spool/spool.ts';
import { accept, until } from '../support/messages.ts';
import { openTestQueue, testConfig } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';

const log = createLog('silent', 'test');

function filesOf(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !['filler', 'spool.key'].includes(entry.name))
    .map(({ name }) => name);
}

/** Stores octets as a listener does: what fails is aborted. */
async function attempt(queue: QueueRoom, octets: Buffer): Promise<string> {
  const writer = queue.intake.begin();
  try {
    for (let at = 0; at < octets.length; at += 65_536) await writer.write(octets.subarray(at, at + 65_536));
    await queue.intake.commit(writer, [
      {
        mailbox: 'edi',
        origin: { kind: 'smtp', detail: {} },
        envelope: { from: '', to: ['edi@example.net'] },
        messageId: null,
      },
    ]);
    return 'accepted';
  } catch (error) {
    await writer.abort();
    return error instanceof SealpostError ? error.code : String(error);
  }
}

it('a full disk: no draft and no file stays, whether it is full before or in the middle', async (t) => {
  const disk = mkdtempSync(join(tmpdir(), 'sealpost-full-'));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]).status !== 0)
    return t.skip('no tmpfs can be mounted here');
  t.after(() => spawnSync('umount', [disk]));
  const server = await startTestRedis();
  t.after(() => server.stop());
  // Without the mark: it is looked at every two seconds, and a disk can be full in between.
  const queue = await openTestQueue(server, {
    spool: { directory: disk, inlineLimit: '1KiB' },
    limits: { diskFree: '0B' },
  });
  t.after(() => queue.close());
  assert.equal(await attempt(queue, randomBytes(200_000)), 'accepted');
  const before = filesOf(disk);
  assert.equal(before.length, 1);
  // Full in the middle of the message.
  for (let at = 0; at < 10; at++) assert.equal(await attempt(queue, randomBytes(5_000_000)), 'spool-full');
  assert.deepEqual(filesOf(disk), before);
  // Full before it: not even the header of a draft has room.
  const filler = join(disk, 'filler');
  try {
    writeFileSync(filler, Buffer.alloc(8_000_000));
  } catch {}
  for (let at = 0; at < 10; at++) assert.equal(await attempt(queue, randomBytes(20_000)), 'spool-full');
  assert.deepEqual(filesOf(disk), before);
  truncateSync(filler, 0);
  assert.equal(await attempt(queue, randomBytes(20_000)), 'accepted');
});

it('Redis without memory: the file of a message that it refused goes at once', async (t) => {
  const server = await startTestRedis();
  t.after(() => server.stop());
  const queue = await openTestQueue(server, { spool: { inlineLimit: '1KiB' }, limits: { redisMemory: 100 } });
  t.after(() => queue.close());
  const folder = join(server.dataDir, 'spool');
  await queue.redis.config('SET', 'maxmemory', '1');
  for (let at = 0; at < 5; at++) assert.notEqual(await attempt(queue, randomBytes(50_000)), 'accepted');
  assert.deepEqual(filesOf(folder), []);
  await queue.redis.config('SET', 'maxmemory', '0');
  await until(async () => (await attempt(queue, randomBytes(50_000))) === 'accepted');
  assert.equal(filesOf(folder).length, 1);
});

describe('a message of which Redis did not say whether it has it', () => {
  for (const taken of [true, false])
    it(`${taken ? 'has it: the file stays' : 'has it not: the file goes after 30 seconds'}`, async (t) => {
      const server = await startTestRedis();
      t.after(() => server.stop());
      const redis = connect({ url: server.url, commandTimeout: 5000 }, 'producer', log);
      t.after(() => disconnect(redis));
      const keys = keysOf('{sealpost}');
      const folder = join(server.dataDir, 'spool');
      const key = createSecretKey(randomBytes(32));
      const store = new SpoolFolder(folder, key);
      const spool = new TieredSpool({ redis, keys, key, store, inlineLimit: 10 });
      const real = primaryWrites(redis, keys.prefix);
      // The reply is lost, as when the connection breaks after the command or before it.
      const kept: DurableWrites = {
        ...real,
        async run(script, args, what) {
          if (taken) await real.run(script, args, what);
          throw new SealpostError('redis-unreachable', 'the reply was lost');
        },
      };
      const room = { depth: 1000, octets: 1e9 };
      const intake = new RedisIntake({
        names: { present: (name) => name },
        ...{
          now: Date.now,
          writes: kept,
          spool,
          subjects: { seal: () => '' },
          duplicates: 1000,
          repeating: new Set<string>(),
          ordered: new Set<string>(),
          identity: new Map(),
          deriveKey: () => Buffer.alloc(32),
        },
        limits: { inbound: room, handoff: room, outbound: room },
        pressure: new Pressure({ redis, keys, log, folder, redisMemory: 90, diskFree: 0, store: () => null }),
      });
      const writer = intake.begin();
      await writer.write(randomBytes(5000));
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const entry = { mailbox: 'edi', origin: { kind: 'smtp', detail: {} }, messageId: null } as const;
      await assert.rejects(intake.commit(writer, [{ ...entry, envelope: { from: '', to: [] } }]), {
        code: 'redis-unreachable',
      });
      const settle = async () => {
        for (let at = 0; at < 200; at++) await turn();
      };
      assert.equal(filesOf(folder).length, 1);
      t.mock.timers.tick(29_999);
      await settle();
      assert.equal(filesOf(folder).length, 1, 'it may still be on its way');
      t.mock.timers.tick(1);
      t.mock.timers.reset();
      if (taken) {
        // Long enough for the question and the answer.
        for (let at = 0; at < 20; at++) await redis.ping();
        await settle();
        assert.equal(filesOf(folder).length, 1);
      } else await until(async () => filesOf(folder).length === 0);
    });
});

it('drafts of dead processes go at start, those of the living and of other machines stay', async (t) => {
  const server = await startTestRedis();
  t.after(() => server.stop());
  const folder = join(server.dataDir, 'spool', 'tmp');
  mkdirSync(folder, { recursive: true });
  const [machine, pid, start] = draftOwner.split('-');
  const drafts: [string, boolean][] = [
    [`a.${draftOwner}`, true],
    [`b.${machine}-${pid}-${Number(start) + 1}`, false],
    [`c.${machine}-4194305-1`, false],
    [`d.${'0'.repeat(16)}-4194305-1`, true],
    ['e', true],
  ];
  for (const [name] of drafts) writeFileSync(join(folder, name), '');
  const kept = drafts.filter(([, keep]) => keep).map(([name]) => name);
  // Somebody else has the lease of the sweep: it is about records and old files, and any machine's.
  const other = await openTestQueue(server);
  t.after(() => other.close());
  await other.redis.set('{sealpost}:lease:sweep', 'another machine', 'PX', 60_000);
  const room = await openQueue(testConfig(server), { role: 'test', log, sweep: true });
  t.after(() => room.close());
  await until(async () => readdirSync(folder).length === kept.length);
  assert.deepEqual(readdirSync(folder).sort(), kept);
});

it('a draft of a process that was killed is known to be its own', async (t) => {
  const server = await startTestRedis();
  t.after(() => server.stop());
  const text = `
    import { openTestQueue } from ${JSON.stringify(new URL('../support/queue.ts', import.meta.url).href)};
    const queue = await openTestQueue(${JSON.stringify({ url: server.url, dataDir: server.dataDir })});
    await queue.intake.begin().write(Buffer.alloc(2_000_000));
    process.kill(process.pid, 'SIGKILL');
  `;
  assert.equal(spawnSync(process.execPath, ['--input-type=module', '-e', text]).signal, 'SIGKILL');
  const folder = join(server.dataDir, 'spool', 'tmp');
  assert.equal(readdirSync(folder).length, 1);
  const config = testConfig(server, { spool: { inlineLimit: '1KiB' } });
  const room = await openQueue(config, { role: 'test', log, sweep: true });
  t.after(() => room.close());
  const living = room.intake.begin();
  await living.write(randomBytes(100_000));
  await until(async () => readdirSync(folder).length === 1);
  assert.ok(readdirSync(folder)[0]?.endsWith(draftOwner));
  await living.abort();
});

it('the first sweep comes ten seconds after the start, and not before', async (t) => {
  const server = await startTestRedis();
  t.after(() => server.stop());
  const settings = { spool: { inlineLimit: '1KiB', sweepAfter: '0s' } };
  const before = await openTestQueue(server, settings);
  const lost = before.intake.begin();
  await lost.write(randomBytes(5000));
  await lost.finish();
  const { id } = await accept(before, randomBytes(5000));
  await before.close();
  const folder = join(server.dataDir, 'spool');
  assert.equal(filesOf(folder).length, 2);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const room = await openQueue(testConfig(server, settings), { role: 'test', log, sweep: true });
  t.mock.timers.tick(9_999);
  for (let at = 0; at < 20; at++) await room.redis.ping();
  assert.equal(await room.redis.exists('{sealpost}:lease:sweep'), 0);
  assert.equal(filesOf(folder).length, 2);
  t.mock.timers.tick(1);
  t.mock.timers.reset();
  await until(async () => filesOf(folder).length === 1);
  assert.equal((await room.ledger.get(id))?.state, 'received');
  await room.close();
});
