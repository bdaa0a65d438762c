/** Tells the destinations of `onSuspend` of suspended messages. What happens to a report never changes the message. */
import type { Config } from '../src/config/schema.ts';
import type { RoleContext } from '../src/daemon/role.ts';
import { createDestination, type Destination, failureDocument, jobOutcome } from '../src/handoff/index.ts';
import type { FailureJob, JobOutcome, MessageRecord, QueueRoom } from '../src/queue/index.ts';
import { destinationDeps } from './destination-deps.ts';

type OnSuspend = NonNullable<Config['mailboxes'][number]['onSuspend']>;

interface Route {
  destination: Destination;
  include: OnSuspend['include'];
}

export async function startReports(
  context: RoleContext,
): Promise<{ drain(timeoutMs: number): Promise<void> }> {
  const { config, queue } = context;
  const routes = await openRoutes(context);
  const worker = queue.queues.createWorker(
    'failures',
    async (job, { signal }) => {
      const route = routes.get(keyOf(job));
      return route ? await report(job, route, queue, signal) : { suspend: 'destination-unknown' };
    },
    { concurrency: config.workers.concurrency },
  );
  return {
    async drain(timeoutMs) {
      await worker.close(timeoutMs);
      await Promise.all([...routes.values()].map(({ destination }) => destination.close()));
    },
  };
}

function keyOf({ direction, owner }: Pick<FailureJob, 'direction' | 'owner'>): string {
  return `${direction}\n${owner}`;
}

async function openRoutes(context: RoleContext): Promise<Map<string, Route>> {
  const { mailboxes, partners } = context.config;
  // a report has no body part
  const deps = destinationDeps(context, { index: 0 });
  const owners = [
    ...mailboxes.map(({ name, onSuspend }) => ({ direction: 'inbound' as const, owner: name, onSuspend })),
    ...partners.map(({ name, onSuspend }) => ({ direction: 'outbound' as const, owner: name, onSuspend })),
  ];
  const opened = owners.map(async ({ direction, owner, onSuspend }): Promise<[string, Route][]> => {
    if (onSuspend === undefined) return [];
    const destination = await createDestination(onSuspend.destination, deps);
    return [[keyOf({ direction, owner }), { destination, include: onSuspend.include }]];
  });
  return new Map((await Promise.all(opened)).flat());
}

async function report(
  job: FailureJob,
  { destination, include }: Route,
  queue: QueueRoom,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const record = await queue.ledger.get(job.id);
  // Terminated, and so long ago that its record is gone.
  if (!record) return { done: true };
  const document = failureDocument(job, record, destination.name);
  const original = include === 'original' ? await originalOf(record, queue) : undefined;
  let outcome = await destination.report({ document, original }, signal);
  // The message may be suspended for just that, or ended meanwhile: the report goes without it.
  if ('refused' in outcome && original && ['spool-missing', 'spool-corrupt'].includes(outcome.code))
    outcome = await destination.report({ document, original: null }, signal);
  const { name } = destination;
  if ('done' in outcome) {
    const facts = { destination: name, work: job.work, ...outcome.facts };
    await queue.ledger.note(job.id, { type: 'reported', at: Date.now(), facts });
    return { done: true };
  }
  const facts = { destination: name, message: outcome.message };
  return jobOutcome(outcome, facts);
}

async function originalOf({ id }: MessageRecord, queue: QueueRoom) {
  const ref = await queue.flow.originalOf(id);
  return ref && { octets: ref.octets, open: () => queue.spool.open(ref) };
}
