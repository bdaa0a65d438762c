/**
 * Destinations: one file per kind (`directory.ts`, `webhook.ts`, `queue-destination.ts`), the document and the parts of a
 * message as they are handed off, reports of suspended messages, and the URLs that content is fetched from. It decides
 * nothing about a message, and cannot decrypt. Begin with `types.ts`.
 */
import type { DestinationConfig } from '../config/index.ts';
import { counted } from './counted.ts';
import { createDirectoryDestination } from './directory.ts';
import { createQueueDestination } from './queue-destination.ts';
import type { Destination, DestinationDeps } from './types.ts';

export { type ContentServerDeps, createContentHandler, type StoredContent } from './content-server.ts';
export type { HandoffDocument } from './document.ts';
export { failureDocument } from './failure.ts';
export { messageLimits } from './limits.ts';
export { createLocalDestination, type LocalDestination } from './local.ts';
export { composeMessage, headOctets } from './message.ts';
export { pieceFileName } from './names.ts';
export { UrlSigner } from './signed-url.ts';
export type {
  Delivery,
  DeliveryPiece,
  Destination,
  DestinationDeps,
  FailureDocument,
  JsonValue,
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
      return createDirectoryDestination(config, deps);
    case 'webhook': {
      // its HTTP client takes 12 MB, which a process without webhooks can do without
      const { createWebhookDestination } = await import('./webhook.ts');
      return createWebhookDestination(config, deps);
    }
    case 'queue':
      return createQueueDestination(config, deps);
  }
}
