/** Signs and encrypts a message for its partner and sends it by the partner's route. */
import { Budget } from '../budget.ts';
import type { Config, PartnerConfig } from '../config/schema.ts';
import { SealpostError } from '../errors.ts';
import type { Flow, JobContext, JobOutcome, OutboundJob, Spool } from '../queue/index.ts';
import { type EncodeOptions, encode, estimateOctets } from '../smime/index.ts';
import type { Sender, SendResult } from '../smtp/send.ts';

/** A partner that mail can be sent to. */
export interface SendRoute {
  partner: PartnerConfig;
  sender: Pick<Sender, 'send'>;
}

export interface SendParts {
  spool: Pick<Spool, 'open'>;
  flow: Pick<Flow, 'fetch' | 'sent'>;
  /** Undefined where there is no partner of that name. */
  route: (partner: string) => SendRoute | undefined;
  /** How mail for the partner is protected, with the keys of now; throws what cannot be done as a `SealpostError`. */
  protection: (partner: PartnerConfig) => EncodeOptions;
  limits: Pick<Config['limits'], 'work' | 'output'>;
}

/** The step of the queue `outbound`. Errors: those of the spool and of Redis. */
export function sendStep(
  parts: SendParts,
): (job: OutboundJob, context: Pick<JobContext, 'signal'>) => Promise<JobOutcome> {
  return async (job, { signal }) => {
    const route = parts.route(job.partner);
    if (!route) return { suspend: 'partner-unknown' };
    return await sendTo(route, job, parts, signal);
  };
}

async function sendTo(
  { partner, sender }: SendRoute,
  job: OutboundJob,
  { flow, spool, protection, limits }: SendParts,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const { state, octets } = await flow.fetch(job.id, [job.octets]);
  if (state !== 'queued') return { done: true };
  let options: EncodeOptions;
  try {
    const { work, output } = limits;
    options = { ...protection(partner), budget: new Budget({ work, output }) };
  } catch (error) {
    if (error instanceof SealpostError) return { suspend: error.code, facts: { message: error.message } };
    throw error;
  }
  const [small] = octets;
  // what is large can be read twice: parts that are 7bit already stay so under a detached signature
  const plain = small ?? (() => spool.open(job.octets));
  let failure: { suspend: string; facts: { message: string } } | undefined;
  const failed = (error: unknown) => {
    if (error instanceof SealpostError) failure = { suspend: error.code, facts: { message: error.message } };
    return error;
  };
  let result: SendResult;
  try {
    result = await sender.send(
      {
        envelope: job.envelope,
        estimate: estimateOctets(job.octets.octets, options),
        octets: async function* () {
          try {
            yield* encode(plain, options);
          } catch (error) {
            // The sender sees a broken stream, and the SMTP library writes a code of its own into the error; why it
            // broke is known here only.
            throw failed(error);
          }
        },
      },
      signal,
    );
  } catch (error) {
    // before anybody was connected to: the message's own fault, never the route's
    failed(error);
    if (failure === undefined) throw error;
    return failure;
  }
  if (failure) return failure;
  return await outcomeOf(job, result, flow);
}

async function outcomeOf(
  job: OutboundJob,
  result: SendResult,
  flow: Pick<Flow, 'sent'>,
): Promise<JobOutcome> {
  const { status, code, reply, host, possibleDuplicate, peer } = result;
  const facts = { host, code: code === null ? null : String(code), reply, possibleDuplicate };
  if (status === 'sent') {
    await flow.sent(job, facts);
    return { done: true };
  }
  if (status === 'refused') return { suspend: 'send-refused', facts, peer };
  return { retry: 'send-failed', facts, peer };
}
