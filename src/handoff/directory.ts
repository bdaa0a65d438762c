import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DestinationConfig, MailboxConfig } from '../config/schema.ts';
import { hasCode } from '../errors.ts';
import type { MessageLimits } from '../message/limits.ts';
import { makeFolder } from '../queue/folders.ts';
import { FolderSync, sweepTemporary } from './folder.ts';
import { writeFailure } from './folder-failure.ts';
import { writeSmall } from './folder-small.ts';
import { writeStreamed } from './folder-streamed.ts';
import { messageLimits } from './limits.ts';
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

/**
 * Each message becomes a folder `<path>/<time>-<id>/` with
 * - `message.eml`: the decoded message,
 * - `verdict.json`: what it is worth,
 * - `body.<ext>`: the body part, decoded,
 * - `parts/NN-<name>`: every part, decoded, and `parts.json` with their facts; both only when there is more than
 *   the body part, or when it has a file name,
 * - `pieces/<path>.eml`: the content of each S/MIME part below the message.
 *
 * The folder appears at once, complete and on disk: it is made beside under a name with a leading dot and renamed.
 * The name is the same for every attempt, so a message that is there already is not written again.
 */
export async function createDirectoryDestination(
  config: DirectoryConfig,
  deps: DestinationDeps,
): Promise<Destination> {
  const settings: FolderSettings = {
    bodyPart: deps.bodyPart,
    limits: messageLimits(deps.limits),
    sync: new FolderSync(config.path),
  };
  let ready = false;
  /** Once: a folder that goes away later may be a volume that is not mounted, and is not made again. */
  const prepare = async () => {
    await makeFolder(config.path);
    sweepTemporary(config.path, deps.now());
    ready = true;
  };
  const write = async (delivery: Delivery, signal: AbortSignal): Promise<Outcome> => {
    if (!ready) await prepare();
    const suffix = delivery.again === undefined ? '' : `.again${delivery.again}`;
    const folder = folderName(delivery.receivedAt, delivery.id + suffix);
    if (existsSync(join(config.path, folder))) {
      // Whoever gave it its name may have died before that was on disk.
      await settings.sync.sync();
      return { done: true, facts: { folder, repeated: true } };
    }
    const small = delivery.contentOctets <= smallLimit;
    await (small ? writeSmall : writeStreamed)(config.path, folder, delivery, settings, signal);
    return { done: true, facts: { folder } };
  };
  try {
    await prepare();
  } catch (err) {
    // the other destinations shall work all the same; each delivery says it again
    deps.log.warn({ err, path: config.path }, 'the folder of a destination can not be used');
  }
  return {
    name: config.name ?? config.type,
    async deliver(delivery, signal) {
      try {
        return await write(delivery, signal);
      } catch (error) {
        return failure(error, config.path, signal);
      }
    },
    async report(report, signal) {
      const { receivedAt, idempotencyKey } = report.document;
      const folder = folderName(Date.parse(receivedAt), idempotencyKey);
      try {
        if (!ready) await prepare();
        if (!existsSync(join(config.path, folder)))
          await writeFailure(config.path, folder, report, settings.sync, signal);
        return { done: true, facts: { folder } };
      } catch (error) {
        return failure(error, config.path, signal);
      }
    },
    async close() {},
  };
}

/** What to do about an error: the file system may recover, the message does not. */
function failure(error: unknown, path: string, signal: AbortSignal): Outcome {
  if (signal.aborted) return stopped;
  const own = outcomeOf(error);
  if (own !== undefined) return own;
  const code = foreignCode(error);
  const why = hasCode(error, 'ENOSPC', 'EDQUOT') ? `no space is left (${code})` : `it fails with ${code}`;
  const message = `cannot write into the folder ${path}: ${why}`;
  return { retry: true, code: 'handoff-failed', message, peer: 'down' };
}
