/** The queues of clients in the process of the test: real Redis users, and the real `submit` behind the consumer. */
import { Redis } from 'ioredis';
import { allGranted, type Grants } from '../../src/client/index.ts';
import { ClientRegistry, Rates } from '../../src/client/registry.ts';
import { type ClientQueue, makeClientQueue } from '../../src/commands/client-queue.ts';
import { configSchema } from '../../src/config/schema.ts';
import { Consumer } from '../../src/consumer/index.ts';
import { createLog } from '../../src/log.ts';
import { queueDoor } from '../../src/pipeline/queue-door.ts';
import { PartnerBook } from '../../src/pipeline/submit.ts';
import { QueueClient } from '../../src/producer/index.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { submissionKey } from '../../src/sealed/index.ts';
import type { TestRedis } from './redis.ts';

const open = { encrypt: false, sign: 'none', from: 'erp@own.example' };
const { partners } = configSchema.parse({
  partners: [
    { name: 'acme', addresses: ['edi@acme.example'], ...open },
    { name: 'globex', addresses: ['in@globex.example'], ...open },
  ],
});

export interface TestQueues {
  consumer: Consumer;
  registry: ClientRegistry;
  /** Adds a client with a queue and its Redis user. */
  client(
    name: string,
    grants?: Partial<Grants>,
  ): Promise<{ made: ClientQueue; producer: QueueClient; raw: Redis }>;
  close(): Promise<void>;
}

export async function startQueues(
  { queue, server }: { queue: QueueRoom; server: TestRedis },
  maxSize = 100_000,
): Promise<TestQueues> {
  const { redis, prefix, intake } = queue;
  const log = createLog('silent', 'test');
  const registry = await ClientRegistry.open({ ...queue, folder: server.dataDir, log, now: Date.now });
  const consumer = new Consumer({
    ...{ redis, prefix, log, maxSize, now: Date.now, key: submissionKey(queue.deriveKey) },
    clients: () => registry.document.clients.filter((each) => each.queue).map((each) => each.name),
    submit: queueDoor({
      ...{ intake, rates: new Rates(), partners: new PartnerBook(partners), now: () => new Date() },
      client: (name) => registry.named(name),
    }),
    hold: async () => true,
    release: async () => undefined,
  });
  consumer.start();
  const closing: (() => Promise<void>)[] = [];
  const path = server.url.replace(/^unix:\/\//, '');
  return {
    consumer,
    registry,
    async client(name, grants = {}) {
      await registry.change((document) => {
        const given = { ...allGranted, partners: ['acme'], senders: ['erp@own.example'], ...grants };
        const created = { createdAt: Date.now(), pins: [], queue: true };
        document.clients.push({ name, grants: given, ...created });
      });
      const made = makeClientQueue(name, queue);
      await redis.call('ACL', ...made.acl.split(' ').slice(1));
      const producer = new QueueClient({ redis: { path }, ...made });
      const options = { enableReadyCheck: false, disableClientInfo: true };
      const raw = new Redis({ path, username: made.user, password: made.password, ...options });
      raw.on('error', () => undefined);
      closing.push(async () => {
        raw.disconnect();
        await producer.close();
      });
      return { made, producer, raw };
    },
    async close() {
      for (const close of closing) await close();
      await consumer.stop(5000);
    },
  };
}
