import type { Sink } from './sink.ts';

const LF = 0x0a;
const CR = 0x0d;

/**
 * Which line ends become CRLF. `lf`: only a bare LF, for octets stored with local line ends (RFC 8551, section 3.1.1).
 * `cr-and-lf`: a bare CR too, as required for everything that is signed and sent, because a later hop would otherwise
 * change it.
 */
export type LineEnds = 'lf' | 'cr-and-lf';

// one search of a string is several times faster than an indexOf for each line
const bareLf = /(?<!\r)\n/g;
const bareLfOrCr = /(?<!\r)\n|\r(?!\n|$)/g;

/** Index of the first LF without a CR before it, or -1. `afterCr`: the octet before the chunk was a CR. */
export function firstBareLf(chunk: Buffer, afterCr: boolean): number {
  bareLf.lastIndex = afterCr ? 1 : 0;
  return bareLf.exec(chunk.toString('latin1'))?.index ?? -1;
}

/** Tells whether each CR in chunked octets is followed by an LF. */
export class CrWatch {
  /** The last octet so far was a CR. */
  open = false;

  /** False if there is a CR without LF before the last octet of the chunk. */
  push(chunk: Buffer): boolean {
    if (chunk.length === 0) return true;
    if (this.open && chunk[0] !== LF) return false;
    for (let at = chunk.indexOf(CR); at >= 0; at = chunk.indexOf(CR, at + 1))
      if (at + 1 < chunk.length && chunk[at + 1] !== LF) return false;
    this.open = chunk[chunk.length - 1] === CR;
    return true;
  }
}

/** Turns bare LF (and bare CR, if selected) into CRLF, as a stream. Other octets are untouched. */
export class CanonicalSink implements Sink {
  readonly #output: Sink;
  readonly #convertCr: boolean;
  /** Whether the last octet so far was a CR (already written only if bare CRs are kept). */
  #afterCr = false;
  /** Line ends that were converted so far. */
  converted = 0;

  constructor(output: Sink, lineEnds: LineEnds = 'lf') {
    this.#output = output;
    this.#convertCr = lineEnds === 'cr-and-lf';
  }

  write(chunk: Buffer): void {
    if (chunk.length === 0) return;
    const first = this.#firstBare(chunk);
    const held = this.#afterCr && this.#convertCr;
    if (first < 0) {
      if (held) this.#output.write(Buffer.from('\r'));
      this.#afterCr = chunk[chunk.length - 1] === CR;
      const holdBack = this.#afterCr && this.#convertCr;
      const whole = holdBack ? chunk.subarray(0, chunk.length - 1) : chunk;
      if (whole.length > 0) this.#output.write(whole);
      return;
    }
    this.#convert(chunk, first, held);
  }

  end(): void {
    if (this.#afterCr && this.#convertCr) {
      this.converted++;
      this.#output.write(Buffer.from('\r\n'));
    }
    this.#output.end();
  }

  /** Index of the first octet that needs a conversion, or -1. A CR at the end of a chunk waits. */
  #firstBare(chunk: Buffer): number {
    if (!this.#convertCr) return firstBareLf(chunk, this.#afterCr);
    if (this.#afterCr && chunk[0] !== LF) return 0;
    bareLfOrCr.lastIndex = this.#afterCr ? 1 : 0;
    return bareLfOrCr.exec(chunk.toString('latin1'))?.index ?? -1;
  }

  #convert(chunk: Buffer, first: number, held: boolean): void {
    const out = Buffer.allocUnsafe(chunk.length * 2 + 2);
    let length = 0;
    let afterCr = this.#afterCr;
    if (held) out[length++] = CR;
    length += chunk.copy(out, length, 0, first);
    if (first > 0) afterCr = chunk[first - 1] === CR;
    for (let at = first; at < chunk.length; at++) {
      const octet = chunk[at] ?? 0;
      if (octet === LF) {
        if (!afterCr) {
          out[length++] = CR;
          this.converted++;
        }
        out[length++] = LF;
      } else {
        if (afterCr && this.#convertCr) {
          out[length++] = LF;
          this.converted++;
        }
        out[length++] = octet;
      }
      afterCr = octet === CR;
    }
    this.#afterCr = afterCr;
    if (afterCr && this.#convertCr) length--;
    if (length > 0) this.#output.write(out.subarray(0, length));
  }
}
