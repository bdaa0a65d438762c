import { createHash, type Hash, hash } from 'node:crypto';
import { SealpostError } from '../../errors.ts';
import { NullSink, type Sink } from '../../message/index.ts';
import type { VerdictContent } from '../verdict/verdict-schema.ts';

/** An error of the caller's own sink. It is no fault of the message, so it does not become a verdict. */
export class OutputError extends Error {
  constructor(cause: unknown) {
    super('the output of the decoder failed', { cause });
  }
}

/**
 * Content up to this many octets is kept until the message has turned out good. Most content is that small, and one
 * digest over a whole buffer takes half the time of one that is opened, fed three times and closed.
 */
const SMALL = 64 * 1024;

/** Passes the content on to the caller's sink, and records what it was. */
export class ContentSink implements Sink {
  readonly #output: Sink;
  readonly #digest: boolean;
  /** Undefined once there is too much to be kept. */
  #held: Buffer[] | undefined = [];
  #hash: Hash | undefined;
  #octets = 0;
  contentType: string | null = null;

  constructor(output: Sink, digest: boolean) {
    this.#output = output;
    this.#digest = digest;
  }

  write(chunk: Buffer): void {
    this.#octets += chunk.length;
    if (this.#held === undefined) {
      this.#pass(chunk);
      return;
    }
    this.#held.push(chunk);
    if (this.#octets <= SMALL) return;
    const held = this.#held;
    this.#held = undefined;
    if (this.#digest) this.#hash = createHash('sha256');
    for (const each of held) this.#pass(each);
  }

  #pass(chunk: Buffer): void {
    this.#hash?.update(chunk);
    try {
      this.#output.write(chunk);
    } catch (error) {
      throw new OutputError(error);
    }
  }

  end(): void {}

  /** Call this once, when the whole message has turned out good. It ends the caller's sink. */
  finish(): VerdictContent {
    const [first] = this.#held ?? [];
    const whole = this.#held !== undefined && this.#held.length > 1 ? Buffer.concat(this.#held) : first;
    if (whole !== undefined) this.#pass(whole);
    try {
      this.#output.end();
    } catch (error) {
      throw new OutputError(error);
    }
    return { contentType: this.contentType, octets: this.#octets, sha256: this.#sha256(whole) };
  }

  /** @param whole the small content, in one piece */
  #sha256(whole: Buffer | undefined): string | null {
    if (!this.#digest) return null;
    return this.#hash?.digest('hex') ?? hash('sha256', whole ?? Buffer.alloc(0), 'hex');
  }
}

/** Swallows any fault: a search runs beside the message's own decoding, and must not affect it. */
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
