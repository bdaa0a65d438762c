/** Hands a decoded message off to one destination of its mailbox. */
import type { Delivery, Destination } from '../handoff/index.ts';
import {
  type Flow,
  type HandoffJob,
  type InboundJob,
  type JobContext,
  messageOf,
  type Outcome,
  routeOf,
} from '../queue/index.ts';
import type { Spool } from '../spool/index.ts';
import { type DecodeResultRecord, deliveryPieces, readResult } from './stored.ts';
import type { Turns } from './turns.ts';

export interface DeliverParts {
  spool: Pick<Spool, 'open' | 'read'>;
  flow: Pick<Flow, 'fetch' | 'handedOff'>;
  /** Undefined if the mailbox has no destination with that name. */
  destination: (mailbox: string, name: string) => Destination | undefined;
  /** Limits how many large messages are processed at a time. */
  large: Turns;
}

/** The step of the queue `handoff`. Errors: those of the spool and of Redis. */
export function deliverStep(
  parts: DeliverParts,
): (job: HandoffJob, context: Pick<JobContext, 'signal' | 'end'>) => Promise<Outcome> {
  return async (job, context) => {
    const destination = parts.destination(job.mailbox, job.destination);
    if (!destination) return { suspend: 'destination-unknown' };
    const deliver = () => deliverTo(destination, job, parts, context);
    if (job.content.kind !== 'file') return await deliver();
    return await parts.large.run(routeOf('handoff', job), deliver);
  };
}

async function deliverTo(
  destination: Destination,
  job: HandoffJob,
  { flow, spool }: DeliverParts,
  { signal, end }: Pick<JobContext, 'signal' | 'end'>,
): Promise<Outcome> {
  const { state, octets } = await flow.fetch(job.id, [job.result, job.content], end);
  // done by another process after this one had lost its lock, or ended by a person
  if (state !== 'decoded' && state !== 'suspended') return { done: true };
  const [result, small] = octets;
  const stored = readResult(result ?? (await spool.read(job.result)));
  const outcome = await destination.deliver(deliveryOf(job, stored, small ?? null, spool), signal);
  if ('done' in outcome) {
    await flow.handedOff(job, outcome.facts ?? {}, outcome.keepUntil, end);
    return { done: true };
  }
  return { ...outcome, facts: { destination: job.destination, ...outcome.facts } };
}

function deliveryOf(
  job: HandoffJob,
  { pieces, ...result }: DecodeResultRecord,
  small: Buffer | null,
  spool: DeliverParts['spool'],
): Delivery {
  return {
    ...identityOf(job, job.destination),
    ...result,
    async *content() {
      if (small) yield small;
      else yield* spool.open(job.content);
    },
    contentOctets: job.content.octets,
    contentSha256: job.content.sha256,
    read: async () => small ?? (await spool.read(job.content)),
    pieces: deliveryPieces(pieces, spool),
    ...(job.reached === undefined ? {} : { reached: job.reached }),
  };
}

/** What identifies a delivery, and where its message came from. */
export function identityOf(job: InboundJob | HandoffJob, destination: string) {
  const { id, again } = job;
  return {
    ...messageOf(job),
    idempotencyKey: `${id}.${destination}${again === undefined ? '' : `.again${again}`}`,
    ...(again === undefined ? {} : { again }),
    destination,
  };
}
