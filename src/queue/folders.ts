/** Folders whose names survive a loss of power: a name is on disk only when the folder that has it was synced. */
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { hasCode, SealpostError, toErrorInfo } from '../errors.ts';

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
  for (const made of await makeMissing(resolve(folder), mode)) {
    try {
      await syncFolder(dirname(made));
    } catch (error) {
      // A folder that may be written but not read cannot be opened for it.
      if (!hasCode(error, 'EACCES', 'EPERM')) throw error;
    }
  }
}

/** As `makeFolder`, for `dataDir` and what is in it: an error of the operator, `file-access`. */
export async function makeDataFolder(folder: string, mode?: number): Promise<void> {
  try {
    await makeFolder(folder, mode);
  } catch (cause) {
    throw new SealpostError('file-access', `the data folder cannot be made: ${toErrorInfo(cause).message}`, {
      hint: 'set dataDir to a folder that the user of the daemon may write',
      cause,
    });
  }
}

/**
 * Folder by folder, and not `mkdir` with `recursive`: in /proc, where a folder exists and nothing can be made, that
 * asks again for ever in a thread that no signal reaches.
 */
async function makeMissing(folder: string, mode: number): Promise<string[]> {
  const missing: string[] = [];
  let at = folder;
  while (!(await isThere(at))) {
    missing.push(at);
    at = dirname(at);
  }
  // Throws: what is there is no folder.
  if (missing.length === 0 && !(await stat(folder)).isDirectory()) await mkdir(folder, { mode });
  for (const each of missing.toReversed()) {
    try {
      await mkdir(each, { mode });
    } catch (error) {
      // Made by another process meanwhile.
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
  return missing;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}
