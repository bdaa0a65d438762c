/**
 * Destinations on this machine, as the process that decodes uses them: it hands a small message off itself, in the step
 * that decodes it, so that nothing has to be stored in between. What cannot be taken so (a folder that is slow, a text that
 * needs mailparser, anything that fails) goes through the queue `handoff`, as for all other destinations.
 */
import type { DestinationConfig } from '../config/index.ts';
import type { Facts, ForeignJob } from '../queue/index.ts';
import { countedTaken } from './counted.ts';
import { createDirectoryDestination } from './directory.ts';
import { makeDocument } from './document.ts';
import { patientCalls } from './file-calls.ts';
import { attemptLimits } from './limits.ts';
import { jobFacts, jobId, jobName, jobOptions } from './queue-destination.ts';
import type { Delivery, Destination, DestinationDeps } from './types.ts';

/** What was accepted; with `job` if the step that records it adds that job. */
export interface Taken {
  facts: Facts;
  job?: ForeignJob;
}

export interface LocalDestination {
  readonly name: string;
  /** Undefined when the message must go through the queue `handoff`. Does not throw. */
  take(delivery: Delivery, signal: AbortSignal): Promise<Taken | undefined>;
}

/** Undefined for destinations that are not on this machine. Errors: those of `createDestination`. */
export async function createLocalDestination(
  config: DestinationConfig,
  deps: DestinationDeps,
): Promise<LocalDestination | undefined> {
  const local = await create(config, deps);
  if (local === undefined) return undefined;
  const { name } = local;
  return { name, take: (delivery, signal) => countedTaken(config.type, () => local.take(delivery, signal)) };
}

async function create(
  config: DestinationConfig,
  deps: DestinationDeps,
): Promise<LocalDestination | undefined> {
  switch (config.type) {
    case 'directory':
      return new LocalFolder(await createDirectoryDestination(config, deps, patientCalls));
    case 'queue':
      // In one script with the record, and so among the keys that are on one node of a cluster.
      return config.prefix === undefined || config.prefix === deps.redisPrefix
        ? localQueue(config, deps)
        : undefined;
    default:
      return undefined;
  }
}

/** Milliseconds after which a folder is slow. */
const slowAfter = 1000;
/** Milliseconds for which a folder that was slow or failed is left to the queue. */
const rest = 10_000;
/** Messages that wait for the one that is being written. */
const mostWaiting = 16;

/** Writes one message at a time, so that a disk that hangs keeps few threads of the pool. */
export class LocalFolder implements LocalDestination {
  readonly name: string;
  readonly #destination: Pick<Destination, 'name' | 'deliver'>;
  /** Ends when nobody writes. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #resting = false;

  constructor(destination: Pick<Destination, 'name' | 'deliver'>) {
    this.#destination = destination;
    this.name = destination.name;
  }

  async take(delivery: Delivery, signal: AbortSignal): Promise<Taken | undefined> {
    if (this.#resting || this.#waiting >= mostWaiting) return undefined;
    this.#waiting += 1;
    const late = new AbortController();
    const work = this.#last.then(() => this.#write(delivery, AbortSignal.any([signal, late.signal])));
    this.#last = work;
    const slow = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => {
      // A write in progress continues and does no harm: the folder has the same name for every writer.
      this.#pause(work);
      slow.resolve(undefined);
    }, slowAfter);
    try {
      return await Promise.race([work, slow.promise]);
    } finally {
      this.#waiting -= 1;
      clearTimeout(timer);
      late.abort();
    }
  }

  async #write(delivery: Delivery, signal: AbortSignal): Promise<Taken | undefined> {
    if (this.#resting || signal.aborted) return undefined;
    const outcome = await this.#destination.deliver(delivery, signal).catch(() => undefined);
    if (outcome === undefined) return undefined;
    if ('done' in outcome) return { facts: outcome.facts ?? {} };
    if (!signal.aborted && 'peer' in outcome) this.#pause(Promise.resolve());
    return undefined;
  }

  /** Leaves the folder alone for a while after the work has ended. */
  #pause(work: Promise<unknown>): void {
    if (this.#resting) return;
    this.#resting = true;
    const wake = () => {
      this.#resting = false;
    };
    void work.finally(() => setTimeout(wake, rest).unref());
  }
}

function localQueue(
  config: Extract<DestinationConfig, { type: 'queue' }>,
  deps: DestinationDeps,
): LocalDestination {
  const { bodyPart, signedUrl, redisPrefix: prefix } = deps;
  const { queue, inlineLimit } = config;
  const name = config.name ?? config.type;
  return {
    name,
    async take(delivery) {
      try {
        const limits = attemptLimits(deps.limits, delivery.contentOctets);
        const settings = { inlineLimit, bodyPart, signedUrl, limits, mayParse: false };
        const { document, keepUntil } = await makeDocument(delivery, settings);
        // A URL needs content that is kept.
        if (keepUntil !== undefined) return undefined;
        const id = jobId(delivery.idempotencyKey);
        const options = { ...jobOptions, jobId: id };
        const job = { prefix, queue, name: jobName, id, data: JSON.stringify(document), options };
        return { facts: jobFacts(queue, id), job };
      } catch {
        // The queue tries it again, and knows what to say.
        return undefined;
      }
    },
  };
}
