/** Files of the command line: read with errors that name them, written whole or not at all. */
import { randomBytes } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { hasCode, SealpostError } from '../errors.ts';

/** A file of the package itself, run from source or compiled into `dist`. */
export function packageFile(name: string): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  return join(folder, name);
}

function accessError(action: string, file: string, error: unknown): SealpostError {
  const reasons: [string, string][] = [
    ['ENOENT', 'there is no such file'],
    ['EACCES', 'permission denied'],
    ['EISDIR', 'it is a folder'],
    ['ENOSPC', 'no space left'],
  ];
  const reason =
    reasons.find(([code]) => hasCode(error, code))?.[1] ??
    (error instanceof Error ? error.message : String(error));
  return new SealpostError('file-access', `can not ${action} ${file}: ${reason}`, { cause: error });
}

export function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw accessError('read', file, error);
  }
}

/** The file's octets in pieces of 64 KiB, or standard input for "-". */
export async function* readPieces(file: string): AsyncGenerator<Buffer> {
  try {
    yield* file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 64 * 1024 });
  } catch (error) {
    throw accessError('read', file, error);
  }
}

/** A file that appears under its name only on `commit`, so that a failed command leaves nothing half. */
export class OutputFile {
  readonly #file: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;

  private constructor(file: string, temporary: string, handle: FileHandle) {
    this.#file = file;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  static async create(file: string): Promise<OutputFile> {
    const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`);
    try {
      return new OutputFile(file, temporary, await open(temporary, 'ax', 0o600));
    } catch (error) {
      throw accessError('write', file, error);
    }
  }

  async write(chunk: Buffer): Promise<void> {
    try {
      await this.#handle.appendFile(chunk);
    } catch (error) {
      throw accessError('write', this.#file, error);
    }
  }

  /** Forgets what was written so far. */
  async restart(): Promise<void> {
    await this.#handle.truncate(0);
  }

  /** @param file another name in the same folder */
  async commit(file = this.#file): Promise<void> {
    try {
      await this.#handle.close();
      await rename(this.#temporary, file);
    } catch (error) {
      await rm(this.#temporary, { force: true });
      throw accessError('write', file, error);
    }
  }

  async abort(): Promise<void> {
    await this.#handle.close();
    await rm(this.#temporary, { force: true });
  }
}
