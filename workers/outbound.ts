/** Signs and encrypts messages for partners and sends them by the partner's route. */
import { Budget } from '../src/budget.ts';
import { type LoadedKeys, loadKeys } from '../src/config/keys.ts';
import type { Config, PartnerConfig } from '../src/config/schema.ts';
import { readSecret } from '../src/config/secrets.ts';
import { runRole } from '../src/daemon/role.ts';
import { SealpostError } from '../src/errors.ts';
import { outboundProtection } from '../src/partner/outbound.ts';
import type { JobContext, JobOutcome, OutboundJob, QueueRoom } from '../src/queue/index.ts';
import { type EncodeOptions, encode, estimateOctets } from '../src/smime/index.ts';
import { createSender, type Sender, type SendResult } from '../src/smtp/send.ts';

await runRole('outbound', async ({ config, queue }) => {
  const keys = loadKeys(config);
  const senders = new Map(
    config.partners.map(({ name, route }) => [
      name,
      createSender({ route, readSecret, name: config.smtp.hostname }),
    ]),
  );
  const worker = queue.queues.createWorker(
    'outbound',
    async (job, context) => {
      const partner = config.partners.find(({ name }) => name === job.partner);
      const sender = senders.get(job.partner);
      if (!partner || !sender) return { suspend: 'partner-unknown' };
      return work(job, partner, { keys, sender, queue, context, limits: config.limits });
    },
    {
      concurrency: config.workers.concurrency,
      // More of them would only wait for a connection.
      most: (name) => config.partners.find((partner) => partner.name === name)?.route.connections ?? 1,
    },
  );
  return {
    facts: { partners: senders.size },
    async drain(timeoutMs) {
      await worker.close(timeoutMs);
      await Promise.all([...senders.values()].map((sender) => sender.close()));
    },
  };
});

interface Tools {
  keys: LoadedKeys;
  sender: Sender;
  queue: QueueRoom;
  context: JobContext;
  limits: Pick<Config['limits'], 'work' | 'output'>;
}

async function work(job: OutboundJob, partner: PartnerConfig, tools: Tools): Promise<JobOutcome> {
  const { keys, sender, queue, context, limits } = tools;
  const { state, octets } = await queue.flow.fetch(job.id, [job.octets]);
  if (state !== 'queued') return { done: true };
  let options: EncodeOptions;
  try {
    const { work, output } = limits;
    options = { ...outboundProtection(partner, keys, new Date()), budget: new Budget({ work, output }) };
  } catch (error) {
    if (error instanceof SealpostError) return { suspend: error.code, facts: { message: error.message } };
    throw error;
  }
  const [small] = octets;
  // what is large can be read twice: parts that are 7bit already stay so under a detached signature
  const plain = small ?? (() => queue.spool.open(job.octets));
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
      context.signal,
    );
  } catch (error) {
    // before anybody was connected to: the message's own fault, never the route's
    failed(error);
    if (failure === undefined) throw error;
    return failure;
  }
  if (failure) return failure;
  return outcomeOf(job, result, queue);
}

async function outcomeOf(job: OutboundJob, result: SendResult, queue: QueueRoom): Promise<JobOutcome> {
  const { status, code, reply, host, possibleDuplicate, peer } = result;
  const facts = { host, code: code === null ? null : String(code), reply, possibleDuplicate };
  if (status === 'sent') {
    await queue.flow.sent(job, facts);
    return { done: true };
  }
  if (status === 'refused') return { suspend: 'send-refused', facts, peer };
  return { retry: 'send-failed', facts, peer };
}
