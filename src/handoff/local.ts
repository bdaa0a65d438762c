/**
 * Destinations on the daemon's Redis, for the process that decodes. That process hands a small message off itself, in
 * the step that decodes it, so nothing has to be stored in between. What cannot be handed off in this way (a text that
 * needs mailparser, content above `inlineLimit`, anything that fails) goes through the queue `handoff`, as for all
 * other destinations. Small messages for folders always do: written beside the decoding, each would have to be
 * asynchronous, and that costs more processor time than the hop saves (docs/performance.md). Large ones go into a
 * folder of this machine while they are decoded (`folder-draft.ts`).
 */
import type { DestinationConfig } from '../config/index.ts';
import type { Facts, ForeignJob } from '../queue/index.ts';
import { countedTaken } from './attempt.ts';
import { attemptDocument } from './document.ts';
import type { DraftOf, LocalDraft } from './folder-draft.ts';
import { jobFacts, jobId, jobName, jobOptions } from './queue-destination.ts';
import type { Delivery, LocalDeps } from './types.ts';

/** The accepted message. With `job`, the step that records it adds that job. */
export interface Taken {
  facts: Facts;
  job?: ForeignJob;
}

export interface LocalDestination {
  readonly name: string;
  /** Undefined if the message must go through the queue `handoff`. Does not throw. */
  take(delivery: Delivery, signal: AbortSignal): Promise<Taken | undefined>;
  /**
   * For large messages: where one goes while it is decoded, and what is published once it has been judged. Undefined if
   * it must go through the queue `handoff`. Does not throw.
   */
  begin?(message: DraftOf): Promise<LocalDraft | undefined>;
  /**
   * For large messages: what the record of one would say that a process published and could not record before it died.
   * Undefined for any other. Does not throw.
   */
  published?(message: DraftOf): Promise<Facts | undefined>;
}

/**
 * Undefined for destinations to which the process that decodes cannot hand off. Errors: those of `createDestination`.
 */
export async function createLocalDestination(
  config: DestinationConfig,
  deps: LocalDeps,
): Promise<LocalDestination | undefined> {
  const local = await create(config, deps);
  if (local === undefined) return undefined;
  const { name, take, begin, published } = local;
  return {
    name,
    // a kind that takes no small messages makes no attempt at them
    take: async (delivery, signal) => take && (await countedTaken(config.type, () => take(delivery, signal))),
    ...(begin && { begin }),
    ...(published && { published }),
  };
}

type Local = Pick<LocalDestination, 'name'> & Partial<LocalDestination>;

async function create(config: DestinationConfig, deps: LocalDeps): Promise<Local | undefined> {
  switch (config.type) {
    case 'queue':
      // in one script with the record, so its key must be among those on the same node of a cluster
      return config.prefix === undefined || config.prefix === deps.redisPrefix
        ? localQueue(config, deps)
        : undefined;
    case 'directory':
      return deps.besideHandoff === true ? await localFolder(config, deps) : undefined;
    default:
      return undefined;
  }
}

/**
 * The hand-off of this machine writes into the same folder. On another machine, that path may be a different folder.
 */
async function localFolder(
  config: Extract<DestinationConfig, { type: 'directory' }>,
  deps: LocalDeps,
): Promise<Local> {
  const { FolderDrafts } = await import('./folder-draft.ts');
  const drafts = new FolderDrafts(config, deps);
  await drafts.sweep();
  return {
    name: config.name ?? config.type,
    begin: (message) => drafts.begin(message),
    async published(message) {
      const folder = await drafts.published(message);
      return folder === undefined ? undefined : { folder, repeated: true };
    },
  };
}

function localQueue(config: Extract<DestinationConfig, { type: 'queue' }>, deps: LocalDeps): Local {
  const { redisPrefix: prefix } = deps;
  const { queue } = config;
  const name = config.name ?? config.type;
  return {
    name,
    async take(delivery) {
      try {
        const { document, keepUntil } = await attemptDocument(delivery, config, deps, { mayParse: false });
        // a URL needs content that is kept
        if (keepUntil !== undefined) return undefined;
        const id = jobId(delivery.idempotencyKey);
        const options = { ...jobOptions, jobId: id };
        const job = {
          prefix,
          queue,
          name: jobName,
          id,
          data: Buffer.from(JSON.stringify(document)),
          options,
        };
        return { facts: jobFacts(queue, id), job };
      } catch {
        // the queue tries it again, and knows what to report
        return undefined;
      }
    },
  };
}
