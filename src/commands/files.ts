/** Files of the command line: errors name them, and they are written completely or not at all. */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, createReadStream, existsSync, openSync, readSync, statSync } from 'node:fs';
import { type FileHandle, link, open, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { hasCode, SealpostError } from '../errors.ts';
import { fileLimits, readRegularFile } from '../files.ts';
import { standardInput } from './output.ts';

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
    ['EEXIST', 'it already exists'],
    ['ELOOP', 'its links form a loop'],
    ['ENXIO', 'it is a socket, or a device that does not exist'],
    ['EPIPE', 'its reader has gone'],
    ['EROFS', 'the file system is read-only'],
    ['ENOSPC', 'no space left'],
  ];
  const reason =
    reasons.find(([code]) => hasCode(error, code))?.[1] ??
    (error instanceof Error ? error.message : String(error));
  return new SealpostError('file-access', `cannot ${action} ${file}: ${reason}`, { cause: error });
}

/** A key, certificate or password named on the command line: a file, or a pipe such as `<(...)` of a shell. */
export function readFile(file: string): Buffer {
  try {
    return statSync(file).isFIFO() ? readPipe(file) : readRegularFile(file, fileLimits.certificates);
  } catch (error) {
    if (error instanceof SealpostError)
      throw new SealpostError(error.code, `cannot read ${error.message}`, { cause: error });
    throw accessError('read', file, error);
  }
}

/** Milliseconds to wait for the writer of a pipe. */
const pipePatience = 10_000;
const openPatience = 1000;

/** Does not block, so that a pipe without a writer is an error instead of a hanging program. */
function readPipe(file: string): Buffer {
  const handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const pieces: Buffer[] = [];
  const opened = performance.now();
  let [octets, deadline] = [0, opened + pipePatience];
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(64 * 1024);
      const length = readNow(handle, piece);
      // before the first octets: the writer may be about to open it
      const isEarly = octets === 0 && performance.now() < opened + openPatience;
      if ((length === undefined && performance.now() < deadline) || (length === 0 && isEarly)) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
        continue;
      }
      if (!length) break;
      pieces.push(piece.subarray(0, length));
      octets += length;
      deadline = performance.now() + pipePatience;
      if (octets > fileLimits.certificates)
        throw new SealpostError('file-access', `${file}: has more than ${fileLimits.certificates} octets`);
    }
  } finally {
    closeSync(handle);
  }
  if (octets === 0) throw new SealpostError('file-access', `${file}: nobody writes to this pipe`);
  return Buffer.concat(pieces);
}

/** Number of octets, 0 at the end, undefined if there is nothing yet. */
function readNow(handle: number, piece: Buffer): number | undefined {
  try {
    return readSync(handle, piece);
  } catch (error) {
    if (hasCode(error, 'EAGAIN')) return undefined;
    throw error;
  }
}

/** The file's octets in pieces of 64 KiB, or standard input for "-". */
export async function* readPieces(file: string): AsyncGenerator<Buffer> {
  try {
    yield* file === '-' ? standardInput() : createReadStream(file, { highWaterMark: 64 * 1024 });
  } catch (error) {
    throw accessError('read', file, error);
  }
}

/** Where the octets of a file are finally written. */
type Destination =
  /** A regular file or an unused name: replaced as a whole. */
  | { kind: 'file'; path: string }
  /** A device, a FIFO, or an open file under /proc: written to directly, because replacing it would destroy it. */
  | { kind: 'through'; path: string };

const mostLinks = 40;

/** Follows links, including dangling ones: the target is written, and the link stays. */
async function destinationOf(file: string, links = 0): Promise<Destination> {
  const found = await stat(file).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (found?.isDirectory()) throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
  if (found !== undefined && !found.isFile()) return { kind: 'through', path: file };
  const next = await readlink(file).catch(() => undefined);
  if (next === undefined) return { kind: 'file', path: file };
  if (found === undefined) {
    if (links >= mostLinks) throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
    return await destinationOf(resolve(dirname(file), next), links + 1);
  }
  // links in /proc/self/fd lead to the open file, whatever its name was
  const path = await realpath(file).catch(() => undefined);
  const target = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path === undefined || target?.ino !== found.ino || target.dev !== found.dev)
    return { kind: 'through', path: file };
  return { kind: 'file', path };
}

async function refuseExisting(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined) throw Object.assign(new Error('it already exists'), { code: 'EEXIST' });
}

/**
 * A file that gets its octets only on `commit`, so that a failed command leaves no partial file. A regular file is
 * replaced by a new one that only its owner can read. Anything else is written to directly.
 */
export class OutputFile {
  readonly #file: string;
  readonly #destination: Destination & { isNew: boolean };
  /** A temporary name beside the file, or an unnamed file if the target is written to directly. */
  readonly #temporary: string | undefined;
  readonly #handle: FileHandle;

  private constructor(
    file: string,
    destination: Destination & { isNew: boolean },
    temporary: string | undefined,
    handle: FileHandle,
  ) {
    this.#file = file;
    this.#destination = destination;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  /** @param isNew refuse an existing regular file */
  static async create(file: string, { isNew = false } = {}): Promise<OutputFile> {
    try {
      const destination = await destinationOf(file);
      if (isNew && destination.kind === 'file') await refuseExisting(destination.path);
      const through = destination.kind === 'through';
      const folder = through ? tmpdir() : dirname(destination.path);
      const temporary = join(folder, `.${basename(file)}.${randomBytes(6).toString('hex')}`);
      const handle = await open(temporary, 'ax+', 0o600);
      if (through) await rm(temporary);
      return new OutputFile(file, { ...destination, isNew }, through ? undefined : temporary, handle);
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

  /** Discards what was written so far. */
  async restart(): Promise<void> {
    await this.#handle.truncate(0);
  }

  /** @param file another name in the same folder */
  async commit(file = this.#file): Promise<void> {
    try {
      const destination = file === this.#file ? this.#destination : await destinationOf(file);
      if (destination.kind === 'through' || this.#temporary === undefined)
        await this.#copyTo(destination.path);
      else {
        await this.#handle.sync();
        // a link, unlike a rename, replaces nothing
        if (this.#destination.isNew) await link(this.#temporary, destination.path);
        else await rename(this.#temporary, destination.path);
      }
      await this.abort();
    } catch (error) {
      await this.abort();
      throw accessError('write', file, error);
    }
  }

  /** Without O_CREAT: the existing target is opened. A FIFO without a reader is waited for. */
  async #copyTo(path: string): Promise<void> {
    const target = await open(path, constants.O_WRONLY);
    try {
      const chunk = Buffer.allocUnsafe(64 * 1024);
      for (let at = 0; ; ) {
        const { bytesRead } = await this.#handle.read(chunk, 0, chunk.length, at);
        if (bytesRead === 0) return;
        at += bytesRead;
        await target.writeFile(chunk.subarray(0, bytesRead));
      }
    } finally {
      await target.close();
    }
  }

  /** Idempotent. */
  async abort(): Promise<void> {
    await this.#handle.close();
    if (this.#temporary !== undefined) await rm(this.#temporary, { force: true });
  }
}
