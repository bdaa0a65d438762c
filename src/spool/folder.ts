/**
 * Large octets as sealed streams in the spool folder. A file is written in `tmp`, synced, and renamed into a folder
 * named after the first two characters of its id, so that a file under its final name is complete. The folder may be a
 * shared volume. A draft is called `<id>.<owner>` (`draftOwner`). Drafts of dead processes are removed when the next
 * process starts.
 */
import { writeFileSync, writevSync } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, SealpostError } from '../errors.ts';
import { draftOwner, isDeadOwner, isLocalDisk, makeFolder, syncFolder } from '../files.ts';
import { type LargeStore, type LargeWriter, missing, openStored, type StoredObject } from './large-store.ts';
import { chunkSize, type SpoolKey, StreamSealer } from './seal.ts';

function writeFailed(cause: unknown): SealpostError {
  const full = hasCode(cause, 'ENOSPC', 'EDQUOT');
  return new SealpostError(
    full ? 'spool-full' : 'spool-write',
    `the spool folder ${full ? 'is full' : 'cannot be written'}`,
    {
      hint: full ? 'free space in the spool folder' : 'check its path and rights',
      cause,
    },
  );
}

/** Writes octets from several buffers to the end of a file on a local disk. */
function writeAll(fd: number, buffers: Buffer[]): void {
  const length = buffers.reduce((sum, { length }) => sum + length, 0);
  const written = writevSync(fd, buffers);
  // a disk that is almost full takes only a part
  if (written < length) writeFileSync(fd, Buffer.concat(buffers).subarray(written));
}

/**
 * One file while it is being written. Calls must not overlap. On a local disk, octets go into the page cache at once,
 * which costs less than a round trip to a thread. A network volume may hang, and then only a thread may hang with it.
 */
export class SpoolFileWriter implements LargeWriter {
  #store: SpoolFolder;
  #id: string;
  #handle: FileHandle;
  #isLocal: boolean;
  /** Undefined for octets that are already sealed. */
  #sealer: StreamSealer | undefined;

  constructor(
    store: SpoolFolder,
    id: string,
    handle: FileHandle,
    isLocal: boolean,
    sealer: StreamSealer | undefined,
  ) {
    this.#store = store;
    this.#id = id;
    this.#handle = handle;
    this.#isLocal = isLocal;
    this.#sealer = sealer;
  }

  write(octets: Buffer): Promise<void> | undefined {
    return this.#put(this.#sealer?.seal(octets) ?? [octets]);
  }

  /** Ends the stream. When this resolves, the file is on disk under its name. */
  async finish(): Promise<void> {
    await this.#put(this.#sealer?.end() ?? []);
    try {
      await this.#handle.sync();
      await this.#handle.close();
      await this.#store.publish(this.#id);
    } catch (error) {
      throw writeFailed(error);
    }
  }

  async abort(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.#store.draftPath(this.#id), { force: true });
  }

  #put(buffers: Buffer[]): Promise<void> | undefined {
    if (!this.#isLocal) return this.#putElsewhere(buffers);
    try {
      writeAll(this.#handle.fd, buffers);
      return undefined;
    } catch (error) {
      throw writeFailed(error);
    }
  }

  async #putElsewhere(buffers: Buffer[]): Promise<void> {
    try {
      let left = buffers.reduce((sum, part) => sum + part.length, 0);
      const { bytesWritten } = await this.#handle.writev(buffers);
      left -= bytesWritten;
      if (left > 0) await this.#handle.writeFile(Buffer.concat(buffers).subarray(bytesWritten));
    } catch (error) {
      throw writeFailed(error);
    }
  }
}

export class SpoolFolder implements LargeStore {
  readonly folder: string;
  #key: SpoolKey;
  #made = new Set<string>();

  constructor(folder: string, key: SpoolKey) {
    this.folder = folder;
    this.#key = key;
  }

  draftPath(id: string): string {
    return join(this.folder, 'tmp', `${id}.${draftOwner}`);
  }

  path(id: string): string {
    return join(this.folder, id.slice(0, 2), id);
  }

  create(id: string): Promise<SpoolFileWriter> {
    return this.#draft(id, () => new StreamSealer(this.#key, id));
  }

  createSealed(id: string): Promise<SpoolFileWriter> {
    return this.#draft(id, () => undefined);
  }

  async #draft(id: string, sealerOf: () => StreamSealer | undefined): Promise<SpoolFileWriter> {
    let handle: FileHandle | undefined;
    try {
      await this.#make('tmp');
      const isLocal = await isLocalDisk(join(this.folder, 'tmp'));
      handle = await open(this.draftPath(id), 'wx', 0o600);
      const sealer = sealerOf();
      if (sealer) await handle.writeFile(sealer.header);
      return new SpoolFileWriter(this, id, handle, isLocal, sealer);
    } catch (error) {
      await handle?.close().catch(() => undefined);
      // The header of a draft needs space, too. On a full disk, each attempt would leave an empty draft.
      if (handle) await rm(this.draftPath(id), { force: true }).catch(() => undefined);
      throw writeFailed(error);
    }
  }

  /** Gives a synced draft its final name. */
  async publish(id: string): Promise<void> {
    const fan = id.slice(0, 2);
    await this.#make(fan);
    await rename(this.draftPath(id), this.path(id));
    await syncFolder(join(this.folder, fan));
  }

  async #opened(id: string): Promise<FileHandle> {
    try {
      return await open(this.path(id), 'r');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) throw missing(id);
      throw new SealpostError('file-access', `cannot read the spool file ${id}`, { cause: error });
    }
  }

  async *sealed(id: string): AsyncGenerator<Buffer> {
    const handle = await this.#opened(id);
    try {
      for (;;) {
        const buffer = Buffer.allocUnsafe(chunkSize);
        const { bytesRead } = await handle.read(buffer, 0, chunkSize);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }

  async *open(id: string): AsyncGenerator<Buffer> {
    const handle = await this.#opened(id);
    try {
      const { size } = await handle.stat();
      let buffer = Buffer.alloc(0);
      yield* openStored(this.#key, id, 1, async (from, length) => {
        if (buffer.length < length) buffer = Buffer.allocUnsafe(length);
        const { bytesRead } = await handle.read(buffer, 0, length, from);
        return { octets: buffer.subarray(0, bytesRead), size };
      });
    } finally {
      await handle.close();
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.path(id), { force: true });
  }

  async removeDead(): Promise<number> {
    const folder = join(this.folder, 'tmp');
    let removed = 0;
    for (const name of await readdir(folder).catch(() => [])) {
      if (!isDeadOwner(name.slice(name.indexOf('.') + 1))) continue;
      await rm(join(folder, name), { force: true });
      removed += 1;
    }
    return removed;
  }

  /** Every file of the spool folder, drafts included. */
  async *objects(): AsyncGenerator<StoredObject> {
    for (const fan of await readdir(this.folder).catch(() => [])) {
      for (const name of await readdir(join(this.folder, fan)).catch(() => [])) {
        const path = join(this.folder, fan, name);
        const [id = name] = name.split('.');
        const stats = await stat(path).catch(() => undefined);
        if (stats?.isFile()) yield { id, modifiedAt: stats.mtimeMs, remove: () => rm(path, { force: true }) };
      }
    }
  }

  /** The pressure gauge watches its disk. */
  trouble(): null {
    return null;
  }

  close(): void {}

  async #make(name: string): Promise<void> {
    if (this.#made.has(name)) return;
    await makeFolder(join(this.folder, name), 0o700);
    await syncFolder(this.folder);
    this.#made.add(name);
  }
}
