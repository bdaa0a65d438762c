/**
 * The queues: how many jobs they hold, and their workers. BullMQ is a quarter of what a process with workers loads, so
 * it is loaded with the first worker. Processes that only add or count jobs do not need it.
 */
import type { Redis } from 'ioredis';
import { guarded } from '../redis/index.ts';
import { type Keys, queueNames } from './keys.ts';
import type { Queues } from './types.ts';
import type { BullWorkers, WorkersParts } from './workers.ts';

const eventsKept = 10;

/** BullMQ keeps a stream of events for each queue, which nobody reads here, so it is kept short. */
export async function prepareQueues(redis: Redis, keys: Keys): Promise<void> {
  for (const name of queueNames)
    await guarded('queues', redis.hset(`${keys.prefix}:${name}:meta`, 'opts.maxLenEvents', eventsKept));
}

/** Closes the workers that their owners have not closed. */
export function openQueues(parts: WorkersParts): Queues & { close(): Promise<void> } {
  let workers: Promise<BullWorkers> | undefined;
  return {
    async createWorker(name, handler, options) {
      workers ??= import('./workers.ts').then(({ BullWorkers }) => new BullWorkers(parts));
      return await (await workers).createWorker(name, handler, options);
    },
    depth: () => depth(parts.redis, parts.keys),
    async close() {
      await (await workers)?.close();
    },
  };
}

async function depth(redis: Redis, keys: Keys): ReturnType<Queues['depth']> {
  const of = async (name: (typeof queueNames)[number]) => {
    const key = `${keys.prefix}:${name}`;
    const [waiting, parked, active, delayed] = await guarded(
      'queues',
      Promise.all([
        redis.llen(`${key}:wait`),
        redis.zcard(keys.parked(name)),
        redis.llen(`${key}:active`),
        redis.zcard(`${key}:delayed`),
      ]),
    );
    return { waiting: waiting + parked, active, delayed };
  };
  const lines = await guarded('queues', redis.smembers(`${keys.prefix}:lines`));
  const inLine = await guarded('queues', Promise.all(lines.map((each) => redis.zcard(keys.line(each)))));
  const [inbound, handoff, outbound, failures] = await Promise.all([
    of('inbound'),
    of('handoff'),
    of('outbound'),
    of('failures'),
  ]);
  // the first of each line has a job, or is suspended
  outbound.waiting += inLine.reduce((sum, each) => sum + Math.max(0, each - 1), 0);
  return { inbound, handoff, outbound, failures };
}
