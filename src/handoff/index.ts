import type { DestinationConfig } from '../config/schema.ts';
import { createDirectoryDestination } from './directory.ts';
import { createQueueDestination } from './queue-destination.ts';
import type { Destination, DestinationDeps } from './types.ts';
import { createWebhookDestination } from './webhook.ts';

/**
 * Makes the destination of a mailbox's list.
 *
 * Errors: those of `readSecret`; `file-access` for certificates that can not be read; what the file system says
 * about a folder that can not be made.
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
