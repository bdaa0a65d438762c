/** Which files stand still. Node cannot tell a file that was moved here from one that is being written. */

/** What changes when somebody writes. */
export interface Stand {
  size: number;
  mtimeMs: number;
  ino: number;
}

interface Seen extends Stand {
  /** Since when it has been like this, in milliseconds of a clock that only goes forward. */
  since: number;
}

export class Settling {
  readonly #settle: number;
  #seen = new Map<string, Seen>();

  /** @param settle milliseconds */
  constructor(settle: number) {
    this.#settle = settle;
  }

  /**
   * Notes how the files are now, by key; what is no longer named is forgotten.
   *
   * @returns the keys of those that have stood still long enough, and milliseconds until the next may have
   */
  look(files: ReadonlyMap<string, Stand>, now: number): { still: string[]; next: number } {
    const still: string[] = [];
    const seen = new Map<string, Seen>();
    let next = Number.POSITIVE_INFINITY;
    for (const [key, { size, mtimeMs, ino }] of files) {
      const before = this.#seen.get(key);
      const same = before?.size === size && before.mtimeMs === mtimeMs && before.ino === ino;
      const since = same ? before.since : now;
      seen.set(key, { size, mtimeMs, ino, since });
      const left = since + this.#settle - now;
      if (left <= 0) still.push(key);
      else next = Math.min(next, left);
    }
    this.#seen = seen;
    return { still, next };
  }
}
