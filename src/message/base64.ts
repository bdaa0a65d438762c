import { SealpostError } from '../errors.ts';
import type { Sink } from './sink.ts';

const LF = 0x0a;
const CR = 0x0d;
const PAD = 0x3d;
/** Node decodes chunks of this size several times faster than one large buffer. */
const CHUNK = 64 * 1024;

const SPACE = 64;
const PADDING = 65;
const JUNK = 66;

/** The value of each octet (0 to 63), or SPACE, PADDING, JUNK. */
const table = new Uint8Array(256).fill(JUNK);
for (const [value, char] of [
  ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
].entries()) {
  table[char.charCodeAt(0)] = value;
}
for (const char of ' \t\r\n') table[char.charCodeAt(0)] = SPACE;
table[PAD] = PADDING;

function broken(what: string): SealpostError {
  return new SealpostError('transfer-encoding', `the body is not base64: ${what}`);
}

/**
 * Decodes base64 (RFC 2045, section 6.8) as a stream. Characters outside the alphabet are ignored, as that section
 * says, unless there are so many that the body must be something else. Missing padding at the end is accepted.
 *
 * Runs of equally long lines, which make up nearly all of a real message, go through Node's decoder. The number of
 * octets that it returns proves that it skipped only the line ends. The rest is decoded octet by octet.
 *
 * Errors: `transfer-encoding` for padding in the wrong place, data after the padding, a single last character, or
 * mostly foreign characters.
 */
export class Base64Decoder implements Sink {
  readonly #output: Sink;
  #bits = 0;
  #count = 0;
  #padding = 0;
  #significant = 0;
  #junk = 0;
  /** Octets that are decoded one by one before the fast path is tried again, because a failed attempt is not free. */
  #slowLeft = 0;

  constructor(output: Sink) {
    this.#output = output;
  }

  write(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const aligned = this.#count === 0 && this.#padding === 0;
      const taken = aligned && this.#slowLeft === 0 ? this.#fast(chunk, at) : 0;
      if (taken > 0) {
        at += taken;
        continue;
      }
      const lf = chunk.indexOf(LF, at + this.#slowLeft);
      const end = lf < 0 ? chunk.length : lf + 1;
      this.#slow(chunk, at, end);
      this.#slowLeft = Math.max(0, this.#slowLeft - (end - at));
      at = end;
    }
  }

  end(): void {
    if (this.#padding > 0 && this.#count + this.#padding < 4) throw broken('its padding is incomplete');
    if (this.#padding === 0) {
      if (this.#count === 1) throw broken('it ends within a group of characters');
      this.#flushPartial();
    }
    this.#output.end();
  }

  /** Takes whole lines from `start` on. Returns the number of octets, or 0 if the lines are not equally long. */
  #fast(chunk: Buffer, start: number): number {
    const firstEnd = chunk.indexOf(LF, start);
    if (firstEnd < 0) return 0;
    const period = firstEnd + 1 - start;
    const width = chunk[firstEnd - 1] === CR && firstEnd > start ? period - 2 : period - 1;
    if (width <= 0 || width % 4 !== 0) return 0;
    let limit = Math.min(chunk.length, start + Math.max(CHUNK, period));
    const pad = chunk.subarray(start, limit).indexOf(PAD);
    if (pad >= 0) limit = start + pad;
    const lines = equalLines(chunk, firstEnd, period, width, limit);
    if (lines === 0) return 0;
    const end = start + lines * period;
    const last = pad >= 0 ? lastLine(chunk, end, width) : undefined;
    const piece = chunk.toString('latin1', start, last?.end ?? end);
    const significant = lines * width + (last?.significant ?? 0);
    // Node accepts the URL-safe alphabet too, but in RFC 2045 these are foreign characters
    const foreign = piece.includes('-') || piece.includes('_');
    const decoded = foreign ? undefined : Buffer.from(piece, 'base64');
    if (decoded?.length !== Math.floor((significant * 3) / 4)) {
      this.#slowLeft = CHUNK / 4;
      return 0;
    }
    this.#significant += significant;
    this.#count = significant % 4;
    this.#padding = last?.padding ?? 0;
    this.#output.write(decoded);
    return (last?.end ?? end) - start;
  }

  #slow(chunk: Buffer, start: number, end: number): void {
    const out = Buffer.allocUnsafe(Math.ceil(((end - start + 3) * 3) / 4));
    let length = 0;
    let bits = this.#bits;
    let count = this.#count;
    try {
      for (let i = start; i < end; i++) {
        const value = table[chunk[i] ?? 0] ?? JUNK;
        if (value < SPACE) {
          if (this.#padding > 0) throw broken('there is data after the padding');
          bits = (bits << 6) | value;
          count++;
          this.#significant++;
          if (count === 4) {
            out[length++] = bits >> 16;
            out[length++] = bits >> 8;
            out[length++] = bits;
            bits = 0;
            count = 0;
          }
        } else if (value === PADDING) {
          this.#bits = bits;
          this.#count = count;
          const last = this.#pad();
          if (last !== undefined) {
            last.copy(out, length);
            length += last.length;
          }
        } else if (value === JUNK) this.#countJunk();
      }
    } catch (error) {
      // octets before the fault are passed on first, so that the chunking does not change which error is found
      if (length > 0) this.#output.write(out.subarray(0, length));
      throw error;
    }
    this.#bits = bits;
    this.#count = count;
    if (length > 0) this.#output.write(out.subarray(0, length));
  }

  /** Handles one `=`. The first one emits the octets of the unfinished group. */
  #pad(): Buffer | undefined {
    this.#padding++;
    if (this.#count < 2 || this.#count + this.#padding > 4) throw broken('padding in the wrong place');
    return this.#padding === 1 ? this.#partial() : undefined;
  }

  #partial(): Buffer {
    if (this.#count === 2) return Buffer.from([this.#bits >> 4]);
    return Buffer.from([this.#bits >> 10, this.#bits >> 2]);
  }

  #flushPartial(): void {
    if (this.#count >= 2) this.#output.write(this.#partial());
  }

  #countJunk(): void {
    this.#junk++;
    if (this.#junk > 16 && this.#junk * 4 > this.#significant) {
      throw broken('most of its characters are outside the alphabet');
    }
  }
}

/**
 * The number of lines up to `limit` that end like the first one. No line then has more than `width` characters, so the
 * total count shows that no character is foreign.
 */
function equalLines(chunk: Buffer, firstEnd: number, period: number, width: number, limit: number): number {
  const crlf = period - width === 2;
  let lines = 0;
  for (let at = firstEnd; at < limit; at += period) {
    if (chunk[at] !== LF || (crlf && chunk[at - 1] !== CR)) break;
    lines++;
  }
  return lines;
}

/**
 * The last, shorter line of a body with its padding, if the chunk contains all of it and only line ends after it. `end`
 * is after its characters. Undefined if anything else follows.
 */
function lastLine(
  chunk: Buffer,
  start: number,
  width: number,
): { end: number; significant: number; padding: number } | undefined {
  let behind = chunk.length;
  while (behind > start && (chunk[behind - 1] === LF || chunk[behind - 1] === CR)) behind--;
  let end = behind;
  while (end > start && behind - end < 2 && chunk[end - 1] === PAD) end--;
  const significant = end - start;
  const padding = behind - end;
  // without padding, more lines may follow in the next chunk, and must not be separated from this one
  if (padding === 0 || behind - start > width || (significant + padding) % 4 !== 0) return undefined;
  return { end: behind, significant, padding };
}

const LINE_OCTETS = 57;
const LINE_WIDTH = 76;
/** Octets of a line, including its line end. */
const LINE_OUT = LINE_WIDTH + 2;

/** Encodes base64 in lines of 76 characters, each ended by CRLF (RFC 2045, section 6.8). */
export class Base64Encoder implements Sink {
  readonly #output: Sink;
  /** The octets of an incomplete line. */
  readonly #line: Buffer = Buffer.alloc(LINE_OCTETS);
  #filled = 0;

  constructor(output: Sink) {
    this.#output = output;
  }

  write(chunk: Buffer): void {
    const first = this.#filled > 0 ? chunk.copy(this.#line, this.#filled, 0) : 0;
    this.#filled += first;
    if (this.#filled > 0 && this.#filled < LINE_OCTETS) return;
    const begun = this.#filled > 0 ? 1 : 0;
    const lines = Math.floor((chunk.length - first) / LINE_OCTETS);
    const end = first + lines * LINE_OCTETS;
    if (begun + lines > 0) {
      const out = Buffer.allocUnsafe((begun + lines) * LINE_OUT);
      encodeLines(this.#line, out.subarray(0, begun * LINE_OUT));
      encodeLines(chunk.subarray(first, end), out.subarray(begun * LINE_OUT));
      this.#output.write(out);
    }
    this.#filled = chunk.copy(this.#line, 0, end);
  }

  end(): void {
    if (this.#filled > 0) {
      const last = this.#line.toString('base64', 0, this.#filled);
      this.#output.write(Buffer.from(`${last}\r\n`, 'latin1'));
    }
    this.#output.end();
  }
}

/**
 * Fills `out` with full lines. All characters are written in one run at its end, then moved into place, starting with
 * the first line. Eight octets are moved at a time as a double, which is never NaN for characters of the alphabet. A
 * copyWithin per line would take twice as long.
 */
function encodeLines(octets: Buffer, out: Buffer): void {
  const lines = out.length / LINE_OUT;
  if (lines === 0) return;
  let from = out.length - lines * LINE_WIDTH;
  out.write(octets.toString('base64'), from, 'latin1');
  const view = new DataView(out.buffer, out.byteOffset, out.length);
  for (let to = 0; to < out.length; to += LINE_OUT) {
    for (let at = 0; at < LINE_WIDTH - 4; at += 8) {
      view.setFloat64(to + at, view.getFloat64(from + at, true), true);
    }
    view.setInt32(to + LINE_WIDTH - 4, view.getInt32(from + LINE_WIDTH - 4, true), true);
    view.setUint16(to + LINE_WIDTH, (CR << 8) | LF);
    from += LINE_WIDTH;
  }
}
