/**
 * Limits how many large messages are processed at a time, because each keeps chunks in memory. Small ones do not wait
 * for them. Each route has one extra turn of its own, so it never waits for another route that hangs.
 */
export class Turns {
  #free: number;
  /** Routes whose own turn is in use. */
  readonly #own = new Set<string>();
  readonly #waiting: { route: string; go: (own: boolean) => void }[] = [];

  constructor(atATime: number) {
    this.#free = atATime;
  }

  /** Runs the work when it is its turn. */
  async run<T>(route: string, work: () => Promise<T>): Promise<T> {
    const own = await this.#turn(route);
    try {
      return await work();
    } finally {
      const next = this.#waiting.findIndex((each) => !own || each.route === route);
      const [waiting] = next < 0 ? [] : this.#waiting.splice(next, 1);
      if (waiting) waiting.go(own);
      else if (own) this.#own.delete(route);
      else this.#free += 1;
    }
  }

  /** Resolves when it is its turn; true if it is the route's own one. */
  async #turn(route: string): Promise<boolean> {
    if (!this.#own.has(route)) {
      this.#own.add(route);
      return true;
    }
    if (this.#free === 0) return await new Promise((go) => this.#waiting.push({ route, go }));
    this.#free -= 1;
    return false;
  }
}
