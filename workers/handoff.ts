/** Brings decoded messages to the destinations of their mailbox. */
import { type RoleContext, runRole } from '../src/daemon/role.ts';
import { createDestination, type Delivery, type Destination, jobOutcome } from '../src/handoff/index.ts';
import type { HandoffJob, JobContext, JobOutcome, QueueRoom } from '../src/queue/index.ts';
import { destinationDeps } from './destination-deps.ts';
import { startReports } from './reports.ts';
import { deliveryPieces, readResult } from './result.ts';
import { Turns } from './turns.ts';

await runRole('handoff', async (context) => {
  const { config, queue } = context;
  const destinations = await openDestinations(context);
  const reports = await startReports(context);
  const large = new Turns(config.workers.large);
  const worker = queue.queues.createWorker(
    'handoff',
    async (job, jobContext) => {
      const key = keyOf(job.mailbox, job.destination);
      const destination = destinations.get(key);
      if (!destination) return { suspend: 'destination-unknown' };
      const deliver = () => work(job, destination, queue, jobContext);
      return job.content.kind === 'file' ? large.run(key, deliver) : deliver();
    },
    { concurrency: config.workers.concurrency },
  );
  return {
    facts: { destinations: destinations.size },
    async drain(timeoutMs) {
      await Promise.all([worker.close(timeoutMs), reports.drain(timeoutMs)]);
      await Promise.all([...destinations.values()].map((destination) => destination.close()));
    },
  };
});

function keyOf(mailbox: string, destination: string): string {
  return `${mailbox}\n${destination}`;
}

async function openDestinations(context: RoleContext): Promise<Map<string, Destination>> {
  // All at a time: a folder that does not answer takes seconds to be given up.
  const opened = context.config.mailboxes.flatMap((mailbox) =>
    mailbox.destinations.map(async (settings): Promise<[string, Destination]> => {
      const destination = await createDestination(settings, destinationDeps(context, mailbox.bodyPart));
      return [keyOf(mailbox.name, destination.name), destination];
    }),
  );
  return new Map(await Promise.all(opened));
}

async function work(
  job: HandoffJob,
  destination: Destination,
  queue: QueueRoom,
  { signal }: JobContext,
): Promise<JobOutcome> {
  const { state, octets } = await queue.flow.fetch(job.id, [job.result, job.content]);
  // Done by another process that lost its lock, or ended by a person.
  if (state !== 'decoded' && state !== 'suspended') return { done: true };
  const [result, small] = octets;
  const outcome = await destination.deliver(
    deliveryOf(job, readResult(result ?? (await queue.spool.read(job.result))), small ?? null, queue),
    signal,
  );
  if ('done' in outcome) {
    await queue.flow.handedOff(job, outcome.facts, outcome.keepUntil);
    return { done: true };
  }
  const facts = { destination: job.destination, message: outcome.message };
  return jobOutcome(outcome, facts);
}

function deliveryOf(
  job: HandoffJob,
  { verdict, header, whole, headers, pieces }: ReturnType<typeof readResult>,
  small: Buffer | null,
  queue: QueueRoom,
): Delivery {
  return {
    id: job.id,
    idempotencyKey: `${job.id}.${job.destination}${job.again === undefined ? '' : `.again${job.again}`}`,
    ...(job.again === undefined ? {} : { again: job.again }),
    mailbox: job.mailbox,
    destination: job.destination,
    envelope: job.envelope,
    origin: job.origin,
    receivedAt: job.receivedAt,
    verdict,
    header,
    whole,
    ...(headers === undefined ? {} : { headers }),
    async *content() {
      if (small) yield small;
      else yield* queue.spool.open(job.content);
    },
    contentOctets: job.content.octets,
    contentSha256: job.content.sha256,
    read: async () => small ?? (await queue.spool.read(job.content)),
    pieces: deliveryPieces(pieces, queue.spool),
  };
}
