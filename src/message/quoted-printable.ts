import type { Sink } from './sink.ts';

const LF = 0x0a;
const CR = 0x0d;
const EQUALS = 0x3d;
const SPACE = 0x20;
const TAB = 0x09;

function hexValue(octet: number | undefined): number {
  if (octet === undefined) return -1;
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  if (octet >= 0x41 && octet <= 0x46) return octet - 0x37;
  if (octet >= 0x61 && octet <= 0x66) return octet - 0x57;
  return -1;
}

/**
 * Decodes quoted-printable (RFC 2045, section 6.7) as a stream. Tolerant as that section advises: white space at line
 * ends is dropped, and an `=` that starts no valid sequence is kept. Line ends are unchanged.
 */
export class QuotedPrintableDecoder implements Sink {
  readonly #output: Sink;
  /** The last octets, which cannot be decided yet: white space, or `=` with what follows it. */
  #carry: Buffer = Buffer.alloc(0);

  constructor(output: Sink) {
    this.#output = output;
  }

  write(chunk: Buffer): void {
    const octets = this.#carry.length === 0 ? chunk : Buffer.concat([this.#carry, chunk]);
    this.#carry = this.#decode(octets, false);
  }

  end(): void {
    this.#decode(this.#carry, true);
    this.#carry = Buffer.alloc(0);
    this.#output.end();
  }

  /** Writes what can be decided. Returns (a copy of) the rest, which is empty if `final`. */
  #decode(octets: Buffer, final: boolean): Buffer {
    const out = Buffer.allocUnsafe(octets.length);
    let length = 0;
    let at = 0;
    while (at < octets.length) {
      const octet = octets[at] ?? 0;
      if (octet === EQUALS) {
        const step = this.#escape(octets, at, final);
        if (step === undefined) break;
        if (step.octet !== undefined) out[length++] = step.octet;
        at = step.next;
      } else if (octet === SPACE || octet === TAB) {
        const end = skipSpace(octets, at);
        const open = end === octets.length || (octets[end] === CR && end + 1 === octets.length);
        // an unfinished run of white space is kept up to a sensible length; beyond that, it is text
        if (open && !final && octets.length - at < 1000) break;
        if (!isLineEnd(octets, end) && !(final && end === octets.length)) {
          length += octets.copy(out, length, at, end);
        }
        at = end;
      } else {
        out[length++] = octet;
        at++;
      }
    }
    if (length > 0) this.#output.write(out.subarray(0, length));
    return Buffer.from(octets.subarray(at));
  }

  /** What an `=` starts: an octet, a soft line break, or undefined if more octets are needed. */
  #escape(octets: Buffer, at: number, final: boolean): { next: number; octet?: number } | undefined {
    const high = hexValue(octets[at + 1]);
    const low = hexValue(octets[at + 2]);
    if (high >= 0 && low >= 0) return { next: at + 3, octet: high * 16 + low };
    const end = skipSpace(octets, at + 1);
    if (octets[end] === LF) return { next: end + 1 };
    if (octets[end] === CR && octets[end + 1] === LF) return { next: end + 2 };
    const open = end >= octets.length || (octets[end] === CR && end + 1 >= octets.length);
    const halfHex = high >= 0 && at + 2 >= octets.length;
    if ((open || halfHex) && !final && octets.length - at < 1000) return undefined;
    if (open && final && !halfHex) return { next: octets.length };
    return { next: at + 1, octet: EQUALS };
  }
}

function skipSpace(octets: Buffer, start: number): number {
  let at = start;
  while (octets[at] === SPACE || octets[at] === TAB) at++;
  return at;
}

function isLineEnd(octets: Buffer, at: number): boolean {
  return octets[at] === LF || (octets[at] === CR && octets[at + 1] === LF);
}

const HEX = '0123456789ABCDEF';
const MAX_LINE = 76;

/**
 * Encodes text as quoted-printable (RFC 2045, section 6.7). CRLF in the input stays a line end. Everything that a
 * gateway could change is escaped: white space at line ends, and at the start of a line a lone dot and `From ` (RFC
 * 5751, section 3.1.3 requires this in signed text).
 */
export class QuotedPrintableEncoder implements Sink {
  readonly #output: Sink;
  /** Characters in the line that is being written. */
  #column = 0;
  #carry: Buffer = Buffer.alloc(0);

  constructor(output: Sink) {
    this.#output = output;
  }

  write(chunk: Buffer): void {
    const octets = this.#carry.length === 0 ? chunk : Buffer.concat([this.#carry, chunk]);
    // the last octets wait, because the encoding of an octet depends on those after it, at most on all of "From "
    const limit = Math.max(0, octets.length - FROM.length);
    this.#carry = Buffer.from(octets.subarray(this.#encode(octets, limit)));
  }

  end(): void {
    this.#encode(this.#carry, this.#carry.length);
    this.#output.end();
  }

  /** Encodes octets up to `limit`. Returns how far it got (one octet further if a CRLF straddles the limit). */
  #encode(octets: Buffer, limit: number): number {
    // three characters for an octet, and a soft line break of three for each line
    const out = Buffer.allocUnsafe(Math.ceil(limit * 3.2) + 16);
    let length = 0;
    let column = this.#column;
    let at = 0;
    while (at < limit) {
      const octet = octets[at] ?? 0;
      if (octet === CR && octets[at + 1] === LF) {
        out[length++] = CR;
        out[length++] = LF;
        column = 0;
        at += 2;
        continue;
      }
      const plain = isPlain(octets, at, octet) && !(column === 0 && isSpecialStart(octets, at, octet));
      if (column + (plain ? 1 : 3) > MAX_LINE - 1) {
        out[length++] = EQUALS;
        out[length++] = CR;
        out[length++] = LF;
        column = 0;
        // the same octet again, now at the start of a line
        continue;
      }
      if (plain) {
        out[length++] = octet;
        column++;
      } else {
        out[length++] = EQUALS;
        out[length++] = HEX.charCodeAt(octet >> 4);
        out[length++] = HEX.charCodeAt(octet & 15);
        column += 3;
      }
      at++;
    }
    this.#column = column;
    if (length > 0) this.#output.write(out.subarray(0, length));
    return at;
  }
}

const FROM = Buffer.from('From ');
const DOT = 0x2e;

/** Printable ASCII, and white space that is not at a line end. */
function isPlain(octets: Buffer, at: number, octet: number): boolean {
  if (octet === SPACE || octet === TAB) return at + 1 < octets.length && !isLineEnd(octets, at + 1);
  return octet > SPACE && octet < 0x7f && octet !== EQUALS;
}

/** `From ` or a dot alone in its line. */
function isSpecialStart(octets: Buffer, at: number, octet: number): boolean {
  if (octet === DOT) return at + 1 >= octets.length || isLineEnd(octets, at + 1);
  return octet === FROM[0] && octets.subarray(at, at + FROM.length).equals(FROM);
}
