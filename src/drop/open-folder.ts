/**
 * Open folders. What is in one is reached through its handle (`/proc/self/fd/N/NAME`), so nobody can put a link in the
 * place of a folder between two calls. Without /proc the path is used, and a link is only seen when the folder is
 * opened.
 */
import { existsSync } from 'node:fs';
import { constants, type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, SealpostError, toErrorInfo } from '../errors.ts';

const byHandle = existsSync('/proc/self/fd');

/** A name in a folder: text, or octets that are not UTF-8. */
export type Name = string | Buffer;

export class OpenFolder {
  readonly path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /**
   * @param path not a link itself
   * @throws {SealpostError} `file-access` (also for a link), `file-mode` (everyone may write there)
   */
  static async open(path: string, shown = path): Promise<OpenFolder> {
    let handle: FileHandle;
    try {
      const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
      handle = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (cause) {
      if (hasCode(cause, 'ELOOP', 'ENOTDIR'))
        throw new SealpostError('file-access', `${shown}: is a link, or not a folder`, {
          hint: 'make it a folder; links are not followed here',
          cause,
        });
      const why = hasCode(cause, 'ENOENT') ? 'there is no such folder' : toErrorInfo(cause).message;
      throw new SealpostError('file-access', `${shown}: ${why}`, {
        hint: 'make the folder, and let the user that runs Sealpost read and write there',
        cause,
      });
    }
    const folder = new OpenFolder(shown, handle);
    const { mode, uid } = await handle.stat();
    if ((mode & 0o002) !== 0) {
      await folder.close();
      throw new SealpostError('file-mode', `${shown}: everyone may write there`, {
        hint: `run: chmod o-w ${shown}`,
      });
    }
    folder.owner = { uid, mode };
    return folder;
  }

  /** As it was when the folder was opened. */
  owner = { uid: -1, mode: 0 };

  /** The path of what has this name here. */
  at(name: Name = '.'): string | Buffer {
    const folder = byHandle ? `/proc/self/fd/${this.#handle.fd}` : this.path;
    return typeof name === 'string' ? join(folder, name) : Buffer.concat([Buffer.from(`${folder}/`), name]);
  }

  /** A folder in this one; it is made if it is missing and `mode` is given. Errors: those of `open`. */
  async sub(name: string, mode?: number): Promise<OpenFolder> {
    const path = String(this.at(name));
    const shown = join(this.path, name);
    if (mode !== undefined) await makeFolder(path, shown, mode);
    return await OpenFolder.open(path, shown);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function makeFolder(path: string, shown: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (cause) {
    if (hasCode(cause, 'EEXIST')) return;
    throw new SealpostError('file-access', `${shown}: cannot be made`, {
      hint: 'let the user that runs Sealpost write into the folder above it',
      cause,
    });
  }
}
