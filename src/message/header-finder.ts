import { SealpostError } from '../errors.ts';
import { type HeaderBlock, HeaderSplitter } from './headers.ts';
import { NullSink } from './sink.ts';

/**
 * Reads the header of a message that passes by in pieces, for whoever only stores it: never an error. It keeps no more
 * than the header, and nothing of one that is above the limits; the decoder refuses such a message.
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

  /** The header; a message without an empty line is all header. To be called after the last piece. */
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
