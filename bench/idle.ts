/**
 * What the queues cost in processor time while nothing happens, by the number of routes that wait, and what the stream
 * of events adds to a message.
 *
 *   node bench/idle.ts [--seconds 10] [--routes 0,10,1000] [--messages 2000] [--pairs 5]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { QueueRoom } from '../src/queue/index.ts';
import { openTestQueue } from '../test/support/queue.ts';
import { startTestRedis } from '../test/support/redis.ts';
import { figure, median, printTable, progress } from './table.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    routes: { type: 'string', default: '0,10,1000' },
    messages: { type: 'string', default: '2000' },
    pairs: { type: 'string', default: '5' },
  },
});

/** Milliseconds of processor time that Redis has used. */
async function redisTime({ redis }: QueueRoom): Promise<number> {
  const text = await redis.info('cpu');
  const of = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(text)?.[1] ?? 0);
  return 1000 * (of('used_cpu_sys') + of('used_cpu_user'));
}

async function submit(queue: QueueRoom, partner: string): Promise<string> {
  const writer = queue.intake.begin();
  void writer.write(Buffer.from(`From: us@own.example\r\n\r\n${'x'.repeat(1000)}\r\n`));
  const envelope = { from: 'us@own.example', to: [`x@${partner}.example`] };
  const entry = { origin: { kind: 'command', detail: {} }, envelope, messageId: null, partner } as const;
  const [result] = await queue.intake.commitOutbound(writer, [entry]);
  return result?.id ?? '';
}

/** A worker whose routes all hang with one message, while another one waits. */
async function idle(routes: number, ms: number): Promise<{ role: number; redis: number }> {
  const server = await startTestRedis();
  const queue = await openTestQueue(server);
  const over = Promise.withResolvers<void>();
  for (let at = 0; at < routes; at++) for (let each = 0; each < 2; each++) await submit(queue, `route${at}`);
  const worker = await queue.queues.createWorker(
    'outbound',
    async () => {
      await over.promise;
      return { retry: 'send-failed', untried: true };
    },
    { concurrency: 64 },
  );
  while ((await queue.redis.scard('{sealpost}:routes:outbound')) < routes) await sleep(100);
  await sleep(2000);
  const before = { role: process.cpuUsage(), redis: await redisTime(queue) };
  await sleep(ms);
  const { user, system } = process.cpuUsage(before.role);
  const redis = (await redisTime(queue)) - before.redis;
  over.resolve();
  await worker.close(2000);
  await queue.close();
  await server.stop();
  return { role: (user + system) / 1000 / (ms / 1000), redis: redis / (ms / 1000) };
}

/** Milliseconds of Redis for a message that is accepted and sent: alternately without and with a stream of events. */
async function events(messages: number, pairs: number): Promise<[without: number, with_: number]> {
  const server = await startTestRedis();
  const queue = await openTestQueue(server);
  const found: [number[], number[]] = [[], []];
  for (let round = 0; round < 2 * pairs; round++) {
    const kept = round % 2;
    if (kept === 0) await queue.redis.del('{sealpost}:events');
    else await queue.events.keep();
    const before = await redisTime(queue);
    for (let at = 0; at < messages; at += 50)
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const id = await submit(queue, 'acme');
          const record = await queue.ledger.get(id);
          if (record === null) throw new Error('there is no such message');
          const { envelope, origin, receivedAt, octets, sha256 } = record;
          const message = {
            id,
            direction: 'outbound',
            partner: 'acme',
            envelope,
            origin,
            receivedAt,
          } as const;
          const ref = { kind: 'inline', id: '', octets, sha256 } as const;
          await queue.flow.sent({ ...message, messageId: null, octets: ref }, { host: 'mx.acme.example' });
        }),
      );
    found[kept === 0 ? 0 : 1].push(((await redisTime(queue)) - before) / messages);
    await queue.redis.flushdb();
  }
  await queue.close();
  await server.stop();
  return [median(found[0]), median(found[1])];
}

const rows: string[][] = [];
for (const routes of values.routes.split(',').filter(Boolean).map(Number)) {
  progress(`${routes} routes`);
  const { role, redis } = await idle(routes, 1000 * Number(values.seconds));
  rows.push([String(routes), figure(role), figure(redis)]);
}
if (rows.length > 0)
  printTable(
    'Processor time of an idle outbound worker in a second, in milliseconds',
    ['routes that wait', 'the worker', 'Redis'],
    rows,
  );
progress('events');
const [without, kept] = await events(Number(values.messages), Number(values.pairs));
printTable(
  'Processor time of Redis for a message that is accepted and sent, in microseconds',
  ['without a stream', 'with it', 'more'],
  [[figure(without * 1000), figure(kept * 1000), `${figure((100 * (kept - without)) / without)} %`]],
);
process.exit(0);
