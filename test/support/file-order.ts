/**
 * The order in which this process writes, syncs and renames files: node's own functions, which also record a line. Call
 * it before anything is imported that keeps a function of `node:fs` (`promisify(fsync)`): import that afterwards.
 */
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

export interface FileStep {
  /** A sync counts when it has ended, a write and a rename when they begin. */
  step: 'write' | 'sync' | 'rename';
  path: string;
  /** The new name. */
  to?: string;
  /** Of a file that was synced or written. */
  inode?: number;
}

export interface FileOrder {
  steps: FileStep[];
  /** Takes what was noted so far. */
  take(): FileStep[];
}

const fileOf = (fd: number) => ({
  path: fs.readlinkSync(`/proc/self/fd/${fd}`),
  inode: fs.fstatSync(fd).ino,
});

/** Notes what is done below a folder. Linux only: it reads the names of open files from /proc. */
export async function recordFileOrder(folder: string): Promise<FileOrder> {
  const steps: FileStep[] = [];
  const note = (each: FileStep) => {
    if (each.path.startsWith(folder)) steps.push(each);
  };
  const { fsync, renameSync, writeFileSync, writevSync } = fs;
  const { rename } = promises;
  const noteSync = (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
    const file = fileOf(fd);
    fsync(fd, (error) => {
      if (!error) note({ step: 'sync', ...file });
      done(error);
    });
  };
  Object.assign(fs, {
    fsync: noteSync,
    renameSync(from: string, to: string) {
      note({ step: 'rename', path: from, to });
      renameSync(from, to);
    },
    writeFileSync(file: fs.PathOrFileDescriptor, octets: string | NodeJS.ArrayBufferView) {
      note({ step: 'write', ...(typeof file === 'number' ? fileOf(file) : { path: String(file) }) });
      writeFileSync(file, octets);
    },
  });
  Object.assign(fs, {
    writevSync(fd: number, octets: NodeJS.ArrayBufferView[]) {
      note({ step: 'write', ...fileOf(fd) });
      return writevSync(fd, octets);
    },
  });
  Object.assign(promises, {
    async rename(from: string, to: string) {
      note({ step: 'rename', path: from, to });
      await rename(from, to);
    },
  });
  syncBuiltinESMExports();

  const handle = await promises.open('/proc/self/status', 'r');
  const prototype: typeof handle = Object.getPrototypeOf(handle);
  await handle.close();
  const { sync, writeFile, writev } = prototype;
  Object.assign(prototype, {
    async sync(this: promises.FileHandle) {
      const file = fileOf(this.fd);
      await sync.call(this);
      note({ step: 'sync', ...file });
    },
    async writeFile(this: promises.FileHandle, octets: string | Uint8Array) {
      note({ step: 'write', ...fileOf(this.fd) });
      await writeFile.call(this, octets);
    },
    async writev(this: promises.FileHandle, octets: NodeJS.ArrayBufferView[]) {
      note({ step: 'write', ...fileOf(this.fd) });
      return await writev.call(this, octets);
    },
  });
  return { steps, take: () => steps.splice(0) };
}
