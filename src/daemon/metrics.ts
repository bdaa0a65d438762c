/**
 * The metrics of all processes on all machines in one place. Each process stores its own in Redis with its heartbeat,
 * and the HTTP role shows them together, with the labels `role` and `instance`.
 */
import AggregatorRegistry from 'prom-client/lib/cluster.js';
import Gauge from 'prom-client/lib/gauge.js';
import { registry } from '../metrics.ts';
import type { QueueRoom } from '../queue/index.ts';
import { instance, leave, present } from './presence.ts';
import type { RoleName } from './protocol.ts';

interface ProcessMetrics {
  labels: { role: string; instance: string };
  metrics: { name?: string; values: { labels: Record<string, string | number>; value?: number }[] }[];
}

/** Stores this process's metrics for `keptMs` milliseconds. */
export async function publishMetrics(queue: QueueRoom, role: RoleName, keptMs: number): Promise<void> {
  const metrics = await registry.getMetricsAsJSON();
  await leave(queue, 'metrics', role, { labels: { role, instance }, metrics }, keptMs);
}

/** A value of one process, with the labels of its metric. */
export interface Measured {
  /** Without `sealpost_`. */
  name: string;
  /** Host and process. */
  instance: string;
  role: string;
  labels: Record<string, string | number>;
  value: number;
}

/** The values of some metrics (named without `sealpost_`), process by process. */
export async function readMetrics(queue: QueueRoom, names: readonly string[]): Promise<Measured[]> {
  const found = (await present(queue, 'metrics')).map((text): ProcessMetrics => JSON.parse(text));
  return found.flatMap(({ labels: { role, instance }, metrics }) =>
    metrics.flatMap(({ name = '', values }) => {
      const own = name.replace(/^sealpost_/, '');
      if (!names.includes(own)) return [];
      return values.map(({ labels, value = 0 }) => ({ name: own, instance, role, labels, value }));
    }),
  );
}

/** All processes' metrics, depth of the queues and messages by state, in the Prometheus text format. */
export async function collectMetrics(queue: QueueRoom): Promise<{ contentType: string; text: string }> {
  const found: ProcessMetrics['metrics'][] = [];
  for (const text of await present(queue, 'metrics')) {
    const { labels, metrics }: ProcessMetrics = JSON.parse(text);
    for (const { values } of metrics)
      for (const value of values) value.labels = { ...value.labels, ...labels };
    found.push(metrics);
  }
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
