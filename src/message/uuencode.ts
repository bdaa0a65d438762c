import { SealpostError } from '../errors.ts';
import type { Sink } from './sink.ts';

const MAX_LINE = 1000;
/** Octets whose lines are held at once, because an array of lines takes many times the memory of their octets. */
const PIECE = 64 * 1024;

/**
 * Decodes uuencode (POSIX), from the `begin` line to the `end` line. Text around them is dropped.
 *
 * Errors: `transfer-encoding` if there is no `begin` line, or if a line is not as long as it says.
 */
export class UuDecoder implements Sink {
  readonly #output: Sink;
  #carry = '';
  #state: 'before' | 'data' | 'after' = 'before';

  constructor(output: Sink) {
    this.#output = output;
  }

  write(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += PIECE) this.#piece(chunk.subarray(at, at + PIECE));
  }

  #piece(chunk: Buffer): void {
    const lines = (this.#carry + chunk.toString('latin1')).split('\n');
    this.#carry = lines.pop() ?? '';
    if (this.#carry.length > MAX_LINE && this.#state === 'data') throw broken('a line is too long');
    if (this.#state !== 'data') this.#carry = this.#carry.slice(0, MAX_LINE);
    const decoded: Buffer[] = [];
    try {
      for (const line of lines) this.#line(line, decoded);
    } catch (error) {
      // octets before the fault are passed on first, so that the chunking does not change which error is found
      if (decoded.length > 0) this.#output.write(Buffer.concat(decoded));
      throw error;
    }
    if (decoded.length > 0) this.#output.write(Buffer.concat(decoded));
  }

  end(): void {
    const decoded: Buffer[] = [];
    if (this.#carry !== '') this.#line(this.#carry, decoded);
    if (this.#state === 'before') throw broken('it has no begin line');
    for (const octets of decoded) this.#output.write(octets);
    this.#output.end();
  }

  #line(raw: string, decoded: Buffer[]): void {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (this.#state === 'before') {
      if (/^begin [0-7]{3,4} /.test(line)) this.#state = 'data';
    } else if (this.#state === 'data') {
      if (line === 'end') this.#state = 'after';
      else if (line !== '') decoded.push(decodeLine(line));
    }
  }
}

function broken(what: string): SealpostError {
  return new SealpostError('transfer-encoding', `the body is not uuencoded: ${what}`);
}

function decodeLine(line: string): Buffer {
  const length = (line.charCodeAt(0) - 32) & 63;
  const groups = Math.ceil(length / 3);
  // trailing spaces (which encode zeros) may have been lost in transit
  const text = line.slice(1).padEnd(groups * 4, ' ');
  if (text.trimEnd().length > groups * 4 + 1) throw broken('a line is longer than it says');
  const out = Buffer.alloc(groups * 3);
  for (let group = 0; group < groups; group++) {
    let bits = 0;
    for (let i = 0; i < 4; i++) {
      const value = text.charCodeAt(group * 4 + i) - 32;
      if (value < 0 || value > 64) throw broken('a character outside of its alphabet');
      bits = (bits << 6) | (value & 63);
    }
    out.writeUIntBE(bits & 0xffffff, group * 3, 3);
  }
  return out.subarray(0, length);
}
