/**
 * Decides which jobs of a process may run concurrently. A job that was in progress when a process died is a suspect: it
 * or one of its neighbours is poison. Suspects run one at a time, so the next crash shows which one it is, and does not
 * count for its neighbours.
 */

/** Milliseconds until an admitted job no longer makes others wait. */
export interface Patience {
  /** A job that is not a suspect. */
  fresh: number;
  suspect: number;
}

/** A message that runs longer than this has shown that it does not crash the process at once. */
const defaultPatience: Patience = { fresh: 10_000, suspect: 10_000 };

export class Suspects {
  readonly #alone: boolean;
  readonly #patience: Patience;
  readonly #waiting: { suspect: boolean; go: () => void }[] = [];
  #fresh = 0;
  #suspect = false;

  /** `alone`: while a suspect runs, no other job runs; otherwise just no other suspect. */
  constructor(alone: boolean, patience: Patience = defaultPatience) {
    this.#alone = alone;
    this.#patience = patience;
  }

  /** Runs the work when it is its turn, in the order of the calls. */
  async run<T>(suspect: boolean, work: () => Promise<T>): Promise<T> {
    if (!suspect && !this.#alone) return await work();
    const leave = await this.#enter(suspect);
    const late = setTimeout(leave, suspect ? this.#patience.suspect : this.#patience.fresh).unref();
    try {
      return await work();
    } finally {
      clearTimeout(late);
      leave();
    }
  }

  #enter(suspect: boolean): Promise<() => void> {
    return new Promise((resolve) => {
      this.#waiting.push({ suspect, go: () => resolve(this.#leaver(suspect)) });
      this.#next();
    });
  }

  #leaver(suspect: boolean): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      if (suspect) this.#suspect = false;
      else this.#fresh -= 1;
      this.#next();
    };
  }

  #next(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (this.#suspect || (first.suspect && this.#fresh > 0)) return;
      this.#waiting.shift();
      if (first.suspect) this.#suspect = true;
      else this.#fresh += 1;
      first.go();
    }
  }
}
