import type { DestinationConfig } from '../config/schema.ts';
import { createDirectoryDestination } from './directory.ts';
import { createQueueDestination } from './queue-destination.ts';
import type { Destination, DestinationDeps } from './types.ts';
import { createWebhookDestination } from './webhook.ts';

export { type ContentServerDeps, createContentHandler, type StoredContent } from './content-server.ts';
export type { HandoffDocument } from './document.ts';
export { messageLimits } from './limits.ts';
export { UrlSigner } from './signed-url.ts';
export type {
  Delivery,
  Destination,
  DestinationDeps,
  Facts,
  JsonValue,
  Outcome,
  SignedUrl,
} from './types.ts';

/**
 * Makes the destination of a mailbox's list.
 *
 * Errors: those of `readSecret`; `file-access` for certificates that can not be read. A folder that can not
 * be made is no error here: each delivery tries again.
 */
export function createDestination(config: DestinationConfig, deps: DestinationDeps): Promise<Destination> {
  switch (config.type) {
    case 'directory':
      return createDirectoryDestination(config, deps);
    case 'webhook':
      return createWebhookDestination(config, deps);
    case 'queue':
      return createQueueDestination(config, deps);
  }
}
