import * as fs from 'node:fs';
import { promisify } from 'node:util';

/** How the files of a message are made. */
export interface FileCalls {
  /** Makes a file, which must not be there yet, with these octets; the descriptor stays open for its fsync. */
  create(path: string, octets: Buffer | string, mode: number): Promise<number> | number;
  open(path: string): Promise<number> | number;
  close(fd: number): Promise<void> | void;
  makeFolder(path: string, mode: number): Promise<void> | void;
  link(from: string, to: string): Promise<void> | void;
}

/** Calls that end in the page cache cost less than a trip to the thread pool, on a disk that answers. */
export const quickCalls: FileCalls = {
  create(path, octets, mode) {
    const fd = fs.openSync(path, 'wx', mode);
    try {
      fs.writeFileSync(fd, octets);
      return fd;
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  },
  open: (path) => fs.openSync(path, 'r'),
  close: (fd) => fs.closeSync(fd),
  makeFolder: (path, mode) => {
    fs.mkdirSync(path, { mode });
  },
  link: (from, to) => fs.linkSync(from, to),
};

const [open, close, write] = [promisify(fs.open), promisify(fs.close), promisify(fs.writeFile)];
const [mkdir, link] = [promisify(fs.mkdir), promisify(fs.link)];

/** A disk that stops answering in the middle holds up a thread of the pool, and never the process. */
export const patientCalls: FileCalls = {
  async create(path, octets, mode) {
    const fd = await open(path, 'wx', mode);
    try {
      await write(fd, octets);
      return fd;
    } catch (error) {
      await close(fd);
      throw error;
    }
  },
  open: (path) => open(path, 'r'),
  close,
  makeFolder: async (path, mode) => {
    await mkdir(path, { mode });
  },
  link,
};
