import { SealpostError } from '../errors.ts';
import { type HeaderBlock, HeaderSplitter } from './headers.ts';
import { NullSink } from './sink.ts';

/**
 * Reads the header of a message that passes through in chunks, for code that only stores it. Never throws. It keeps
 * only the header, and drops one that exceeds the limits; the decoder refuses such a message.
 */
export class HeaderFinder {
  #found: HeaderBlock | undefined;
  #over = false;
  readonly #splitter: HeaderSplitter;

  constructor() {
    const ignore = new NullSink();
    this.#splitter = new HeaderSplitter((headers) => {
      this.#found = headers;
      return ignore;
    });
  }

  push(chunk: Buffer): void {
    if (this.#over || this.#found !== undefined) return;
    this.#try(() => this.#splitter.write(chunk));
  }

  /** The header. A message without an empty line is all header. Call this after the last chunk. */
  end(): HeaderBlock | undefined {
    if (!this.#over && this.#found === undefined) this.#try(() => this.#splitter.end());
    return this.#found;
  }

  #try(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      this.#over = true;
    }
  }
}
