/** A disk that loses power: processes run with unsynced.c, are killed at once, and find what was synced, no more. */
import { execFileSync } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kill } from '../../support/daemon.ts';
import { findProgram } from '../../support/peers/run.ts';
import { DiskModel } from './disk-model.ts';

export interface Loss {
  /** Files whose end was not on disk, relative to the root. */
  cut: string[];
  /** Octets that were cut. */
  octets: number;
  /** Names of files and folders that were not on disk. */
  vanished: string[];
}

export interface PowerOptions {
  /** Milliseconds that each fsync takes longer than it does. */
  slower?: number;
  /** Names of programs whose fsync does nothing. */
  liars?: string | undefined;
}

/** Why power losses cannot be played here, or undefined. */
export function noPowerLoss(): string | undefined {
  if (process.platform !== 'linux') return 'LD_PRELOAD and /proc are those of Linux';
  return findProgram('cc') ? undefined : 'no C compiler (cc) is installed';
}

const inodeOf = ({ dev, ino }: { dev: number; ino: number }) => `${dev.toString(16)}.${ino.toString(16)}`;

export class PowerSupply {
  /** What is lost is below it. */
  readonly root: string;
  /** For the processes that shall lose power. */
  readonly env: Record<string, string>;
  readonly #folder: string;
  readonly #library: string;
  readonly #log: string;
  readonly #kept: string;
  #disk = new DiskModel();
  #rootInode = '';

  /** @param parent a folder on the file system that is used */
  constructor(parent: string, { slower = 0, liars = '' }: PowerOptions = {}) {
    this.#folder = realpathSync(mkdtempSync(join(parent, 'power-')));
    const at = (name: string) => join(this.#folder, name);
    this.root = at('root');
    this.#library = at('unsynced.so');
    this.#log = at('log');
    this.#kept = at('kept');
    const source = join(import.meta.dirname, 'unsynced.c');
    const options = ['-shared', '-fPIC', '-O1', '-U_FORTIFY_SOURCE', '-Wall', '-Wextra', '-Werror'];
    execFileSync('cc', [...options, '-o', this.#library, source, '-ldl']);
    this.env = {
      LD_PRELOAD: this.#library,
      UNSYNCED_ROOT: this.root,
      UNSYNCED_LOG: this.#log,
      UNSYNCED_KEPT: this.#kept,
      UNSYNCED_WAIT: String(slower * 1000),
      UNSYNCED_LIES: liars,
      UV_USE_IO_URING: '0',
      SEALPOST_PASS_ENV: 'UNSYNCED_ROOT,UNSYNCED_LOG,UNSYNCED_KEPT,UNSYNCED_WAIT,UNSYNCED_LIES',
    };
    mkdirSync(this.root);
    this.#begin();
  }

  /** kill -9 of all that run with the library, and the disk has what was synced. */
  async lose(): Promise<Loss> {
    for (;;) {
      const pids = this.#processes();
      if (pids.length === 0) break;
      for (const pid of pids) kill(pid);
      await sleep(5);
    }
    for (const line of readFileSync(this.#log, 'utf8').split('\n')) if (line !== '') this.#disk.play(line);
    const files = new Map<string, string>();
    const before = new Set<string>();
    this.#walk(this.#kept, (path, inode) => files.set(inode, path));
    this.#walk(this.root, (path, inode) => {
      files.set(inode, path);
      before.add(relative(this.root, path));
    });
    const next = join(this.#folder, 'next');
    const loss: Loss = { cut: [], octets: 0, vanished: [] };
    this.#restore(this.#rootInode, next, files, loss);
    this.#walk(next, (path) => before.delete(relative(next, path)));
    loss.vanished = [...before];
    loss.cut = loss.cut.map((path) => relative(next, path));
    rmSync(this.root, { recursive: true });
    renameSync(next, this.root);
    this.#begin();
    return loss;
  }

  /** Processes that have the library mapped. */
  #processes(): number[] {
    return readdirSync('/proc').flatMap((name) => {
      if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
      try {
        return readFileSync(`/proc/${name}/maps`, 'latin1').includes(this.#library) ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
  }

  /** All that is there now is on disk. */
  #begin(): void {
    rmSync(this.#kept, { recursive: true, force: true });
    mkdirSync(this.#kept);
    writeFileSync(this.#log, '');
    this.#disk = new DiskModel();
    this.#rootInode = inodeOf(lstatSync(this.root));
    const root = this.#disk.add(this.#rootInode, 'folder');
    const folders = new Map([[this.root, root]]);
    this.#walk(this.root, (path, inode, name, parent) => {
      const stats = lstatSync(path);
      const made = this.#disk.add(inode, stats.isDirectory() ? 'folder' : 'file', stats.size);
      folders.set(path, made);
      folders.get(parent)?.names.set(name, inode);
    });
  }

  /** Files and folders below a folder, a folder before what is in it; no sockets. */
  #walk(folder: string, each: (path: string, inode: string, name: string, parent: string) => void): void {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isFile() && !entry.isDirectory()) continue;
      const path = join(folder, entry.name);
      each(path, inodeOf(lstatSync(path)), entry.name, folder);
      if (entry.isDirectory()) this.#walk(path, each);
    }
  }

  #restore(inode: string, to: string, files: ReadonlyMap<string, string>, loss: Loss): void {
    const known = this.#disk.inodes.get(inode);
    const from = inode === this.#rootInode ? this.root : files.get(inode);
    // Killed between a removal and its line.
    if (known === undefined || from === undefined) return;
    const { mode, size } = lstatSync(from);
    if (known.kind === 'folder') {
      mkdirSync(to, { mode: mode & 0o7777 });
      for (const [name, child] of known.names) this.#restore(child, join(to, name), files, loss);
      return;
    }
    linkSync(from, to);
    if (size <= known.synced) return;
    loss.cut.push(to);
    loss.octets += size - known.synced;
    truncateSync(to, known.synced);
  }
}
