import { SealpostError } from '../errors.ts';
import { malformed } from './header.ts';
import { Cursor, content, type Element, tags } from './reader.ts';

/*
 * Values of primitive elements. The tag number is not checked here, because IMPLICIT tags replace it. Whoever took the
 * element from a Cursor has checked it.
 */

/** INTEGERs with more octets than this are refused: 32,768 bits, twice the largest RSA modulus in use. */
const longestInteger = 4096;
const longestOid = 256;
const mostSegments = 100_000;

/** The INTEGER or ENUMERATED value (X.690 section 8.3). */
export function integer(element: Element): bigint {
  const octets = primitive(element);
  if (octets.length === 0) throw malformed('an INTEGER without octets', element.start);
  if (octets.length > longestInteger) {
    throw new SealpostError('asn1-limit', `an INTEGER of ${octets.length} octets`);
  }
  return BigInt.asIntN(octets.length * 8, BigInt(`0x${octets.toString('hex')}`));
}

/** An INTEGER that fits a JavaScript number: versions, counts, lengths. */
export function smallInteger(element: Element): number {
  const { source, contentStart, contentEnd } = element;
  // nearly always a version or a count
  const first = source[contentStart] ?? 0xff;
  if (contentEnd - contentStart === 1 && first < 0x80 && !element.constructed) return first;
  const value = Number(integer(element));
  if (!Number.isSafeInteger(value)) throw new SealpostError('asn1-limit', 'an INTEGER beyond 2^53');
  return value;
}

/** Texts of OIDs by a hash of their octets. Every message has the same few. */
const knownOids = new Map<number, { octets: Buffer; text: string }>();
const mostKnownOids = 1000;

/** The OBJECT IDENTIFIER in dotted form (X.690 section 8.19). Arcs may have any size. */
export function oid(element: Element): string {
  const { source, contentStart, contentEnd, constructed } = element;
  if (constructed || contentEnd - contentStart > 32) return readOid(element);
  let sum = 0;
  for (let at = contentStart; at < contentEnd; at++) sum = (Math.imul(sum, 31) + (source[at] ?? 0)) | 0;
  const known = knownOids.get(sum);
  if (known !== undefined && holds(known.octets, source, contentStart, contentEnd)) return known.text;
  const text = readOid(element);
  if (knownOids.size >= mostKnownOids) knownOids.clear();
  knownOids.set(sum, { octets: Buffer.from(content(element)), text });
  return text;
}

function holds(octets: Buffer, source: Buffer, start: number, end: number): boolean {
  if (octets.length !== end - start) return false;
  for (let at = 0; at < octets.length; at++) if (octets[at] !== source[start + at]) return false;
  return true;
}

function readOid(element: Element): string {
  const octets = primitive(element);
  if (octets.length === 0) throw malformed('an OBJECT IDENTIFIER without octets', element.start);
  if (octets.length > longestOid) {
    throw new SealpostError('asn1-limit', `an OBJECT IDENTIFIER of ${octets.length} octets`);
  }
  let text = '';
  let small = 0;
  let big: bigint | undefined;
  let fresh = true;
  for (const part of octets) {
    if (fresh && part === 0x80) throw malformed('an arc with leading zeros', element.start);
    if (big !== undefined) big = big * 128n + BigInt(part & 0x7f);
    else if (small >= 2 ** 45) big = BigInt(small) * 128n + BigInt(part & 0x7f);
    else small = small * 128 + (part & 0x7f);
    fresh = part < 0x80;
    if (!fresh) continue;
    if (text === '') {
      const root = big !== undefined || small >= 80 ? 2 : small >= 40 ? 1 : 0;
      text = `${root}.${big === undefined ? small - root * 40 : big - 80n}`;
    } else {
      text += `.${big ?? small}`;
    }
    small = 0;
    big = undefined;
  }
  if (!fresh) throw malformed('an OBJECT IDENTIFIER that ends inside an arc', element.start);
  return text;
}

/** The octets of an OCTET STRING. A constructed one is joined (X.690 section 8.7); otherwise, no copy is made. */
export function octetString(element: Element): Buffer {
  if (!element.constructed) return content(element);
  const parts: Buffer[] = [];
  // segments may be nested, and a stack of cursors keeps that bounded
  const stack = [new Cursor(element)];
  for (let cursor = stack.at(-1); cursor !== undefined; cursor = stack.at(-1)) {
    if (cursor.atEnd) {
      stack.pop();
      continue;
    }
    const segment = cursor.expect(tags.octetString);
    if (parts.length >= mostSegments) {
      throw new SealpostError('asn1-limit', `more than ${mostSegments} segments in an OCTET STRING`);
    }
    if (!segment.constructed) parts.push(content(segment));
    else if (stack.length < 16) stack.push(new Cursor(segment));
    else throw new SealpostError('asn1-limit', 'an OCTET STRING nested more than 16 levels');
  }
  return Buffer.concat(parts);
}

/** A BIT STRING: its octets, and the number of unused bits in the last one (X.690 section 8.6). */
export function bitString(element: Element): { octets: Buffer; unusedBits: number } {
  if (element.constructed) return joinBitString(element);
  const all = content(element);
  const unusedBits = all[0];
  if (unusedBits === undefined || unusedBits > 7 || (unusedBits > 0 && all.length === 1)) {
    throw malformed('a BIT STRING with a bad count of unused bits', element.start);
  }
  return { octets: all.subarray(1), unusedBits };
}

function joinBitString(element: Element): { octets: Buffer; unusedBits: number } {
  const parts: Buffer[] = [];
  let unusedBits = 0;
  const cursor = new Cursor(element);
  while (!cursor.atEnd) {
    const segment = cursor.expect(tags.bitString);
    if (segment.constructed || unusedBits > 0 || parts.length >= mostSegments) {
      throw malformed('a constructed BIT STRING with bad segments', segment.start);
    }
    const part = bitString(segment);
    parts.push(part.octets);
    unusedBits = part.unusedBits;
  }
  return { octets: Buffer.concat(parts), unusedBits };
}

export function boolean(element: Element): boolean {
  const octets = primitive(element);
  if (octets.length !== 1) throw malformed('a BOOLEAN that is not one octet', element.start);
  return octets[0] !== 0;
}

const utcTimeForm = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?()(Z|[+-]\d{4})$/;
const generalizedTimeForm = /^(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d+))?(Z|[+-]\d{4})?$/;

/**
 * A UTCTime or GeneralizedTime. Two-digit years are 1950 to 2049 (RFC 5280 section 4.1.2.5.1). A GeneralizedTime
 * without a zone is taken as UTC.
 * @param tag the universal tag number, if an IMPLICIT tag hides it
 */
export function time(element: Element, tag: number = element.tag): Date {
  const octets = primitive(element);
  if (octets.length > 40) throw malformed('a time that is too long', element.start);
  const isUtcTime = tag === tags.utcTime;
  const match = (isUtcTime ? utcTimeForm : generalizedTimeForm).exec(octets.toString('latin1'));
  if (match === null) throw malformed('a time that is not UTCTime or GeneralizedTime', element.start);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const fullYear = isUtcTime ? (year < 50 ? 2000 + year : 1900 + year) : year;
  const fraction = Number(`0.${match[7] || '0'}`);
  const unit = match[5] === undefined ? 3_600_000 : match[6] === undefined ? 60_000 : 1000;
  const date = new Date(0);
  date.setUTCFullYear(fullYear, month - 1, day);
  if (
    date.getUTCMonth() !== month - 1 ||
    date.getUTCDate() !== day ||
    hour > 23 ||
    minute > 59 ||
    second > 60
  ) {
    throw malformed('a time that does not exist', element.start);
  }
  date.setUTCHours(hour, minute, second, 0);
  const zone = match[8] ?? 'Z';
  const offset = zone === 'Z' ? 0 : (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3))) * 60_000;
  return new Date(date.getTime() + Math.floor(fraction * unit) - (zone[0] === '-' ? -offset : offset));
}

/**
 * A character string of any of the string types. What cannot be decoded becomes U+FFFD. Teletex is read as Latin-1,
 * which is what writers use it for.
 * @param tag the universal tag number, if an IMPLICIT tag hides it
 */
export function text(element: Element, tag: number = element.tag): string {
  const octets = octetString(element);
  if (tag === tags.bmpString) return bigEndian(octets, 2);
  if (tag === tags.universalString) return bigEndian(octets, 4);
  return octets.toString(tag === tags.teletexString ? 'latin1' : 'utf8');
}

function bigEndian(octets: Buffer, width: 2 | 4): string {
  const even = octets.subarray(0, octets.length - (octets.length % width));
  if (width === 2) return Buffer.from(even).swap16().toString('utf16le').toWellFormed();
  let result = '';
  for (let at = 0; at < even.length; at += 4) {
    const point = even.readUInt32BE(at);
    result += point > 0x10ffff ? '\ufffd' : String.fromCodePoint(point);
  }
  return result.toWellFormed();
}

function primitive(element: Element): Buffer {
  if (element.constructed)
    throw malformed('a constructed element where a primitive one should be', element.start);
  return content(element);
}
