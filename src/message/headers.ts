import { isUtf8 } from 'node:buffer';
import { SealpostError } from '../errors.ts';
import { defaultMessageLimits, type MessageLimits } from './limits.ts';
import type { Sink } from './sink.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;

/** One header field. `raw` is exactly what the message has, line ends and folding included. */
export interface HeaderField {
  /** The name as it is written. */
  readonly name: string;
  /** The name in lower case. */
  readonly key: string;
  readonly raw: Buffer;
  /** The value unfolded (RFC 5322, section 2.2.3) and trimmed; UTF-8 where it is, else Latin-1. */
  readonly value: string;
}

/** A header block: the fields in their order and the octets they came from. */
export class HeaderBlock {
  readonly fields: readonly HeaderField[];
  /** The octets of the whole block, with the empty line that ends it where there is one. */
  readonly raw: Buffer;

  constructor(fields: readonly HeaderField[], raw: Buffer) {
    this.fields = fields;
    this.raw = raw;
  }

  /** The value of the first field of that name (any case). */
  get(name: string): string | undefined {
    const key = name.toLowerCase();
    return this.fields.find((field) => field.key === key)?.value;
  }

  /** The values of all fields of that name, in their order. */
  all(name: string): string[] {
    const key = name.toLowerCase();
    return this.fields.filter((field) => field.key === key).map((field) => field.value);
  }
}

function text(octets: Buffer): string {
  return isUtf8(octets) ? octets.toString('utf8') : octets.toString('latin1');
}

function makeField(raw: Buffer, colon: number): HeaderField {
  const name = raw.toString('latin1', 0, colon).trimEnd();
  const value = text(raw.subarray(colon + 1))
    .replace(/\r?\n(?=[ \t])/g, '')
    .trim();
  return { name, key: name.toLowerCase(), raw, value };
}

/** The colon that ends the field name, or -1 when this is no field: a name has no space or control in it. */
function nameEnd(raw: Buffer): number {
  const colon = raw.indexOf(COLON);
  if (colon <= 0) return -1;
  let end = colon;
  // obsolete syntax (RFC 5322, section 4.5.8): white space between the name and the colon
  while (end > 0 && (raw[end - 1] === SPACE || raw[end - 1] === TAB)) end--;
  if (end === 0) return -1;
  for (let i = 0; i < end; i++) {
    const octet = raw[i] ?? 0;
    if (octet <= SPACE || octet >= 0x7f) return -1;
  }
  return colon;
}

/**
 * Reads a header block (RFC 5322, section 2.2) with CRLF or LF line ends. It is tolerant: a line that is
 * no field (such as the `From ` line of a mailbox file) is kept in `raw` but gives no field.
 *
 * Errors: `mime-limit` when the block or the number of its fields is above the limits.
 */
export function parseHeaders(raw: Buffer, limits: MessageLimits = defaultMessageLimits): HeaderBlock {
  if (raw.length > limits.headerOctets) throw headerTooLarge(limits);
  const fields: HeaderField[] = [];
  let start = 0;
  while (start < raw.length) {
    let end = lineEnd(raw, start);
    while (end < raw.length && (raw[end] === SPACE || raw[end] === TAB)) end = lineEnd(raw, end);
    const octets = raw.subarray(start, end);
    const colon = nameEnd(octets);
    if (colon > 0) fields.push(makeField(octets, colon));
    if (fields.length > limits.headerFields) {
      throw new SealpostError('mime-limit', `a header block has more than ${limits.headerFields} fields`);
    }
    start = end;
  }
  return new HeaderBlock(fields, raw);
}

function lineEnd(octets: Buffer, start: number): number {
  const lf = octets.indexOf(LF, start);
  return lf < 0 ? octets.length : lf + 1;
}

function headerTooLarge(limits: MessageLimits): SealpostError {
  return new SealpostError('mime-limit', `a header block is larger than ${limits.headerOctets} octets`);
}

/**
 * Finds the end of the header block in a stream: the first empty line (CRLF or LF). What follows goes to
 * the sink that `onHeaders` returns. A stream without an empty line is all header, with an empty body.
 *
 * Errors: `mime-limit` as soon as the block is above the limit, whatever its end would be.
 */
export class HeaderSplitter implements Sink {
  readonly #onHeaders: (headers: HeaderBlock) => Sink;
  readonly #limits: MessageLimits;
  readonly #onOverflow: ((octets: Buffer) => Sink) | undefined;
  #body: Sink | undefined;
  #pending: Buffer[] = [];
  #length = 0;
  /** What the octets so far end with: a line start, a line start and CR, or the middle of a line. */
  #state: 'line-start' | 'line-start-cr' | 'in-line' = 'line-start';

  /** @param onOverflow instead of the error: takes what came so far, returns the sink for the rest */
  constructor(
    onHeaders: (headers: HeaderBlock) => Sink,
    limits: MessageLimits = defaultMessageLimits,
    onOverflow?: (octets: Buffer) => Sink,
  ) {
    this.#onHeaders = onHeaders;
    this.#limits = limits;
    this.#onOverflow = onOverflow;
  }

  write(chunk: Buffer): void {
    if (this.#body !== undefined) {
      this.#body.write(chunk);
      return;
    }
    const end = this.#scan(chunk);
    const taken = end < 0 ? chunk : chunk.subarray(0, end);
    this.#length += taken.length;
    if (this.#length > this.#limits.headerOctets) {
      if (this.#onOverflow === undefined) throw headerTooLarge(this.#limits);
      this.#body = this.#onOverflow(Buffer.concat(this.#pending));
      this.#pending = [];
      this.#body.write(chunk);
      return;
    }
    // a copy: fields are views of it, and outlive the caller's chunk
    this.#pending.push(Buffer.from(taken));
    if (end < 0) return;
    const body = this.#finish();
    if (end < chunk.length) body.write(chunk.subarray(end));
  }

  end(): void {
    const body = this.#body ?? this.#finish();
    body.end();
  }

  #finish(): Sink {
    const [first] = this.#pending;
    const raw =
      this.#pending.length === 1 && first !== undefined ? first : Buffer.concat(this.#pending, this.#length);
    this.#pending = [];
    this.#body = this.#onHeaders(parseHeaders(raw, this.#limits));
    return this.#body;
  }

  /** The index behind the empty line, or -1 when it is not in this chunk. */
  #scan(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'in-line') {
        const lf = chunk.indexOf(LF, at);
        if (lf < 0) return -1;
        this.#state = 'line-start';
        at = lf + 1;
        continue;
      }
      const octet = chunk[at];
      at++;
      if (octet === LF) return at;
      this.#state = octet === CR && this.#state === 'line-start' ? 'line-start-cr' : 'in-line';
    }
    return -1;
  }
}
