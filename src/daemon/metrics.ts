/**
 * The metrics of all processes of all machines in one place: each process leaves its own in Redis with its sign of
 * life, and the HTTP role shows them together, each with the labels `role` and `instance`.
 */
import { hostname } from 'node:os';
import { AggregatorRegistry, Gauge } from 'prom-client';
import { registry } from '../metrics.ts';
import type { QueueRoom } from '../queue/index.ts';
import type { RoleName } from './protocol.ts';

interface ProcessMetrics {
  labels: { role: string; instance: string };
  metrics: { values: { labels: Record<string, string | number> }[] }[];
}

const instance = `${hostname()}:${process.pid}`;

/** Leaves this process's metrics for `keptMs` milliseconds. */
export async function publishMetrics(queue: QueueRoom, role: RoleName, keptMs: number): Promise<void> {
  const metrics = await registry.getMetricsAsJSON();
  const value = JSON.stringify({ labels: { role, instance }, metrics });
  await queue.redis.set(`${queue.prefix}:metrics:${role}:${instance}`, value, 'PX', keptMs);
}

/** All processes' metrics, depth of the queues and messages by state, in the Prometheus text format. */
export async function collectMetrics(queue: QueueRoom): Promise<{ contentType: string; text: string }> {
  const found: ProcessMetrics['metrics'][] = [];
  let cursor = '0';
  do {
    const [next, keys] = await queue.redis.scan(cursor, 'MATCH', `${queue.prefix}:metrics:*`, 'COUNT', 500);
    cursor = next;
    for (const key of keys) {
      const text = await queue.redis.get(key);
      if (text === null) continue;
      const { labels, metrics }: ProcessMetrics = JSON.parse(text);
      for (const { values } of metrics)
        for (const value of values) value.labels = { ...value.labels, ...labels };
      found.push(metrics);
    }
  } while (cursor !== '0');
  const all = AggregatorRegistry.aggregate(found);
  await addGauges(queue, all);
  return { contentType: all.contentType, text: await all.metrics() };
}

async function addGauges(
  queue: QueueRoom,
  all: ReturnType<typeof AggregatorRegistry.aggregate>,
): Promise<void> {
  const [depth, messages] = await Promise.all([queue.queues.depth(), queue.ledger.count()]);
  const jobs = new Gauge({
    name: 'sealpost_queue_jobs',
    help: 'Jobs by queue and what they do (waiting, active, delayed).',
    labelNames: ['queue', 'state'],
    registers: [all],
  });
  for (const [name, counts] of Object.entries(depth))
    for (const [state, count] of Object.entries(counts)) jobs.set({ queue: name, state }, count);
  const gauge = new Gauge({
    name: 'sealpost_messages',
    help: 'Messages in the ledger by state.',
    labelNames: ['state'],
    registers: [all],
  });
  for (const [state, count] of Object.entries(messages)) gauge.set({ state }, count);
}
