/** Many messages for one port that refuses, a partner's or a webhook's, with the real worker and the real client. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { configSchema } from '../../src/config/schema.ts';
import { createDestination } from '../../src/handoff/index.ts';
import { parseHeaders, readMailHeader } from '../../src/message/index.ts';
import { deliverStep, Turns } from '../../src/pipeline/index.ts';
import { writeResult } from '../../src/pipeline/stored.ts';
import type { QueueName, QueueRoom } from '../../src/queue/index.ts';
import { createSender } from '../../src/smtp/send.ts';
import { deps } from '../handoff/support.ts';
import { sickServer } from './sick-servers.ts';

/** Counts the connections that this process tries to open to a port, from now on. */
function countAttempts(port: number): { attempts(): number; stop(): void } {
  let attempts = 0;
  const opened = (message: unknown) => {
    const { socket } = Object(message) as { socket: Socket };
    socket.on('connectionAttempt', (_address, to) => {
      if (to === port) attempts += 1;
    });
  };
  subscribe('net.client.socket', opened);
  return { attempts: () => attempts, stop: () => unsubscribe('net.client.socket', opened) };
}

export interface Refused {
  /** Lets the worker begin. */
  start(): Promise<void>;
  /** Connections that were tried. */
  attempts(): number;
  /** Messages that the worker has put aside, because their route is down. */
  putAside(): Promise<number>;
  stop(): Promise<void>;
}

const putAside = (queue: QueueRoom, name: QueueName) => () => queue.redis.zcard(`{sealpost}:parked:${name}`);

/** Messages for a partner whose port refuses. */
export async function refusedMail(queue: QueueRoom, messages: number): Promise<Refused> {
  const { port } = await sickServer('refusing');
  const route = { host: '127.0.0.1', port, tls: 'none' };
  const partner = {
    name: 'p',
    addresses: ['@p.example'],
    certificates: [],
    encrypt: false,
    sign: 'none',
    route,
  };
  const [config] = configSchema.parse({ partners: [partner] }).partners;
  assert.ok(config);
  const sender = createSender({ route: config.route, name: 'own.example', readSecret: () => '' });
  for (let at = 0; at < messages; at++) {
    const writer = queue.intake.begin();
    void writer.write(Buffer.from(`Subject: ${at}\r\n\r\n${at}\r\n`));
    const envelope = { from: 'us@own.example', to: ['edi@p.example'] };
    const origin = { kind: 'command', detail: {} } as const;
    await queue.intake.commitOutbound(writer, [{ partner: 'p', origin, envelope, messageId: null }]);
  }
  const counted = countAttempts(port);
  const step: Parameters<typeof queue.queues.createWorker<'outbound'>>[1] = async (job, { signal }) => {
    const [octets] = (await queue.flow.fetch(job.id, [job.octets])).octets;
    async function* content() {
      yield octets ?? Buffer.alloc(0);
    }
    return await sender.send({ envelope: job.envelope, octets: content }, signal);
  };
  let close = async () => {};
  return {
    async start() {
      const worker = await queue.queues.createWorker('outbound', step, { concurrency: 8, most: () => 5 });
      close = () => worker.close(100);
    },
    attempts: counted.attempts,
    putAside: putAside(queue, 'outbound'),
    async stop() {
      await close();
      sender.close();
      counted.stop();
    },
  };
}

/** Decoded messages for a webhook whose port refuses. */
export async function refusedWebhook(queue: QueueRoom, messages: number): Promise<Refused> {
  const { port } = await sickServer('refusing');
  const url = `http://127.0.0.1:${port}/`;
  const secret = { env: 'NONE' };
  const hook = { type: 'webhook', name: 'hook', url, secret, allowPrivate: true };
  const mailbox = { name: 'orders', addresses: ['orders@own.example'], destinations: [hook] };
  const [config] = configSchema.parse({ mailboxes: [mailbox] }).mailboxes[0]?.destinations ?? [];
  assert.ok(config);
  const destination = await createDestination(config, deps());
  for (let at = 0; at < messages; at++) {
    const writer = queue.intake.begin();
    void writer.write(Buffer.from(`Subject: ${at}\r\n\r\n${at}\r\n`));
    const entry = { mailbox: 'orders', envelope: { from: 'a@p.example', to: ['orders@own.example'] } };
    const origin = { kind: 'smtp', detail: {} } as const;
    await queue.intake.commit(writer, [{ ...entry, origin, messageId: null }]);
  }
  let decoded = 0;
  const header = Buffer.from('From: a@p.example\r\n\r\n');
  const headers = readMailHeader(parseHeaders(header)).json;
  const decoding = await queue.queues.createWorker(
    'inbound',
    async (job) => {
      const content = queue.spool.create();
      void content.write(Buffer.from('Content-Type: text/plain\r\n\r\ntext\r\n'));
      const verdict = { status: 'ok', encrypted: true, layers: [] };
      const result = writeResult({ verdict, header, whole: false, headers, pieces: [] });
      await queue.flow.decoded(job, {
        content,
        result,
        destinations: ['hook'],
        partner: null,
        partnerBy: null,
        facts: {},
      });
      decoded += 1;
      return { done: true };
    },
    { concurrency: 8, local: true },
  );
  while (decoded < messages) await new Promise((resolve) => setTimeout(resolve, 20));
  await decoding.close(1000);
  const counted = countAttempts(port);
  const step = deliverStep({ ...queue, destination: () => destination, large: new Turns(1) });
  let close = async () => {};
  return {
    async start() {
      const worker = await queue.queues.createWorker('handoff', step, { concurrency: 8 });
      close = () => worker.close(100);
    },
    attempts: counted.attempts,
    putAside: putAside(queue, 'handoff'),
    async stop() {
      await close();
      await destination.close();
      counted.stop();
    },
  };
}
