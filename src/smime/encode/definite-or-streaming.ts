import type { Sink } from '../../message/index.ts';

/** Up to this a CMS object is written in DER with definite lengths, which the oldest readers want too. */
const DEFINITE_OCTETS = 1024 * 1024;
/** Content that is held is given on in chunks of this size. */
const CHUNK = 64 * 1024;
/** What is kept for later messages at most: a process has few in hand at once. */
const SPARE_STORES = 4;

/**
 * Memory that content was held in, wiped. Buffers that come and go with each message of some hundred KiB live just
 * long enough to count as old, and the garbage of many messages would stay: 20 to 40 MB.
 */
const spare: Buffer[] = [];

/**
 * Collects what is small and writes it at once; beyond the limit everything goes to a streaming writer. What is given
 * on is only valid until this ends: the stages behind it, up to the outermost base64, are through with it then.
 */
export class DefiniteOrStreaming implements Sink {
  readonly #output: Sink;
  readonly #atOnce: (content: readonly Buffer[]) => readonly Buffer[];
  readonly #stream: () => Sink;
  #held: Buffer[] = [];
  #store: Buffer | undefined;
  #length = 0;
  #streaming: Sink | undefined;

  constructor(output: Sink, atOnce: (content: readonly Buffer[]) => readonly Buffer[], stream: () => Sink) {
    this.#output = output;
    this.#atOnce = atOnce;
    this.#stream = stream;
  }

  write(chunk: Buffer): void {
    if (this.#streaming !== undefined) this.#streaming.write(chunk);
    else if (this.#length + chunk.length > DEFINITE_OCTETS) {
      this.#streaming = this.#stream();
      for (const held of this.#content()) this.#streaming.write(held);
      this.#streaming.write(chunk);
    } else this.#hold(chunk);
  }

  end(): void {
    if (this.#streaming === undefined) {
      for (const chunk of this.#atOnce(this.#content())) this.#output.write(chunk);
      this.#output.end();
    } else this.#streaming.end();
    this.#release();
  }

  #hold(chunk: Buffer): void {
    if (this.#store === undefined && this.#length + chunk.length <= CHUNK) {
      this.#held.push(chunk);
      this.#length += chunk.length;
      return;
    }
    if (this.#store === undefined) {
      this.#store = spare.pop() ?? Buffer.allocUnsafeSlow(DEFINITE_OCTETS);
      let at = 0;
      for (const held of this.#held) at += held.copy(this.#store, at);
      this.#held = [];
    }
    chunk.copy(this.#store, this.#length);
    this.#length += chunk.length;
  }

  /** What is held, in chunks of one size: a digest or cipher called for each small one costs more than the copy. */
  #content(): Buffer[] {
    const whole = this.#store?.subarray(0, this.#length) ?? Buffer.concat(this.#held, this.#length);
    const chunks: Buffer[] = [];
    for (let at = 0; at < whole.length; at += CHUNK) chunks.push(whole.subarray(at, at + CHUNK));
    return chunks;
  }

  #release(): void {
    this.#store?.fill(0, 0, this.#length);
    if (this.#store !== undefined && spare.length < SPARE_STORES) spare.push(this.#store);
    this.#store = undefined;
  }
}
