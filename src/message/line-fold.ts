import type { Sink } from './sink.ts';

const CR = 0x0d;
const LF = 0x0a;
const EQUALS = 0x3d;
const CRLF: Buffer = Buffer.from('\r\n');
const SOFT: Buffer = Buffer.from('=\r\n');
/** Octets after which a line is broken: below 998, with room for an escape and the break. */
const LONGEST = 990;

/**
 * Breaks lines of base64 or quoted-printable that are longer than servers accept (998 octets, RFC 5321, section
 * 4.5.3.1.6). The breaks follow the encoding, so the decoded content stays the same. Everything else passes through
 * unchanged.
 */
export class LineFold implements Sink {
  readonly #output: Sink;
  readonly #quoted: boolean;
  #length = 0;
  /** Octets of an escape that are still to come. */
  #escape = 0;

  constructor(output: Sink, encoding: 'base64' | 'quoted-printable') {
    this.#output = output;
    this.#quoted = encoding === 'quoted-printable';
  }

  write(chunk: Buffer): void {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const octet = chunk[at] ?? 0;
      if (octet === LF) {
        this.#length = 0;
        this.#escape = 0;
        continue;
      }
      if (this.#length >= LONGEST && this.#escape === 0 && octet !== CR) {
        if (at > start) this.#output.write(chunk.subarray(start, at));
        this.#output.write(this.#quoted ? SOFT : CRLF);
        start = at;
        this.#length = 0;
      }
      this.#length++;
      if (!this.#quoted) continue;
      if (octet === EQUALS) this.#escape = 2;
      else if (this.#escape > 0) this.#escape--;
    }
    if (start < chunk.length) this.#output.write(chunk.subarray(start));
  }

  end(): void {
    this.#output.end();
  }
}
