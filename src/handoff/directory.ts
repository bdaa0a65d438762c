import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationConfig, MailboxConfig } from '../config/schema.ts';
import { hasCode } from '../errors.ts';
import { defaultMessageLimits, type MessageLimits } from '../message/limits.ts';
import { FolderSync, sweepTemporary } from './folder.ts';
import { writeSmall } from './folder-small.ts';
import { writeStreamed } from './folder-streamed.ts';
import { folderName } from './names.ts';
import { foreignCode, outcomeOf, stopped } from './outcome.ts';
import type { Delivery, Destination, DestinationDeps, Outcome } from './types.ts';

type DirectoryConfig = Extract<DestinationConfig, { type: 'directory' }>;

/** Content up to this size is handled in memory; beyond, it streams into the files. */
const smallLimit = 1024 * 1024;

/** What writing a folder needs to know. */
export interface FolderSettings {
  bodyPart: MailboxConfig['bodyPart'];
  limits: MessageLimits;
  sync: FolderSync;
}

/** The limits of the configuration in the terms of the message room. */
export function messageLimits(limits: DestinationDeps['limits']): MessageLimits {
  return {
    ...defaultMessageLimits,
    parts: limits.parts,
    depth: limits.depth,
    headerOctets: limits.headerSize,
  };
}

/**
 * Each message becomes a folder `<path>/<time>-<id>/` with
 * - `message.eml`: the decoded message,
 * - `verdict.json`: what it is worth,
 * - `body.<ext>`: the body part, decoded,
 * - `parts/NN-<name>`: every part, decoded, and `parts.json` with their facts; both only when there is more than
 *   the body part, or when it has a file name.
 *
 * The folder appears at once, complete and on disk: it is made beside under a name with a leading dot and renamed.
 * The name is the same for every attempt, so a message that is there already is not written again.
 */
export async function createDirectoryDestination(
  config: DirectoryConfig,
  deps: DestinationDeps,
): Promise<Destination> {
  await mkdir(config.path, { recursive: true });
  sweepTemporary(config.path, deps.now());
  const sync = new FolderSync(config.path);
  const settings: FolderSettings = { bodyPart: deps.bodyPart, limits: messageLimits(deps.limits), sync };
  const write = async (delivery: Delivery, signal: AbortSignal): Promise<Outcome> => {
    const folder = folderName(delivery.receivedAt, delivery.id);
    if (existsSync(join(config.path, folder))) return { done: true, facts: { folder, repeated: true } };
    const small = delivery.contentOctets <= smallLimit;
    await (small ? writeSmall : writeStreamed)(config.path, folder, delivery, settings, signal);
    return { done: true, facts: { folder } };
  };
  return {
    name: config.name ?? config.type,
    async deliver(delivery, signal) {
      try {
        return await write(delivery, signal);
      } catch (error) {
        return failure(error, config.path, signal);
      }
    },
    close: () => sync.close(),
  };
}

/** What to do about an error: the file system may recover, the message does not. */
function failure(error: unknown, path: string, signal: AbortSignal): Outcome {
  if (signal.aborted) return stopped;
  const own = outcomeOf(error);
  if (own !== undefined) return own;
  const code = foreignCode(error);
  const why = hasCode(error, 'ENOSPC', 'EDQUOT') ? `no space is left (${code})` : `it fails with ${code}`;
  return { retry: true, code: 'handoff-failed', message: `can not write into the folder ${path}: ${why}` };
}
