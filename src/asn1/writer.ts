import { tags } from './header.ts';
import { oidName } from './oids.ts';

/** The first octets of an element of indefinite length, and what ends it (X.690 section 8.1.3.6). */
export const endOfContents: Buffer = Buffer.from([0, 0]);

/** Identifier and length octets (DER) of an element with `length` content octets; -1 means indefinite. */
export function header(identifier: number, tag: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(headerOctets(tag, length));
  writeHeader(out, identifier, tag, length);
  return out;
}

function headerOctets(tag: number, length: number): number {
  let octets = 2;
  if (tag >= 0x1f) for (let rest = tag; rest > 0; rest = Math.floor(rest / 128)) octets++;
  if (length >= 0x80) for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets++;
  return octets;
}

/** Writes the header at the start of `out`, last octet first; returns where the content begins. */
function writeHeader(out: Buffer, identifier: number, tag: number, length: number): number {
  const end = headerOctets(tag, length);
  let at = end;
  if (length < 0x80) out[--at] = length < 0 ? 0x80 : length;
  else {
    for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) out[--at] = rest % 256;
    const octets = end - at;
    out[--at] = 0x80 | octets;
  }
  if (tag < 0x1f) out[0] = identifier | tag;
  else {
    let more = 0;
    for (let rest = tag; rest > 0; rest = Math.floor(rest / 128)) {
      out[--at] = (rest % 128) | more;
      more = 0x80;
    }
    out[0] = identifier | 0x1f;
  }
  return end;
}

/** The chunks of an element, including those of its content, for content that is too large to copy at each level. */
export function enclose<T extends Uint8Array>(
  identifier: number,
  tag: number,
  content: readonly T[],
): (T | Buffer)[] {
  let length = 0;
  for (const chunk of content) length += chunk.length;
  return [header(identifier, tag, length), ...content];
}

function element(identifier: number, tag: number, content: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const chunk of content) length += chunk.length;
  const out = Buffer.allocUnsafe(headerOctets(tag, length) + length);
  let at = writeHeader(out, identifier, tag, length);
  for (const chunk of content) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

export function sequence(...parts: Uint8Array[]): Buffer {
  return element(0x20, tags.sequence, parts);
}

/** A SET in the given order. For a SET OF, DER needs `setOf`. */
export function set(...parts: Uint8Array[]): Buffer {
  return element(0x20, tags.set, parts);
}

/** A SET OF, with its elements in DER order (X.690 section 11.6). */
export function setOf(...parts: Uint8Array[]): Buffer {
  return element(0x20, tags.set, sortDer(parts));
}

/**
 * Compares encodings for ascending order. If one begins with the other, the shorter one comes first (X.690 section
 * 11.6).
 */
export function sortDer<T extends Uint8Array>(parts: readonly T[]): T[] {
  return [...parts].sort((a, b) => Buffer.compare(a, b));
}

/** An INTEGER from a number, a bigint, or unsigned big-endian octets. */
export function integer(value: bigint | number | Uint8Array): Buffer {
  return element(0, tags.integer, [integerContent(value)]);
}

/** The content octets of an INTEGER. */
export function integerContent(value: bigint | number | Uint8Array): Buffer {
  if (typeof value === 'object') return unsignedContent(value);
  if (value >= 0 && value < 0x80) return Buffer.from([Number(value)]);
  const big = BigInt(value);
  let octets = 1;
  while (BigInt.asIntN(octets * 8, big) !== big) octets++;
  return Buffer.from(
    BigInt.asUintN(octets * 8, big)
      .toString(16)
      .padStart(octets * 2, '0'),
    'hex',
  );
}

function unsignedContent(value: Uint8Array): Buffer {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const octets = value.subarray(start);
  return octets.length === 0 || (octets[0] ?? 0) >= 0x80
    ? Buffer.concat([Buffer.from([0]), octets])
    : Buffer.from(octets);
}

const encodedOids = new Map<string, Buffer>();

/**
 * An OBJECT IDENTIFIER from its dotted form. Throws a TypeError if it is not one. The result is cached, so do not
 * change it.
 */
export function oid(dotted: string): Buffer {
  const known = encodedOids.get(dotted);
  if (known !== undefined) return known;
  const encoded = encodeOid(dotted);
  // only those of the table, so that unknown ones cannot fill the memory
  if (oidName(dotted) !== undefined) encodedOids.set(dotted, encoded);
  return encoded;
}

function encodeOid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map((arc) => BigInt(arc));
  if (first === undefined || second === undefined || first > 2n || (first < 2n && second > 39n)) {
    throw new TypeError(`not an object identifier: ${dotted}`);
  }
  const octets: number[] = [];
  for (const arc of [first * 40n + second, ...rest]) {
    const parts = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) parts.unshift(Number(left & 0x7fn) | 0x80);
    octets.push(...parts);
  }
  return element(0, tags.oid, [Buffer.from(octets)]);
}

export function octetString(content: Uint8Array): Buffer {
  return element(0, tags.octetString, [content]);
}

export function bitString(content: Uint8Array, unusedBits = 0): Buffer {
  return element(0, tags.bitString, [Buffer.from([unusedBits]), content]);
}

export function boolean(value: boolean): Buffer {
  return element(0, tags.boolean, [Buffer.from([value ? 0xff : 0])]);
}

export function nullValue(): Buffer {
  return Buffer.from([tags.nullValue, 0]);
}

/** [tag] EXPLICIT: a context-specific tag around whole elements. */
export function explicit(tag: number, ...parts: Uint8Array[]): Buffer {
  return element(0xa0, tag, parts);
}

/** [tag] IMPLICIT: a context-specific tag in place of the element's own, with its content octets. */
export function implicit(tag: number, constructed: boolean, ...content: Uint8Array[]): Buffer {
  return element(constructed ? 0xa0 : 0x80, tag, content);
}

export function utf8(value: string): Buffer {
  return element(0, tags.utf8String, [Buffer.from(value, 'utf8')]);
}

export function printable(value: string): Buffer {
  return element(0, tags.printableString, [Buffer.from(value, 'latin1')]);
}

export function ia5(value: string): Buffer {
  return element(0, tags.ia5String, [Buffer.from(value, 'latin1')]);
}

/** UTCTime for 1950 to 2049, otherwise GeneralizedTime, in whole seconds (RFC 5652 section 11.3). */
export function time(value: Date): Buffer {
  const year = value.getUTCFullYear();
  if (year < 0 || year > 9999) throw new TypeError('a year that ASN.1 cannot express');
  // YYYY-MM-DDTHH:mm:ss.sssZ
  const iso = value.toISOString();
  const date = iso.slice(0, 4) + iso.slice(5, 7) + iso.slice(8, 10);
  const digits = `${date}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`;
  return year >= 1950 && year < 2050
    ? element(0, tags.utcTime, [Buffer.from(digits.slice(2), 'latin1')])
    : element(0, tags.generalizedTime, [Buffer.from(digits, 'latin1')]);
}

/** The start of a universal SEQUENCE of indefinite length or, if a tag is given, of a context-specific element. */
export function openIndefinite(contextTag?: number): Buffer {
  return contextTag === undefined ? header(0x20, tags.sequence, -1) : header(0xa0, contextTag, -1);
}

/** The start of a constructed OCTET STRING of indefinite length. Segments follow, written with `octetString`. */
export function openOctetString(): Buffer {
  return header(0x20, tags.octetString, -1);
}

/** A primitive universal element with the given content octets. */
export function primitive(tag: number, content: Uint8Array): Buffer {
  return element(0, tag, [content]);
}
