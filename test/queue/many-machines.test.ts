/** The queue room on a Redis Cluster of six nodes and on a primary under Sentinels: real servers on loopback. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { hasCode } from '../../src/errors.ts';
import { createLog, type Log } from '../../src/log.ts';
import { openQueue, type QueueRoom } from '../../src/queue/index.ts';
import { accept, until } from '../support/messages.ts';
import {
  type Node,
  type NodesOptions,
  startTestCluster,
  startTestSentinels,
} from '../support/redis-nodes.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { skipWithout } from '../support/world.ts';

const log = createLog('silent', 'test');
const prefix = '{sealpost}';

interface Setting {
  name: string;
  /** What stands in the configuration. */
  redis: Record<string, unknown>;
  nodes: readonly Node[];
  primary(): Promise<Node>;
  moveSlot?(between: () => Promise<void>): Promise<void>;
  healthy(replicas: number): Promise<void>;
  stop(): Promise<void>;
}

const settings: { name: string; replicas: number; start(options?: NodesOptions): Promise<Setting> }[] = [
  {
    name: 'cluster',
    replicas: 1,
    async start(options) {
      const cluster = await startTestCluster(options);
      return {
        name: 'cluster',
        // The others are learned from them.
        redis: { cluster: { nodes: cluster.urls.slice(0, 2) } },
        nodes: cluster.nodes,
        primary: () => cluster.owner(prefix),
        moveSlot: (between) => cluster.moveSlot(prefix, between),
        healthy: (replicas) => cluster.healthy(prefix, replicas),
        stop: () => cluster.stop(),
      };
    },
  },
  {
    name: 'sentinel',
    replicas: 2,
    async start(options) {
      const sentinels = await startTestSentinels(options);
      return {
        name: 'sentinel',
        redis: { sentinel: { master: sentinels.master, nodes: sentinels.urls } },
        nodes: sentinels.servers,
        primary: () => sentinels.primary(),
        healthy: (replicas) => sentinels.healthy(replicas),
        stop: () => sentinels.stop(),
      };
    },
  },
];

for (const { name, replicas, start } of settings) {
  describe(`queue room, ${name}`, {
    skip: skipWithout('redis-server', 'redis-cli'),
    timeout: 1_800_000,
  }, () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'sealpost-many-'));
    let store: Setting;
    let queue: QueueRoom;
    const configOf = (redis: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Config =>
      configSchema.parse({
        dataDir,
        ...more,
        redis: { ...store.redis, commandTimeout: '2s', ...redis },
      });
    const open = (redis: Record<string, unknown> = {}, more: Record<string, unknown> = {}) =>
      opened(configOf(redis, more), log);
    before(async () => {
      store = await start();
      queue = await open();
    });
    after(async () => {
      await queue?.close();
      await store?.stop();
      rmSync(dataDir, { recursive: true, force: true });
    });

    it('brings a message all the way, and keeps all of it on one primary', async () => {
      const { id } = await accept(queue, 'all the way');
      await decodeAll(queue, ['folder', 'hook']);
      await until(async () => (await queue.ledger.get(id))?.state === 'decoded');
      const handoff = await queue.queues.createWorker(
        'handoff',
        async (job) => {
          if (job.destination === 'hook' && !resumed) return { suspend: 'handoff-failed' };
          await queue.flow.handedOff(job, {});
          return { done: true };
        },
        { concurrency: 4 },
      );
      let resumed = false;
      await until(async () => (await queue.ledger.get(id))?.state === 'suspended');
      resumed = true;
      assert.equal(await queue.flow.resume(id, { by: 'test' }), true);
      await until(async () => (await queue.ledger.get(id))?.state === 'delivered');
      await handoff.close(5000);
      assert.deepEqual(
        (await queue.ledger.list({ state: 'delivered' })).messages.map((each) => each.id),
        [id],
      );
      assert.equal((await queue.audit.list({})).length, 1);
      assert.equal((await queue.ledger.count()).delivered, 1);
      await queue.sweep();
      if (name !== 'cluster') return;
      const owner = await store.primary();
      for (const node of store.nodes.filter((each) => each !== owner)) {
        const client = node.client();
        const role = await client.info('replication');
        if (role.includes('role:master')) assert.equal(await client.dbsize(), 0);
        client.disconnect();
      }
    });

    it('gives a queue destination with another prefix its own place', async () => {
      const connection = queue.connect('other', '{elsewhere}');
      const jobs = new Queue('results', { connection, prefix: '{elsewhere}' });
      await jobs.add('message', { text: 'result' });
      const [job] = await jobs.getWaiting();
      await queue.ensureReplicated(connection, jobs.toKey(job?.id ?? ''));
      await assert.rejects(queue.ensureReplicated(connection, jobs.toKey('never-written')), {
        code: 'redis-unreachable',
      });
      await jobs.close();
      connection.disconnect();
    });

    it('accepts only what a replica has, and knows it when it comes again', async () => {
      const owner = await store.primary();
      // One write beyond the others: what they do not have is visible.
      const others = store.nodes.filter((each) => each !== owner);
      for (const { pid } of others) process.kill(pid, 'SIGSTOP');
      try {
        await assert.rejects(accept(queue, 'alone'), {
          code: 'redis-unreachable',
          message: /0 replicas of Redis acknowledged in time, of 1 that must/,
        });
      } finally {
        for (const { pid } of others) process.kill(pid, 'SIGCONT');
      }
      // It is there, and now it is kept.
      await store.healthy(replicas);
      const again = await until(() => accept(queue, 'alone').catch(() => undefined));
      assert.equal(again.duplicate, true);
      const hasWaitAof = await withClient(owner, async (client) =>
        Array.isArray((await client.command('INFO', 'WAITAOF'))[0]),
      );
      if (hasWaitAof) {
        const disk = await open({ acknowledge: 'disk' });
        assert.equal((await accept(disk, 'on the disk of a replica')).duplicate, false);
        await disk.close();
      } else {
        await assert.rejects(open({ acknowledge: 'disk' }), {
          code: 'redis-not-durable',
          message: /WAITAOF/,
        });
      }
      const relaxed = await open({ replicas: 0 });
      assert.equal((await accept(relaxed, 'no replica is asked')).duplicate, false);
      await relaxed.close();
    });

    it('refuses a replica that could lose messages, and says how many there are', async () => {
      const owner = await store.primary();
      const info = await withClient(owner, (client) => client.info('replication'));
      const port = Number(/slave0:.*port=(\d+)/.exec(info)?.[1]);
      const replica = store.nodes.find((each) => each.port === port);
      assert.ok(replica);
      await withClient(replica, (client) => client.config('SET', 'appendfsync', 'everysec'));
      try {
        await assert.rejects(open(), {
          code: 'redis-not-durable',
          message: new RegExp(`replica .*:${port}: appendfsync is everysec`),
        });
        let lines = '';
        const stream = new Writable({
          write(chunk, _encoding, done) {
            lines += chunk;
            done();
          },
        });
        const told = createLog('info', 'test', stream);
        const relaxed = configOf({ durability: 'relaxed', replicas: 5 });
        await (await opened(relaxed, told)).close();
        assert.match(lines, /a replica of redis is not durable: appendfsync is everysec/);
        assert.match(lines, /redis has too few replicas/);
        assert.match(lines, /"minReplicasToWrite":0/);
      } finally {
        await withClient(replica, (client) => client.config('SET', 'appendfsync', 'always'));
      }
    });

    // only a cluster has slots
    if (name === 'cluster')
      it('pauses while its slot moves, and continues at the other primary', async () => {
        assert.ok(store.moveSlot);
        const ids: string[] = [];
        for (let count = 0; count < 30; count++) ids.push((await accept(queue, `moved ${count}`)).id);
        const working = decodeAll(queue, ['folder'], 300);
        const from = await store.primary();
        await store.moveSlot(async () => {
          await assert.rejects(accept(queue, 'in between'), { code: 'redis-unreachable' });
          await sleep(1000);
        });
        assert.notEqual(await store.primary(), from);
        ids.push((await until(() => accept(queue, 'in between').catch(() => undefined))).id);
        await until(async () => {
          const records = await Promise.all(ids.map((id) => queue.ledger.get(id).catch(() => null)));
          return records.every((record) => record?.state === 'decoded');
        });
        await working;
      });

    it('loses nothing that was accepted when the primary is killed', async () => {
      await store.healthy(replicas);
      const accepted: string[] = [];
      let failures = 0;
      let stop = false;
      const worker = await queue.queues.createWorker(
        'inbound',
        async (job) => {
          const writer = queue.spool.create();
          await writer.write(Buffer.from(`decoded ${job.id}`));
          const rest = {
            result: Buffer.from('{}'),
            destinations: ['folder'],
            partner: null,
            partnerBy: null,
            facts: {},
          };
          await queue.flow.decoded(job, { content: writer, ...rest });
          return { done: true };
        },
        { concurrency: 8, lockDuration: 3000 },
      );
      const clients = Array.from({ length: 8 }, async (_, client) => {
        for (let count = 0; !stop; count++) {
          while (!stop) {
            try {
              accepted.push((await accept(queue, `kill ${client} ${count}`)).id);
              break;
            } catch {
              failures++;
              await sleep(50);
            }
          }
          await sleep(5);
        }
      });
      try {
        await sleep(1000);
        const primary = await store.primary();
        const before = accepted.length;
        await primary.kill();
        // Too early, and it is the primary again.
        const other = await store.primary();
        assert.notEqual(other.port, primary.port);
        await primary.start();
        await until(async () => accepted.length > before + 100);
      } finally {
        stop = true;
        await Promise.all(clients);
      }
      assert.ok(failures > 0, 'the pause was seen');
      const ids = [...new Set(accepted)];
      const states = await Promise.all(ids.map(async (id) => (await queue.ledger.get(id))?.state));
      assert.deepEqual(
        ids.filter((_, index) => states[index] === undefined),
        [],
      );
      await until(async () => {
        const left = await Promise.all(ids.map(async (id) => (await queue.ledger.get(id))?.state));
        return left.every((state) => state === 'decoded');
      });
      await worker.close(5000);
      await store.healthy(replicas);
    });
  });

  describe(`${name} with password and TLS`, {
    skip: skipWithout('redis-server', 'openssl'),
    timeout: 1_800_000,
  }, () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'sealpost-many-'));
    let tls: TlsFiles;
    let store: Setting;
    before(async () => {
      tls = await makeTlsFiles();
      store = await start({ tls, password: 'hunter2' });
    });
    after(async () => {
      await store?.stop();
      tls?.remove();
      rmSync(dataDir, { recursive: true, force: true });
    });

    it('is reached with both, and refused without', async () => {
      const file = join(dataDir, 'password');
      writeFileSync(file, 'hunter2\n', { mode: 0o600 });
      const redis = structuredClone(store.redis);
      const password = { file };
      if (isSettings(redis.sentinel)) Object.assign(redis.sentinel, { tls: true, password });
      const configOf = (more: Record<string, unknown>) =>
        configSchema.parse({ dataDir, redis: { ...redis, commandTimeout: '2s', ...more } });
      const queue = await opened(configOf({ ca: tls.cert, password }), log);
      assert.equal((await accept(queue, 'sealed')).duplicate, false);
      await queue.close();
      for (const more of [{ ca: tls.cert }, { password }])
        await assert.rejects(openQueue(configOf(more), { role: 'test', log }), { code: 'redis-unreachable' });
    });
  });
}

/** A busy machine may need longer for the first connection to all nodes than a command may take. */
const opened = (config: Config, to: Log): Promise<QueueRoom> =>
  until(() =>
    openQueue(config, { role: 'test', log: to }).catch((error: unknown) => {
      if (hasCode(error, 'redis-unreachable')) return undefined;
      throw error;
    }),
  );

const isSettings = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

async function withClient<T>(
  node: Node,
  work: (client: ReturnType<Node['client']>) => Promise<T>,
): Promise<T> {
  const client = node.client();
  try {
    await until(async () => client.status === 'ready');
    return await work(client);
  } finally {
    client.disconnect();
  }
}

/** Decodes what waits, once. */
async function decodeAll(queue: QueueRoom, destinations: string[], pace = 0): Promise<void> {
  const worker = await queue.queues.createWorker(
    'inbound',
    async (job) => {
      await sleep(pace);
      const writer = queue.spool.create();
      await writer.write(Buffer.from('decoded'));
      const rest = { result: Buffer.from('{}'), destinations, partner: null, partnerBy: null, facts: {} };
      await queue.flow.decoded(job, { content: writer, ...rest });
      return { done: true };
    },
    { concurrency: 4, lockDuration: 3000 },
  );
  await until(async () => {
    const depth = await queue.queues.depth().catch(() => undefined);
    // A job that could not reach Redis is delayed.
    return depth && depth.inbound.waiting + depth.inbound.active + depth.inbound.delayed === 0;
  });
  await worker.close(5000);
}
