/**
 * Destinations: one file per kind (`directory.ts`, `webhook.ts`, `queue-destination.ts`, `mail-server.ts`,
 * `bucket.ts`), the document and the parts of a message as they are handed off, reports of suspended messages, and the
 * URLs from which content is fetched. This room decides nothing about a message, and cannot decrypt. Begin with
 * `types.ts`. A kind of destination is loaded when one is made, because webhooks need an HTTP client (12 MB), and
 * queues need BullMQ.
 */
import type { DestinationConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { counted } from './attempt.ts';
import type { probeBucket as tryBucket } from './bucket.ts';
import type {
  EventPoster,
  EventWebhookConfig,
  createEventPoster as makeEventPoster,
} from './event-webhook.ts';
import type { LocalDestination } from './local.ts';
import type { Destination, DestinationDeps, LocalDeps } from './types.ts';

export { messageLimits } from './attempt.ts';
export { type ContentServerDeps, createContentHandler, type StoredContent } from './content-server.ts';
export type { HandoffDocument } from './document.ts';
export type { EventPoster, EventWebhookConfig } from './event-webhook.ts';
export { failureDocument } from './failure.ts';
export type { LocalDraft } from './folder-draft.ts';
export type { LocalDestination } from './local.ts';
export { mailProbe, mailRoute } from './mail-route.ts';
export { composeMessage, composeStreamed, headOctets, messageOctets } from './message.ts';
export { pieceFileName } from './names.ts';
export { isAttachment, type ListedPart, PartLister } from './part-list.ts';
export { UrlSigner } from './signed-url.ts';
export type {
  Delivery,
  DeliveryPiece,
  Destination,
  DestinationDeps,
  FailureDocument,
  JsonValue,
  LocalDeps,
  MailNetwork,
  RateSettings,
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

async function create(config: DestinationConfig, deps: DestinationDeps): Promise<Destination> {
  switch (config.type) {
    case 'directory':
      return (await import('./directory.ts')).createDirectoryDestination(config, deps);
    case 'webhook':
      return (await import('./webhook.ts')).createWebhookDestination(config, deps);
    case 'queue':
      return await (await import('./queue-destination.ts')).createQueueDestination(config, deps);
    case 'smtp':
    case 'lmtp':
      return await (await import('./mail-server.ts')).createMailDestination(config, deps);
    case 's3':
      return await (await import('./bucket.ts')).createBucketDestination(config, deps);
  }
}

/** See `createEventPoster` in `event-webhook.ts`. */
export async function createEventPoster(...given: Parameters<typeof makeEventPoster>): Promise<EventPoster> {
  return await (await import('./event-webhook.ts')).createEventPoster(...given);
}

/**
 * Posts a signed test document to a webhook. Resolves with the Date field of the answer.
 *
 * Errors: `handoff-failed`, with what to do; those of `readSecret`; `file-access`.
 */
export async function probeWebhook(
  config: Extract<DestinationConfig, { type: 'webhook' }>,
  deps: Pick<DestinationDeps, 'readSecret' | 'limits' | 'now'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { createWebhookDestination } = await import('./webhook.ts');
  const bodyPart = { index: 0 };
  const webhook = await createWebhookDestination(config, { ...deps, bodyPart, signedUrl: undefined });
  try {
    const { outcome, date } = await webhook.probe(signal);
    if ('done' in outcome) return date;
    throw new SealpostError('handoff-failed', String(outcome.facts?.message ?? 'the webhook failed'), {
      hint: 'check url, secret and ca, and that it answers a document with "test": true with a 2xx',
    });
  } finally {
    await webhook.close();
  }
}

/**
 * Posts a signed test document to the webhook of events. Resolves with the Date field of the answer.
 *
 * Errors: `handoff-failed`, with what to do; those of `readSecret`; `file-access`.
 */
export async function probeEvents(
  config: EventWebhookConfig,
  deps: Pick<DestinationDeps, 'readSecret' | 'now'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const poster = await createEventPoster(config, deps);
  try {
    const outcome = await poster.probe(signal);
    if ('date' in outcome) return outcome.date;
    throw new SealpostError('handoff-failed', `the webhook of events does not work: ${outcome.failed}`, {
      hint: 'check url, secret and ca of events, and that it answers a document with "test": true with a 2xx',
    });
  } finally {
    await poster.close();
  }
}

/** See `probeBucket` in `bucket.ts`. */
export async function probeBucket(...given: Parameters<typeof tryBucket>): Promise<string | undefined> {
  return await (await import('./bucket.ts')).probeBucket(...given);
}

/** See `createLocalDestination` in `local.ts`. */
export async function createLocalDestination(
  config: DestinationConfig,
  deps: LocalDeps,
): Promise<LocalDestination | undefined> {
  const local = await import('./local.ts');
  return await local.createLocalDestination(config, deps);
}
