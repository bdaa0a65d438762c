import type { DestinationConfig } from '../config/schema.ts';
import { counter, histogram } from '../metrics.ts';
import { createDirectoryDestination } from './directory.ts';
import { createQueueDestination } from './queue-destination.ts';
import type { Destination, DestinationDeps, Outcome } from './types.ts';
import { createWebhookDestination } from './webhook.ts';

export { type ContentServerDeps, createContentHandler, type StoredContent } from './content-server.ts';
export type { HandoffDocument } from './document.ts';
export { type FailureDocument, failureDocument } from './failure.ts';
export { messageLimits } from './limits.ts';
export { composeMessage, headOctets } from './message.ts';
export { pieceFileName } from './names.ts';
export { jobOutcome } from './outcome.ts';
export { UrlSigner } from './signed-url.ts';
export type {
  Delivery,
  DeliveryPiece,
  Destination,
  DestinationDeps,
  Facts,
  JsonValue,
  Outcome,
  SignedUrl,
} from './types.ts';

/**
 * Makes a destination of a mailbox's list.
 *
 * Errors: those of `readSecret`; `file-access` for certificates that cannot be read. A folder that cannot be created is
 * not an error here: each delivery tries again.
 */
export async function createDestination(
  config: DestinationConfig,
  deps: DestinationDeps,
): Promise<Destination> {
  return counted(config.type, await create(config, deps));
}

function create(config: DestinationConfig, deps: DestinationDeps): Promise<Destination> {
  switch (config.type) {
    case 'directory':
      return createDirectoryDestination(config, deps);
    case 'webhook':
      return createWebhookDestination(config, deps);
    case 'queue':
      return createQueueDestination(config, deps);
  }
}

const attempts = counter('handoff_attempts_total', 'Attempts to hand a message off, by kind and result', [
  'kind',
  'result',
]);
const seconds = histogram(
  'handoff_seconds',
  'Time of one attempt to hand a message off',
  [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  ['kind'],
);

function counted(kind: DestinationConfig['type'], destination: Destination): Destination {
  return {
    name: destination.name,
    async deliver(delivery, signal) {
      const done = seconds.startTimer({ kind });
      const outcome = await destination.deliver(delivery, signal);
      done();
      attempts.inc({ kind, result: resultOf(outcome) });
      return outcome;
    },
    report: (report, signal) => destination.report(report, signal),
    close: () => destination.close(),
  };
}

function resultOf(outcome: Outcome): string {
  if ('done' in outcome) return 'done';
  if ('refused' in outcome) return 'refused';
  return outcome.untried === true ? 'untried' : 'retry';
}
