import { createHash, type Hash } from 'node:crypto';
import { SealpostError } from '../../errors.ts';
import { NullSink, type Sink } from '../../message/index.ts';
import type { VerdictContent } from '../verdict/verdict-schema.ts';

/** An error of the caller's own sink: no fault of the message, so no verdict is made of it. */
export class OutputError extends Error {
  constructor(cause: unknown) {
    super('the output of the decoder failed', { cause });
  }
}

/** Passes the content on to the caller's sink and notes what it was. */
export class ContentSink implements Sink {
  readonly #output: Sink;
  readonly #hash: Hash | undefined;
  #octets = 0;
  contentType: string | null = null;

  constructor(output: Sink, digest: boolean) {
    this.#output = output;
    this.#hash = digest ? createHash('sha256') : undefined;
  }

  write(chunk: Buffer): void {
    this.#octets += chunk.length;
    this.#hash?.update(chunk);
    try {
      this.#output.write(chunk);
    } catch (error) {
      throw new OutputError(error);
    }
  }

  end(): void {}

  /** To be called once, when the whole message was good: ends the caller's sink. */
  finish(): VerdictContent {
    try {
      this.#output.end();
    } catch (error) {
      throw new OutputError(error);
    }
    const sha256 = this.#hash?.digest('hex') ?? null;
    return { contentType: this.contentType, octets: this.#octets, sha256 };
  }
}

/** Lets no fault out: a search is beside the message's own way. */
export class QuietSink implements Sink {
  #inner: Sink;

  constructor(inner: Sink) {
    this.#inner = inner;
  }

  write(chunk: Buffer): void {
    this.#try(() => this.#inner.write(chunk));
  }

  end(): void {
    this.#try(() => this.#inner.end());
  }

  #try(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      this.#inner = new NullSink();
    }
  }
}
