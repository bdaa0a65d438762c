import { isAscii, isUtf8 } from 'node:buffer';
import { costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import { defaultMessageLimits, type MessageLimits } from './limits.ts';
import type { Sink } from './sink.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
/** Chunks of a header that are kept before they are joined. */
const MOST_PENDING = 512;

/** One header field. `raw` is exactly what the message contains, including line ends and folding. */
export interface HeaderField {
  /** The name as written. */
  readonly name: string;
  /** The name in lower case. */
  readonly key: string;
  readonly raw: Buffer;
  /** The value unfolded (RFC 5322, section 2.2.3) and trimmed. Read as UTF-8 if it is valid, otherwise as Latin-1. */
  readonly value: string;
  /** False if the value is read as Latin-1 because it is not UTF-8. */
  readonly isUtf8: boolean;
}

/** A header block: its fields in order, and the octets that they came from. */
export class HeaderBlock {
  readonly fields: readonly HeaderField[];
  /** The octets of the whole block, including the final empty line, if there is one. */
  readonly raw: Buffer;
  #latin1: string | undefined;
  #remembered: { readonly read: unknown; readonly result: unknown } | undefined;

  /** @param latin1 `raw` as text, if the caller has it */
  constructor(fields: readonly HeaderField[], raw: Buffer, latin1?: string) {
    this.fields = fields;
    this.raw = raw;
    this.#latin1 = latin1;
  }

  /** `raw` as text with one character per octet. */
  get latin1(): string {
    this.#latin1 ??= this.raw.toString('latin1');
    return this.#latin1;
  }

  /** The result of `read` for this block. It is kept for the function that asked last. */
  remembered<T>(read: (headers: HeaderBlock) => T): T {
    if (this.#remembered?.read !== read) this.#remembered = { read, result: read(this) };
    return this.#remembered.result as T;
  }

  /** The value of the first field with this name (any case). */
  get(name: string): string | undefined {
    const key = name.toLowerCase();
    for (const field of this.fields) if (field.key === key) return field.value;
    return undefined;
  }

  /** The values of all fields with this name, in order. */
  all(name: string): string[] {
    const key = name.toLowerCase();
    return this.fields.filter((field) => field.key === key).map((field) => field.value);
  }
}

/** The octets of a block and their text. The fields are slices of them. */
interface BlockText {
  readonly raw: Buffer;
  readonly latin1: string;
  readonly ascii: boolean;
}

/** A field as offsets into its block, because of most fields only the name is ever used. */
class Field implements HeaderField {
  readonly name: string;
  readonly key: string;
  readonly #block: BlockText;
  readonly #start: number;
  readonly #colon: number;
  readonly #end: number;
  #raw: Buffer | undefined;
  #value: string | undefined;

  constructor(block: BlockText, start: number, nameEnd: number, colon: number, end: number) {
    this.name = block.latin1.slice(start, nameEnd);
    this.key = this.name.toLowerCase();
    this.#block = block;
    this.#start = start;
    this.#colon = colon;
    this.#end = end;
  }

  get raw(): Buffer {
    this.#raw ??= this.#block.raw.subarray(this.#start, this.#end);
    return this.#raw;
  }

  get value(): string {
    this.#value ??= unfolded(this.#text().trim());
    return this.#value;
  }

  get isUtf8(): boolean {
    return this.#block.ascii || isUtf8(this.#block.raw.subarray(this.#colon + 1, this.#end));
  }

  #text(): string {
    const { raw, latin1, ascii } = this.#block;
    if (ascii || !this.isUtf8) return latin1.slice(this.#colon + 1, this.#end);
    return raw.toString('utf8', this.#colon + 1, this.#end);
  }
}

/**
 * Why other parsers may split a header differently. Some take a CR without LF for the end of a line, so that what
 * follows is a field (a second From). Some stop at a NUL. Undefined if all of them see the same lines.
 */
export function strayControl({ latin1: text }: Pick<HeaderBlock, 'latin1'>): string | undefined {
  if (text.includes('\0')) return 'a NUL, at which some parsers end';
  for (let at = text.indexOf('\r'); at >= 0; at = text.indexOf('\r', at + 1))
    if (text.charCodeAt(at + 1) !== LF)
      return 'a CR without LF, which some parsers take for the end of a line';
  return undefined;
}

/** Errors: `mime-malformed` for a header with a stray control character. */
export function refuseStrayControls(headers: HeaderBlock): void {
  const stray = strayControl(headers);
  if (stray !== undefined) throw new SealpostError('mime-malformed', `a header has in it ${stray}`);
}

function unfolded(value: string): string {
  return value.includes('\n') ? value.replace(/\r?\n(?=[ \t])/g, '') : value;
}

/**
 * The field from `start` to `end`, or undefined if it is not a field. A name contains no space or control character.
 */
function readField(block: BlockText, start: number, end: number): Field | undefined {
  const { latin1 } = block;
  let nameEnd = start;
  for (; nameEnd < end; nameEnd++) {
    const char = latin1.charCodeAt(nameEnd);
    if (char <= SPACE || char >= 0x7f || char === COLON) break;
  }
  if (nameEnd === start) return undefined;
  let colon = nameEnd;
  // obsolete syntax (RFC 5322, section 4.5.8): white space between the name and the colon
  while (colon < end && isBlank(latin1.charCodeAt(colon))) colon++;
  if (colon === end || latin1.charCodeAt(colon) !== COLON) return undefined;
  return new Field(block, start, nameEnd, colon, end);
}

function isBlank(char: number): boolean {
  return char === SPACE || char === TAB;
}

/**
 * Reads a header block (RFC 5322, section 2.2) with CRLF or LF line ends. It is tolerant: a line that is not a field
 * (such as the `From ` line of a mailbox file) is kept in `raw` but yields no field.
 *
 * Errors: `mime-limit` if the block or the number of its fields exceeds the limits.
 */
export function parseHeaders(raw: Buffer, limits: MessageLimits = defaultMessageLimits): HeaderBlock {
  if (raw.length > limits.headerOctets) throw headerTooLarge(limits);
  return readBlock(raw, raw.toString('latin1'), limits);
}

function readBlock(raw: Buffer, latin1: string, limits: MessageLimits): HeaderBlock {
  const block = { raw, latin1, ascii: isAscii(raw) };
  const fields: HeaderField[] = [];
  let start = 0;
  while (start < latin1.length) {
    let end = lineEnd(latin1, start);
    while (end < latin1.length && isBlank(latin1.charCodeAt(end))) end = lineEnd(latin1, end);
    const field = readField(block, start, end);
    if (field !== undefined) fields.push(field);
    if (fields.length > limits.headerFields) {
      throw new SealpostError('mime-limit', `a header block has more than ${limits.headerFields} fields`);
    }
    start = end;
  }
  return new HeaderBlock(fields, raw, latin1);
}

function lineEnd(text: string, start: number): number {
  const lf = text.indexOf('\n', start);
  return lf < 0 ? text.length : lf + 1;
}

function headerTooLarge(limits: MessageLimits): SealpostError {
  return new SealpostError('mime-limit', `a header block is larger than ${limits.headerOctets} octets`);
}

/**
 * Finds the end of the header block in a stream, which is the first empty line (CRLF or LF). What follows goes to the
 * sink that `onHeaders` returns. A stream without an empty line is all header, with an empty body.
 *
 * Errors: `mime-limit` as soon as the block exceeds the limit.
 */
export class HeaderSplitter implements Sink {
  readonly #onHeaders: (headers: HeaderBlock) => Sink;
  readonly #limits: MessageLimits;
  readonly #onOverflow: ((octets: Buffer) => Sink) | undefined;
  #body: Sink | undefined;
  #pending: Buffer[] = [];
  #length = 0;
  /**
   * How the octets so far end: at the start of a line, at the start of a line and then CR, or in the middle of a line.
   */
  #state: 'line-start' | 'line-start-cr' | 'in-line' = 'line-start';

  /** @param onOverflow called instead of throwing; takes what has arrived, and returns the sink for the rest */
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
    // a copy, because fields are views of it and outlive the caller's chunk
    this.#pending.push(Buffer.from(taken));
    // a sender of single octets must not make us keep an object for each
    if (this.#pending.length === MOST_PENDING) this.#pending = [Buffer.concat(this.#pending, this.#length)];
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
    const latin1 = raw.toString('latin1');
    this.#limits.budget?.spend(
      costs.headerBlock(raw.length, occurrences(latin1, '=?') + occurrences(latin1, '*=')),
    );
    this.#body = this.#onHeaders(readBlock(raw, latin1, this.#limits));
    return this.#body;
  }

  /** The index after the empty line, or -1 if it is not in this chunk. */
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

function occurrences(header: string, text: string): number {
  let count = 0;
  for (let at = header.indexOf(text); at >= 0; at = header.indexOf(text, at + text.length)) count++;
  return count;
}
