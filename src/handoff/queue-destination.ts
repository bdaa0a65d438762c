import { createHash } from 'node:crypto';
import { Queue } from 'bullmq';
import type { DestinationConfig } from '../config/index.ts';
import { type Facts, type Outcome, outcomeOf } from '../queue/index.ts';
import { foreignCode, stopped } from './attempt.ts';
import { attemptDocument } from './document.ts';
import { failureWithOriginal } from './failure.ts';
import type { Delivery, Destination, DestinationDeps } from './types.ts';

type QueueConfig = Extract<DestinationConfig, { type: 'queue' }>;

/** The operator's worker may get a job more than once, too. It recognizes it by the idempotency key. */
export const jobOptions = {
  attempts: 10,
  backoff: { type: 'exponential', delay: 5000, jitter: 0.5 },
  // the job contains readable content, so it is removed soon after it was processed
  removeOnComplete: { age: 3600, count: 1000 },
};

/** Name of the job of a message. */
export const jobName = 'message';

/** BullMQ accepts no ":" in a job id, and no id that consists of digits only. This mapping is one to one. */
export function jobId(idempotencyKey: string): string {
  const plain = idempotencyKey.replaceAll(':', '-');
  if (/^\d*$/.test(plain)) return `key-${plain}`;
  if (plain === idempotencyKey) return plain;
  return `${plain}-${createHash('sha256').update(idempotencyKey).digest('hex').slice(0, 8)}`;
}

/**
 * Adds each message as a job named `message` to a BullMQ queue of the operator, with the same JSON as for a webhook. If
 * a job with this id already exists, nothing is added. The content in the job is readable, as it is in a folder: this
 * Redis belongs to the operator.
 */
export async function createQueueDestination(
  config: QueueConfig,
  deps: DestinationDeps,
): Promise<Destination> {
  const name = config.name ?? config.type;
  const prefix = config.prefix ?? deps.redisPrefix;
  const connection = deps.connectRedis(prefix);
  const queue = new Queue(config.queue, { connection, prefix });
  // each failing call reports its error to its caller, but without a listener the event would end the process
  queue.on('error', (err) =>
    deps.log.debug({ err, destination: name }, 'connection of the queue destination'),
  );
  async function attempt(delivery: Delivery, signal: AbortSignal): Promise<Outcome> {
    const { document, keepUntil } = await attemptDocument(delivery, config, deps);
    const facts = await add(jobName, document, delivery.idempotencyKey, signal);
    return { done: true, facts, ...(keepUntil === undefined ? {} : { keepUntil }) };
  }

  async function add(what: string, document: object, key: string, signal: AbortSignal): Promise<Facts> {
    const id = jobId(key);
    const adding = queue
      .add(what, document, { ...jobOptions, jobId: id })
      .then(() => deps.ensureReplicated(connection, queue.toKey(id)));
    await untilAborted(adding, AbortSignal.any([signal, AbortSignal.timeout(addTimeout)]));
    return jobFacts(config.queue, id);
  }

  async function guarded(signal: AbortSignal, work: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return stopped;
      const message = `destination ${name} could not add to queue ${config.queue} (${foreignCode(error)})`;
      return outcomeOf(error) ?? { retry: 'handoff-failed', facts: { message }, peer: 'down' };
    }
  }

  return {
    name,
    deliver: (delivery, signal) => guarded(signal, () => attempt(delivery, signal)),
    report: (report, signal) =>
      guarded(signal, async () => {
        const document = await failureWithOriginal(report, config.inlineLimit);
        const facts = await add('suspended', document, report.document.idempotencyKey, signal);
        return { done: true, facts };
      }),
    async close() {
      await queue.close();
      connection.disconnect();
    },
  };
}

/** What the ledger says about the hand-off. */
export function jobFacts(queue: string, id: string): Facts {
  return { queue, jobId: id };
}

/** A lost connection must not hold the job for ever. A late addition finds its own id. */
const addTimeout = 30_000;

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  promise.catch(() => {});
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
