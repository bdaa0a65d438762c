import { createHash, type Hash } from 'node:crypto';
import type { Sink } from '../message/index.ts';

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const lineEnd = Buffer.from('\r\n');
/** How many line ends are hashed at a time, if there are many before the next text. */
const lineEnds = Buffer.from('\r\n'.repeat(4096));
const nothing = Buffer.alloc(0);

/**
 * The hash of a body in the canonicalization `relaxed` (RFC 6376 section 3.4.4): white space at the end of a line and
 * empty lines at the end of the body do not count, and other white space is one space. The body is pushed in chunks of
 * any size, with CRLF line ends.
 */
export class RelaxedBodyHash implements Sink {
  readonly #hash: Hash = createHash('sha256');
  /** Line ends that count only if something follows them. */
  #lines = 0;
  /** A space, a CR, or both. The next chunk decides what they are. */
  #held: Buffer = nothing;
  #hasText = false;

  write(chunk: Buffer): void {
    const octets = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = nothing;
    // most chunks are base64
    const plain = octets.includes(SPACE) || octets.includes(TAB) ? relaxed(octets) : octets;
    let end = plain.length;
    if (plain[end - 1] === CR) end -= 1;
    if (plain[end - 1] === SPACE) end -= 1;
    // a copy, because the caller may use the chunk again
    if (end < plain.length) this.#held = Buffer.from(plain.subarray(end));
    const ends = end;
    while (plain[end - 1] === LF && plain[end - 2] === CR) end -= 2;
    if (end > 0) this.#text(plain.subarray(0, end));
    this.#lines += (ends - end) / 2;
  }

  end(): void {
    if (this.#held.includes(CR)) this.#text(Buffer.from('\r'));
    this.#held = nothing;
    if (this.#hasText) this.#hash.update(lineEnd);
  }

  /** In base64. Call it after `end`. */
  get base64(): string {
    return this.#hash.copy().digest('base64');
  }

  #text(text: Buffer): void {
    for (let left = this.#lines * 2; left > 0; left -= lineEnds.length)
      this.#hash.update(lineEnds.subarray(0, Math.min(left, lineEnds.length)));
    this.#lines = 0;
    this.#hash.update(text);
    this.#hasText = true;
  }
}

function relaxed(octets: Buffer): Buffer {
  const text = octets
    .toString('latin1')
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(' \r\n', '\r\n');
  return Buffer.from(text, 'latin1');
}
