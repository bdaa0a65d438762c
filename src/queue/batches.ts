/**
 * Work that costs little more for many items than for one, such as a round trip that waits for a disk. Items that
 * arrive during a run go together into the next one.
 */
export class Batches<T, R> {
  readonly #run: (items: readonly T[]) => Promise<readonly R[]>;
  readonly #most: number;
  #waiting: { item: T; resolve: (result: R) => void; reject: (error: unknown) => void }[] = [];
  #running = false;

  /** `run` returns a result for each item, in order. At most `most` items go together. */
  constructor(run: (items: readonly T[]) => Promise<readonly R[]>, most: number) {
    this.#run = run;
    this.#most = most;
  }

  /**
   * The result for this item, or the error of the run it was in. If a run for several items fails, each is run alone,
   * so that only the faulty one fails.
   */
  add(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (!this.#running) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#running = true;
    // together with everything else from this turn of the event loop
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#most);
      try {
        const results = await this.#run(batch.map(({ item }) => item));
        batch.forEach(({ resolve, reject }, at) => {
          const result = results[at];
          if (result === undefined) reject(new Error('a batch gave too few results'));
          else resolve(result);
        });
      } catch (error) {
        if (batch.length === 1) batch[0]?.reject(error);
        else await Promise.all(batch.map((each) => this.#alone(each)));
      }
    }
    this.#running = false;
  }

  async #alone({
    item,
    resolve,
    reject,
  }: {
    item: T;
    resolve: (result: R) => void;
    reject: (error: unknown) => void;
  }): Promise<void> {
    try {
      const [result] = await this.#run([item]);
      if (result === undefined) throw new Error('a run gave no result');
      resolve(result);
    } catch (error) {
      reject(error);
    }
  }
}
