/** Reports a suspended message to the destination of `onSuspend`. The outcome of a report never changes the message. */
import { failureDocument } from '../handoff/index.ts';
import type { FailureJob, Flow, JobContext, Ledger, Outcome } from '../queue/index.ts';
import { isLoss, type Spool } from '../spool/index.ts';
import type { ReportRoute } from './destinations.ts';

export interface ReportParts {
  /** Undefined if no report is wanted any more. */
  route: (job: FailureJob) => ReportRoute | undefined;
  ledger: Pick<Ledger, 'get' | 'note'>;
  flow: Pick<Flow, 'originalOf'>;
  spool: Pick<Spool, 'open'>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** The step of the queue `failures`. Errors: those of Redis. */
export function reportStep(
  parts: ReportParts,
): (job: FailureJob, context: Pick<JobContext, 'signal'>) => Promise<Outcome> {
  return async (job, { signal }) => {
    const route = parts.route(job);
    return route ? await report(job, route, parts, signal) : { suspend: 'destination-unknown' };
  };
}

async function report(
  job: FailureJob,
  { destination, include }: ReportRoute,
  parts: ReportParts,
  signal: AbortSignal,
): Promise<Outcome> {
  const { ledger } = parts;
  const record = await ledger.get(job.id);
  // terminated so long ago that its record is gone
  if (!record) return { done: true };
  const document = failureDocument(job, record, destination.name);
  const original = include === 'original' ? await originalOf(job.id, parts) : undefined;
  let outcome = await destination.report({ document, original }, signal);
  // The message may be suspended for just that reason, or may have ended meanwhile. The report is sent without it.
  if ('suspend' in outcome && original && isLoss(outcome.suspend))
    outcome = await destination.report({ document, original: null }, signal);
  const { name } = destination;
  if ('done' in outcome) {
    const facts = { destination: name, work: job.work, ...outcome.facts };
    await ledger.note(job.id, { type: 'reported', at: parts.now(), facts });
    return { done: true };
  }
  return { ...outcome, facts: { destination: name, ...outcome.facts } };
}

async function originalOf(id: string, { flow, spool }: ReportParts) {
  const ref = await flow.originalOf(id);
  return ref && { octets: ref.octets, open: () => spool.open(ref) };
}
