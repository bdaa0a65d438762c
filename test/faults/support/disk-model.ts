/**
 * What is on a disk for sure, after the lines that unsynced.c wrote: POSIX and no more. A file has what an fsync of it
 * has brought to disk; a name is there when its folder was synced after it was given. Removals count at once. Files are
 * taken to grow at their end: what is written into the middle of one is not seen.
 */
export interface Inode {
  kind: 'file' | 'folder';
  /** Octets that are on disk. */
  synced: number;
  /** Names on disk, of a folder. */
  names: Map<string, string>;
}

interface Pending {
  at: number;
  name: string;
  commit(): void;
}

export class DiskModel {
  readonly inodes = new Map<string, Inode>();
  /** What waits for the sync of a folder. */
  readonly #pending = new Map<string, Pending[]>();
  /** Syncs of folders that have begun: which one, and after how many lines. */
  readonly #begun = new Map<string, { folder: string; at: number }>();
  #lines = 0;

  /** Something that is on disk from the beginning. */
  add(inode: string, kind: Inode['kind'], size = 0): Inode {
    const made: Inode = { kind, synced: size, names: new Map() };
    this.inodes.set(inode, made);
    return made;
  }

  play(line: string): void {
    const [what = '', first = '', second = '', ...rest] = line.split(' ');
    this.#lines++;
    if (what === 'C') {
      const [kind, ...name] = rest;
      this.add(second, kind === 'd' ? 'folder' : 'file');
      this.#name(first, name.join(' '), second);
    } else if (what === 'L') this.#name(first, rest.join(' '), second);
    else if (what === 'R') this.#rename(first, second, rest);
    else if (what === 'U') this.#remove(first, [second, ...rest].join(' '));
    else if (what === 'T') this.#size(first, (size) => Math.min(size, Number(second)));
    else if (what === 'S') this.#size(first, (size) => Math.max(size, Number(second)));
    else if (what === 'd') this.#begun.set(second, { folder: first, at: this.#lines });
    else if (what === 'D') this.#commit(first);
    else throw new Error(`not a line of unsynced.c: ${line}`);
  }

  #size(inode: string, change: (size: number) => number): void {
    const found = this.inodes.get(inode);
    if (found) found.synced = change(found.synced);
  }

  #name(folder: string, name: string, inode: string): void {
    this.#wait(folder, name, () => this.inodes.get(folder)?.names.set(name, inode));
  }

  #rename(from: string, to: string, [inode = '', ...names]: string[]): void {
    const [old = '', name = ''] = names.join(' ').split('/');
    this.#forget(from, old);
    this.#wait(to, name, () => {
      const left = this.inodes.get(from)?.names;
      if (left?.get(old) === inode) left.delete(old);
      this.inodes.get(to)?.names.set(name, inode);
    });
  }

  #remove(folder: string, name: string): void {
    this.#forget(folder, name);
    this.inodes.get(folder)?.names.delete(name);
  }

  #wait(folder: string, name: string, commit: () => void): void {
    const waiting = this.#pending.get(folder) ?? [];
    waiting.push({ at: this.#lines, name, commit });
    this.#pending.set(folder, waiting);
  }

  #forget(folder: string, name: string): void {
    const waiting = this.#pending.get(folder)?.filter((each) => each.name !== name);
    if (waiting) this.#pending.set(folder, waiting);
  }

  /** What was named before the sync began is on disk. */
  #commit(token: string): void {
    const begun = this.#begun.get(token);
    this.#begun.delete(token);
    if (!begun) return;
    const waiting = this.#pending.get(begun.folder) ?? [];
    for (const each of waiting) if (each.at < begun.at) each.commit();
    this.#pending.set(
      begun.folder,
      waiting.filter((each) => each.at > begun.at),
    );
  }
}
