import { SealpostError } from '../errors.ts';
import { Header, malformed, type TagClass, truncated } from './header.ts';

export { type TagClass, tags } from './header.ts';

/** One BER element, as offsets into the octets that it was read from. Nothing is copied. */
export interface Element {
  cls: TagClass;
  constructed: boolean;
  tag: number;
  source: Buffer;
  /** Offset of the identifier octet. */
  start: number;
  contentStart: number;
  /** The offset after the last content octet. End-of-contents octets lie between here and `end`. */
  contentEnd: number;
  end: number;
}

export interface ReadOptions {
  /** Levels of nesting allowed. Default 64. */
  maxDepth?: number;
  /** Elements allowed in one tree, or among the children of one element. Default 500,000. */
  maxElements?: number;
}

const defaultDepth = 64;
const defaultElements = 500_000;

/**
 * Reads exactly one element that fills `source`, and checks that the whole tree under it is BER.
 * @throws SealpostError `asn1-malformed` (also for trailing octets), `asn1-truncated`, `asn1-limit`
 */
export function parse(source: Buffer, options: ReadOptions = {}): Element {
  const element = read(source, 0, source.length, options, true);
  if (element.end !== source.length) throw malformed('octets after the end of the element', element.end);
  return element;
}

/**
 * Reads the element at `offset`. What follows it, and the inside of elements of definite length, is not looked at.
 * @throws SealpostError as `parse`
 */
export function readElement(source: Buffer, offset: number, options: ReadOptions = {}): Element {
  return read(source, offset, source.length, options, false);
}

/** The octets of the whole element, identifier and length included. A view, not a copy. */
export function raw(element: Element): Buffer {
  return element.source.subarray(element.start, element.end);
}

/** The content octets. A view, not a copy. */
export function content(element: Element): Buffer {
  return element.source.subarray(element.contentStart, element.contentEnd);
}

/** The elements directly inside a constructed element. */
export function children(element: Element, options: ReadOptions = {}): Element[] {
  const most = options.maxElements ?? defaultElements;
  const cursor = new Cursor(element, options);
  const found: Element[] = [];
  while (!cursor.atEnd) {
    if (found.length >= most) throw tooMany(most);
    found.push(cursor.next());
  }
  return found;
}

/** The elements of a SET OF or SEQUENCE OF, which must all have this universal type. */
export function childrenOf(element: Element, tag: number, options: ReadOptions = {}): Element[] {
  const found = children(element, options);
  const other = found.find((child) => child.cls !== 0 || child.tag !== tag);
  if (other !== undefined)
    throw malformed(`an element ${other.cls}:${other.tag} where ${tag} should be`, other.start);
  return found;
}

/** Walks over the elements inside a constructed element, in order. */
export class Cursor {
  readonly element: Element;
  readonly #options: ReadOptions;
  #at: number;
  #peeked: Element | undefined;

  constructor(element: Element, options: ReadOptions = {}) {
    if (!element.constructed)
      throw malformed('a primitive element where others should be inside', element.start);
    this.element = element;
    this.#options = options;
    this.#at = element.contentStart;
  }

  get atEnd(): boolean {
    return this.#at >= this.element.contentEnd;
  }

  /** The next element, without taking it; undefined at the end. */
  peek(): Element | undefined {
    if (this.atEnd) return undefined;
    this.#peeked ??= read(this.element.source, this.#at, this.element.contentEnd, this.#options, false);
    return this.#peeked;
  }

  /** Takes the next element. Errors: `asn1-malformed` if there is none. */
  next(): Element {
    const element = this.peek();
    if (element === undefined) throw malformed('an element is missing', this.element.contentEnd);
    this.#at = element.end;
    this.#peeked = undefined;
    return element;
  }

  /** Takes the next element if it has this class and tag number. */
  optional(cls: TagClass, tag: number): Element | undefined {
    const element = this.peek();
    return element !== undefined && element.cls === cls && element.tag === tag ? this.next() : undefined;
  }

  /** Takes the next element, which must have this tag number (universal unless `cls` says otherwise). */
  expect(tag: number, cls: TagClass = 0): Element {
    const element = this.next();
    if (element.cls !== cls || element.tag !== tag) {
      throw malformed(`tag ${element.cls}:${element.tag} where ${cls}:${tag} should be`, element.start);
    }
    return element;
  }

  /** Checks that nothing is left. */
  done(): void {
    if (!this.atEnd) throw malformed('an element too many', this.#at);
  }
}

/** Overwritten for each element; nothing is kept from one to the next. */
const header = new Header();

function read(source: Buffer, offset: number, limit: number, options: ReadOptions, deep: boolean): Element {
  if (!header.read(source, offset, limit)) throw truncated(offset);
  if (header.isEndOfContents) throw malformed('end-of-contents where an element should be', offset);
  const { cls, constructed, tag, contentStart, length } = header;
  if (length > limit - contentStart) throw truncated(offset);
  if (length >= 0 && !(deep && constructed)) {
    const end = contentStart + length;
    return { cls, constructed, tag, source, start: offset, contentStart, contentEnd: end, end };
  }
  const bound = length < 0 ? limit : contentStart + length;
  const contentEnd = scan(source, contentStart, bound, length < 0, deep, options);
  const end = length < 0 ? contentEnd + 2 : contentEnd;
  return { cls, constructed, tag, source, start: offset, contentStart, contentEnd, end };
}

/**
 * Finds where the content of an element ends; with `deep`, also checks everything inside it. The stack is an array with
 * a limit, so hostile nesting costs neither recursion nor memory.
 */
function scan(
  source: Buffer,
  start: number,
  limit: number,
  indefinite: boolean,
  deep: boolean,
  options: ReadOptions,
): number {
  const maxDepth = options.maxDepth ?? defaultDepth;
  const maxElements = options.maxElements ?? defaultElements;
  // for each open element: where its content must end, and whether end-of-contents octets end it
  const ends: number[] = [limit];
  const open: boolean[] = [indefinite];
  let count = 0;
  let at = start;
  for (;;) {
    const level = ends.length - 1;
    const end = ends[level] ?? limit;
    const waits = open[level] ?? false;
    if (!waits && at === end) {
      if (level === 0) return at;
      ends.pop();
      open.pop();
      continue;
    }
    if (!header.read(source, at, end)) throw truncated(at);
    if (header.isEndOfContents) {
      if (!waits || header.constructed || header.length !== 0 || header.contentStart !== at + 2) {
        throw malformed('end-of-contents where an element should be', at);
      }
      if (level === 0) return at;
      ends.pop();
      open.pop();
      at += 2;
      continue;
    }
    if (++count > maxElements) throw tooMany(maxElements);
    if (header.length > end - header.contentStart) throw truncated(at);
    const enter = header.length < 0 || (deep && header.constructed);
    if (!enter) {
      at = header.contentStart + header.length;
      continue;
    }
    if (ends.length >= maxDepth) {
      throw new SealpostError('asn1-limit', `more than ${maxDepth} levels of nesting at offset ${at}`);
    }
    at = header.contentStart;
    ends.push(header.length < 0 ? end : at + header.length);
    open.push(header.length < 0);
  }
}

function tooMany(most: number): SealpostError {
  return new SealpostError('asn1-limit', `more than ${most} elements`);
}
