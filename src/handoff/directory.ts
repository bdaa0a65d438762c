import { join } from 'node:path';
import type { DestinationConfig } from '../config/index.ts';
import { isThere } from '../files.ts';
import { type Outcome, outcomeOf } from '../queue/index.ts';
import { FolderSync, folderName, unwritable, Volume, withDeadline } from '../volume.ts';
import { attemptLimits, stopped } from './attempt.ts';
import { writeFailure } from './folder.ts';
import { writeSmall } from './folder-small.ts';
import { writeStreamed } from './folder-streamed.ts';
import { messageFolder } from './names.ts';
import type { Destination, DestinationDeps } from './types.ts';

type DirectoryConfig = Extract<DestinationConfig, { type: 'directory' }>;

/** Content up to this size is handled in memory if the disk is local. Larger content is streamed into the files. */
const smallLimit = 1024 * 1024;

/**
 * Each message becomes a folder `<path>/<time>-<id>/` with
 * - `message.eml`: the decoded message,
 * - `verdict.json`: the verdict,
 * - `body.<ext>`: the body part, decoded,
 * - `parts/NN-<name>`: every part, decoded, and `parts.json` about them; both only if there is more than the body part,
 *    or if the body part has a file name,
 * - `pieces/<path>.eml`: the content of each S/MIME part below the message.
 *
 * The folder appears at once, complete and on disk: it is written under a name with a leading dot, and then renamed.
 * The name is the same for every attempt, so a message that is already there is not written again.
 */
export async function createDirectoryDestination(
  config: DirectoryConfig,
  deps: DestinationDeps,
): Promise<Destination> {
  const settings = {
    bodyPart: deps.bodyPart,
    sync: new FolderSync(config.path),
  };
  const volume = new Volume(config.path);
  const prepare = () => volume.prepare(deps.now());
  /** Writes the folder with this name; false if it already exists. */
  const put = async (
    folder: string,
    signal: AbortSignal,
    write: (isLocal: boolean) => Promise<void>,
  ): Promise<boolean> => {
    const isLocal = await volume.isLocal();
    const work = async () => {
      await prepare();
      if (await isThere(join(config.path, folder))) {
        // the process that renamed it may have died before the rename was on disk
        await settings.sync.sync();
        return false;
      }
      signal.throwIfAborted();
      await write(isLocal);
      return true;
    };
    return isLocal ? await work() : await volume.run(signal, work);
  };
  try {
    await volume.isLocal();
    await withDeadline(prepare());
  } catch (err) {
    // the other destinations must still work, and each delivery reports it again
    deps.log.warn({ err, path: config.path }, 'the folder of a destination cannot be used');
  }
  return {
    name: config.name ?? config.type,
    async deliver(delivery, signal) {
      const folder = messageFolder(delivery);
      try {
        const written = await put(folder, signal, async (isLocal) => {
          const small = isLocal && delivery.contentOctets <= smallLimit;
          const limits = attemptLimits(deps.limits, delivery.contentOctets);
          const write = small ? writeSmall : writeStreamed;
          await write(config.path, folder, delivery, { ...settings, limits, isLocal }, signal);
        });
        return { done: true, facts: { folder, ...(written ? {} : { repeated: true }) } };
      } catch (error) {
        return failure(error, config.path, signal);
      }
    },
    async report(report, signal) {
      const { receivedAt, idempotencyKey } = report.document;
      const folder = folderName(Date.parse(receivedAt), idempotencyKey);
      try {
        await put(folder, signal, () => writeFailure(config.path, folder, report, settings.sync, signal));
        return { done: true, facts: { folder } };
      } catch (error) {
        return failure(error, config.path, signal);
      }
    },
    async close() {},
  };
}

/** What to do about an error: a file system may recover, but a bad message does not. */
function failure(error: unknown, path: string, signal: AbortSignal): Outcome {
  if (signal.aborted) return stopped;
  const own = outcomeOf(error);
  if (own !== undefined) return own;
  const message = unwritable(path, error);
  return { retry: 'handoff-failed', facts: { message }, peer: 'down' };
}
