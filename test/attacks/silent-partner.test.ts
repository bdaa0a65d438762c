/** Partners whose servers hang, drip, refuse or have no working DNS, with many messages each, beside healthy ones. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { configSchema, type PartnerConfig } from '../../src/config/schema.ts';
import type { QueueRoom, QueueWorker } from '../../src/queue/index.ts';
import { createSender } from '../../src/smtp/send.ts';
import type { Sender } from '../../src/smtp/sender.ts';
import { until } from '../support/messages.ts';
import { commitOne, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';
import { healthyServer, sicknesses, sickServer, type TestServer } from '../support/sick-servers.ts';

let server: TestRedis;
let queue: QueueRoom;
useTestQueue((opened) => {
  ({ server, queue } = opened);
});

async function send(partner: string, text = partner): Promise<string> {
  const writer = queue.intake.begin();
  void writer.write(Buffer.from(`Subject: ${text}\r\n\r\n${text}\r\n`));
  const envelope = { from: 'us@own.example', to: [`edi@${partner.replaceAll(' ', '-')}.example`] };
  const origin = { kind: 'command', detail: {} } as const;
  const { id } = await commitOne(queue, writer, { partner, origin, envelope, messageId: null });
  return id;
}

const sent = async (id: string) => (await queue.ledger.get(id))?.state === 'sent';

function routeTo(port: number): PartnerConfig['route'] {
  const route = { host: '127.0.0.1', port, tls: 'none' };
  const parsed = configSchema.parse({
    partners: [
      { name: 'p', addresses: ['@p.example'], certificates: [], encrypt: false, sign: 'none', route },
    ],
  });
  const [partner] = parsed.partners;
  assert.ok(partner);
  return partner.route;
}

/** Sends as the outbound role does, less the encoding. */
function outbound(
  senders: Map<string, Sender>,
  concurrency: number,
  asked: string[] = [],
): Promise<QueueWorker> {
  return queue.queues.createWorker(
    'outbound',
    async (job, { signal }) => {
      asked.push(job.partner);
      const [octets] = (await queue.flow.fetch(job.id, [job.octets])).octets;
      const message = {
        envelope: job.envelope,
        octets: async function* () {
          yield octets ?? Buffer.alloc(0);
        },
      };
      const outcome = await senders.get(job.partner)?.send(message, signal);
      assert.ok(outcome);
      if ('done' in outcome) await queue.flow.sent(job, {});
      return outcome;
    },
    { concurrency, most: () => 5, lockDuration: 30_000 },
  );
}

describe('a healthy partner', () => {
  it('gets its mail while fifty sick ones have theirs pending, each asked once', async (t) => {
    const servers: TestServer[] = [];
    t.after(() => Promise.all(servers.map((each) => each.close())));
    const senders = new Map<string, Sender>();
    const waiting: string[] = [];
    const dns = Promise.withResolvers<never>();
    t.after(() => dns.reject(new Error('the test is over')));
    const readSecret = () => '';
    const sick: string[] = [];
    for (let index = 0; index < 50; index++) {
      const name = `sick ${index}`;
      sick.push(name);
      const kind = sicknesses[index % (sicknesses.length + 1)];
      if (kind === undefined) {
        // DNS that never answers.
        const route = { ...routeTo(25), host: undefined };
        senders.set(
          name,
          createSender({ route, name: 'own.example', readSecret, resolver: () => dns.promise }),
        );
        continue;
      }
      const made = await sickServer(kind);
      servers.push(made);
      senders.set(name, createSender({ route: routeTo(made.port), name: 'own.example', readSecret }));
    }
    const well = await healthyServer();
    servers.push(well);
    senders.set('well', createSender({ route: routeTo(well.port), name: 'own.example', readSecret }));
    for (let mail = 0; mail < 20; mail++) {
      const sentNow = sick.map((name) => send(name));
      waiting.push(...(await Promise.all(sentNow)));
    }
    const healthy = [];
    for (let mail = 0; mail < 10; mail++) healthy.push(await send('well'));

    const asked: string[] = [];
    const worker = await outbound(senders, 8, asked);
    for (const id of healthy) await until(() => sent(id));
    assert.equal(well.taken.length, 10);
    const states = await Promise.all(waiting.map(async (id) => (await queue.ledger.get(id))?.state));
    assert.deepEqual(new Set(states), new Set(['queued']));
    // One at a time, and after a pause where it answers that it is down: not once for each message.
    for (const name of sick) assert.ok(asked.filter((each) => each === name).length <= 3, name);
    const hanging = sick.filter((_, index) => [0, 1, 2, 5].includes(index % 6));
    for (const name of hanging) assert.equal(asked.filter((each) => each === name).length, 1, name);

    // One that comes later, when all of them are known to be sick.
    const later = await send('well');
    await until(() => sent(later));
    await worker.close(100);
    for (const sender of senders.values()) sender.close();
    await queue.redis.flushdb();
  });
});

describe('messages that wait for a sick route', () => {
  it('cost nothing while they wait, however many they are', async () => {
    const calls = async () => {
      const info = await queue.redis.info('commandstats');
      return [...info.matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)]
        .filter(([, name]) => ['evalsha', 'lrange', 'zadd', 'hmget', 'rpush', 'zpopmin'].includes(name ?? ''))
        .reduce((sum, [, , count]) => sum + Number(count), 0);
    };
    await Promise.all(Array.from({ length: 1500 }, () => send('crowded')));
    const started: string[] = [];
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job, { signal }) => {
        started.push(job.id);
        await once(signal, 'abort');
        return { retry: 'send-failed', untried: true };
      },
      { concurrency: 8 },
    );
    await until(async () => (await queue.redis.zcard('{sealpost}:parked:outbound')) >= 1499);
    // Who waits was not worked on: each start that counts is one less until it is taken for a killer of processes.
    for (const id of await queue.redis.zrange('{sealpost}:parked:outbound', '0', '-1'))
      assert.ok(Number(await queue.redis.hget(`{sealpost}:outbound:${id}`, 'ats')) <= 0, id);
    // New ones go directly behind them.
    await send('crowded');
    assert.equal(await queue.redis.llen('{sealpost}:outbound:wait'), 0);
    assert.equal((await queue.queues.depth()).outbound.waiting, 1500);
    const [before, began] = [await calls(), performance.now()];
    await sleep(3000);
    const used = (await calls()) - before;
    // The looks of BullMQ for stalled jobs and locks of the one in hand; not one for each job.
    const allowed = (20 * (performance.now() - began)) / 1000;
    assert.ok(used < allowed, `${used} commands, ${allowed} allowed`);
    assert.equal(started.length, 1);
    await worker.close(100);
    assert.equal((await queue.queues.depth()).outbound.waiting, 1500);
    await queue.redis.flushdb();
  });

  it('are in order and complete after their process was killed', async () => {
    const ids: string[] = [];
    for (let mail = 0; mail < 60; mail++) ids.push(await send('in order', String(mail)));
    const file = fileURLToPath(new URL('../queue/worker-process.ts', import.meta.url));
    const first = fork(file, [server.url, server.dataDir, 'hang'], { stdio: 'inherit' });
    await once(first, 'message');
    await until(async () => (await queue.redis.exists('{sealpost}:parked:outbound:in order')) === 1);
    first.kill('SIGKILL');
    await once(first, 'exit');
    // The one that hung, and those that were just being put back.
    const inHand = await queue.redis.lrange('{sealpost}:outbound:active', '0', '-1');
    assert.ok(inHand.length >= 1 && inHand.length < 10, inHand.join());
    ids.push(await send('in order', 'after'));
    const order: string[] = [];
    const take = () =>
      queue.queues.createWorker(
        'outbound',
        async (job) => {
          if (job.partner === 'in order') order.push(job.id);
          await queue.flow.sent(job, {});
          return { done: true };
        },
        { concurrency: 1, lockDuration: 1000 },
      );
    const workers = [await take(), await take()];
    for (const id of ids) await until(() => sent(id));
    await Promise.all(workers.map((worker) => worker.close(1000)));
    assert.equal(new Set(order).size, ids.length);
    // Jobs in progress at the crash come when their locks have expired; two workers share the rest.
    const waited = ids.filter((id) => !inHand.includes(id));
    const places = [...new Set(order)].filter((id) => waited.includes(id)).map((id) => waited.indexOf(id));
    for (const [place, at] of places.entries()) assert.ok(Math.abs(at - place) <= 8, places.join(' '));
  });
});
