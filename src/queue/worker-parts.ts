/** Small parts of the workers: how long, how they end, and what is said of an outcome. */
import type { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import { disconnect } from '../redis/index.ts';
import type { Jobs, Outcome, QueueName } from './types.ts';

/** For traces: `done`, or what failed. */
export function outcomeText(outcome: Outcome): string {
  if ('done' in outcome) return 'done';
  return 'retry' in outcome ? `retry ${outcome.retry}` : `suspend ${outcome.suspend}`;
}

/** Milliseconds after which a message that has expired should say so; at least a tenth of a second. */
export function untilExpired(data: Jobs[QueueName], now: number): number {
  const { notAfter } = ('delivery' in data ? data.delivery : undefined) ?? {};
  return notAfter === undefined ? Number.POSITIVE_INFINITY : Math.max(100, notAfter + 1 - now);
}
export async function closeWorker(
  worker: Worker,
  connection: Redis,
  ended: AbortController,
  timeoutMs: number,
): Promise<void> {
  const graceful = worker.close();
  graceful.catch(() => undefined);
  const late = await Promise.race([
    graceful.then(
      () => false,
      () => false,
    ),
    new Promise<boolean>((resolve) => {
      setTimeout(() => resolve(true), timeoutMs).unref();
    }),
  ]);
  // Remaining jobs keep their locks until these expire; then another worker takes them.
  ended.abort(new SealpostError('internal', 'the worker has closed'));
  if (late) worker.disconnect().catch(() => undefined);
  await disconnect(connection);
}
