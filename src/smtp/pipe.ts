/** Octets that one side gives as they come and the other takes when it likes, with a bounded number in between. */
export class Pipe implements AsyncIterable<Buffer> {
  readonly #most: number;
  #chunks: Buffer[] = [];
  #held = 0;
  #ended = false;
  #failure: { error: unknown } | undefined;
  /** What the taking side waits for. */
  #more: PromiseWithResolvers<void> | undefined;
  /** What the giving side waits for. */
  #room: PromiseWithResolvers<void> | undefined;

  /** @param most octets from which on the giving side should wait */
  constructor(most: number) {
    this.#most = most;
  }

  /** Returns a promise when there is enough: give no more until it resolves. Throws what `fail` was given. */
  write(chunk: Buffer): Promise<void> | undefined {
    this.#throwFailure();
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    this.#more?.resolve();
    if (this.#held < this.#most) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  end(): void {
    this.#ended = true;
    this.#more?.resolve();
  }

  /** Ends both sides with an error. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#chunks = [];
    this.#more?.resolve();
    // Nobody may be waiting.
    this.#room?.promise.catch(() => undefined);
    this.#room?.reject(this.#failure.error);
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      this.#throwFailure();
      const chunks = this.#chunks;
      this.#chunks = [];
      for (const chunk of chunks) {
        yield chunk;
        this.#held -= chunk.length;
        if (this.#held < this.#most) {
          this.#room?.resolve();
          this.#room = undefined;
        }
      }
      if (this.#chunks.length > 0) continue;
      this.#throwFailure();
      if (this.#ended) return;
      this.#more = Promise.withResolvers();
      await this.#more.promise;
      this.#more = undefined;
    }
  }
}
