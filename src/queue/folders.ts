/** Folders whose names survive a loss of power: a name is on disk only when the folder that has it was synced. */
import { mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { hasCode } from '../errors.ts';

/** Writes the names in a folder to disk. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a folder and those above it that are missing; the names of all that were made are on disk when this resolves. */
export async function makeFolder(folder: string, mode = 0o777): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode });
  if (first === undefined) return;
  const top = resolve(first);
  for (let made = resolve(folder); made.length >= top.length; made = dirname(made)) {
    try {
      await syncFolder(dirname(made));
    } catch (error) {
      // A folder that may be written but not read can not be opened for it.
      if (!hasCode(error, 'EACCES', 'EPERM')) throw error;
    }
  }
}
