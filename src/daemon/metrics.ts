/**
 * The metrics of all processes on all machines in one place. Each process stores its own in Redis with its heartbeat,
 * and the HTTP role shows them together, with the labels `role` and `instance`.
 */
import AggregatorRegistry from 'prom-client/lib/cluster.js';
import Gauge from 'prom-client/lib/gauge.js';
import { registry } from '../metrics.ts';
import type { QueueRoom, SuspendedGroup } from '../queue/index.ts';
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

/** Groups of all days together. */
function wholeGroups(groups: readonly SuspendedGroup[]): SuspendedGroup[] {
  const whole = new Map<string, SuspendedGroup>();
  for (const each of groups) {
    const { direction, mailbox, partner, reason } = each;
    const key = JSON.stringify([direction, mailbox, partner, reason]);
    whole.set(key, { ...each, messages: each.messages + (whole.get(key)?.messages ?? 0) });
  }
  return [...whole.values()];
}

/** Groups of suspended messages that have time series of their own. */
const mostGroups = 500;

async function addGauges(
  queue: QueueRoom,
  all: ReturnType<typeof AggregatorRegistry.aggregate>,
): Promise<void> {
  const [depth, messages, suspended, downRoutes] = await Promise.all([
    queue.queues.depth(),
    queue.ledger.count(),
    queue.ledger.suspended(),
    queue.routes.down(),
  ]);
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name: `sealpost_${name}`, help, labelNames, registers: [all] });
  const jobs = gauge('queue_jobs', 'Jobs by queue and what they do (waiting, active, delayed).', [
    'queue',
    'state',
  ]);
  for (const [name, counts] of Object.entries(depth))
    for (const [state, count] of Object.entries(counts)) jobs.set({ queue: name, state }, count);
  const byState = gauge('messages', 'Messages in the ledger by state.', ['state']);
  for (const [state, count] of Object.entries(messages)) byState.set({ state }, count);
  const waiting = gauge(
    'suspended_messages',
    'Messages that wait for a person, by whose they are and why; the 500 largest groups, and all others together.',
    ['direction', 'mailbox', 'partner', 'reason'],
  );
  const groups = wholeGroups(suspended.groups).sort((a, b) => b.messages - a.messages);
  groups.forEach(({ direction, mailbox, partner, reason, messages: count }, at) => {
    if (at < mostGroups)
      waiting.inc({ direction, mailbox: mailbox ?? '', partner: partner ?? '', reason }, count);
    else waiting.inc({ direction, mailbox: 'other', partner: 'other', reason: 'other' }, count);
  });
  const oldest = gauge(
    'oldest_message_seconds',
    'Age of the oldest message that is on its way, by state; also of one that shall leave later.',
    ['state'],
  );
  const now = Date.now();
  for (const state of ['received', 'decoded', 'queued', 'suspended'] as const) {
    const [first] = await queue.ledger.oldest(state, 1);
    oldest.set({ state }, first ? Math.max(0, now - first.receivedAt) / 1000 : 0);
  }
  const down = gauge(
    'route_down_seconds',
    'For how long routes have been down. Routes that are up are absent.',
    [...['queue', 'mailbox', 'destination', 'partner']],
  );
  for (const { queue: name, mailbox, destination, partner, since } of downRoutes.slice(0, mostGroups))
    down.set(
      { queue: name, mailbox: mailbox ?? '', destination: destination ?? '', partner: partner ?? '' },
      Math.max(0, now - since) / 1000,
    );
}
