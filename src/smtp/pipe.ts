/** A bounded buffer between one side that pushes octets as they come, and one that pulls them when it likes. */
export class Pipe implements AsyncIterable<Buffer> {
  readonly #most: number;
  #chunks: Buffer[] = [];
  #held = 0;
  #ended = false;
  #failure: { error: unknown } | undefined;
  /** Wakes the reading side. */
  #more: PromiseWithResolvers<void> | undefined;
  /** Wakes the writing side. */
  #room: PromiseWithResolvers<void> | undefined;

  /** @param most octets at which the writing side should wait */
  constructor(most: number) {
    this.#most = most;
  }

  /** Returns a promise when the buffer is full: give no more until it resolves. Throws the error given to `fail`. */
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

  /** Ends both sides with an error. The first error counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#chunks = [];
    this.#more?.resolve();
    // nobody may be waiting
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
