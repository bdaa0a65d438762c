/**
 * The one interface of the codec's push pipeline. Everything is synchronous. The driver reads a chunk (perhaps
 * asynchronously), pushes it through the stages, then drains the output. So a stage needs no promises, and memory is
 * bounded by the chunk and by what a stage must keep.
 */

/**
 * Takes octets in order. `end` is called once, after the last of them. Both may throw a SealpostError. The writer must
 * not change a chunk afterwards, so a sink may keep it.
 */
export interface Sink {
  write(chunk: Buffer): void;
  end(): void;
}

/** Keeps everything in memory, up to an optional limit that the caller chooses. */
export class BufferSink implements Sink {
  readonly chunks: Buffer[] = [];
  length = 0;
  ended = false;

  write(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.length += chunk.length;
  }

  end(): void {
    this.ended = true;
  }

  /** All octets so far, in one Buffer (without a copy if they arrived as one). */
  toBuffer(): Buffer {
    const [first] = this.chunks;
    if (this.chunks.length === 1 && first !== undefined) return first;
    return Buffer.concat(this.chunks, this.length);
  }

  /** The octets since the last call. The sink is empty afterwards. */
  drain(): Buffer[] {
    this.length = 0;
    return this.chunks.splice(0);
  }
}

/** Takes everything and keeps nothing. */
export class NullSink implements Sink {
  write(_chunk: Buffer): void {}
  end(): void {}
}

/** Gives the same octets to several sinks, in order. */
export class TeeSink implements Sink {
  readonly #sinks: readonly Sink[];

  constructor(...sinks: Sink[]) {
    this.#sinks = sinks;
  }

  write(chunk: Buffer): void {
    for (const sink of this.#sinks) sink.write(chunk);
  }

  end(): void {
    for (const sink of this.#sinks) sink.end();
  }
}
