import type { Sink } from '../../message/index.ts';

/** Up to this size, a CMS object is written in DER with definite lengths, which even the oldest readers accept. */
const DEFINITE_OCTETS = 1024 * 1024;
/** Content that was held back is passed on in chunks of this size. */
const CHUNK = 64 * 1024;
/** Buffers kept for later messages, at most. A process works on few messages at once. */
const SPARE_STORES = 4;

/**
 * Reusable memory for content, wiped after use. Buffers of some hundred KiB, allocated per message, live just long
 * enough to count as old, so 20 to 40 MB of garbage would build up.
 */
const spare: Buffer[] = [];

/**
 * Collects small content and writes it in one piece. Beyond the limit, everything goes to a streaming writer. Octets
 * passed on are only valid until this ends; by then the later stages, up to the outermost base64, are done with them.
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

  /**
   * What is held back, in chunks of one size: calling a digest or cipher for each small chunk costs more than the copy.
   */
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
