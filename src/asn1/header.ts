import { SealpostError } from '../errors.ts';

/** The class of a tag (X.690 section 8.1.2.2): universal, application, context-specific, private. */
export type TagClass = 0 | 1 | 2 | 3;

/** Universal tag numbers (X.680 section 8.4) that CMS and X.509 use. */
export const tags = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  nullValue: 5,
  oid: 6,
  enumerated: 10,
  utf8String: 12,
  sequence: 16,
  set: 17,
  numericString: 18,
  printableString: 19,
  teletexString: 20,
  ia5String: 22,
  utcTime: 23,
  generalizedTime: 24,
  visibleString: 26,
  universalString: 28,
  bmpString: 30,
} as const;

/** Tag numbers above this are refused. CMS and X.509 stay far below it. */
const largestTag = 0x7fffffff;

/** Identifier and length octets of one element; `length` is -1 for the indefinite form. */
export class Header {
  cls: TagClass = 0;
  constructed = false;
  tag = 0;
  /** Offset of the first content octet. */
  contentStart = 0;
  /** Content octets, or -1 for the indefinite form. */
  length = 0;

  /**
   * Reads the header at `offset` from octets that end at `limit` (X.690 section 8.1.2 and 8.1.3).
   * @returns false if the octets end before the header does; a streaming reader then waits for more
   * @throws SealpostError `asn1-malformed`, or `asn1-limit` for a tag or length beyond 2^31 or 2^53
   */
  read(source: Uint8Array, offset: number, limit: number): boolean {
    let at = offset;
    if (at >= limit) return false;
    const identifier = octet(source, at++);
    this.cls = tagClass(identifier);
    this.constructed = (identifier & 0x20) !== 0;
    this.tag = identifier & 0x1f;
    if (this.tag === 0x1f) {
      at = this.#readLongTag(source, at, limit);
      if (at < 0) return false;
    }
    if (at >= limit) return false;
    const first = octet(source, at++);
    if (first < 0x80) {
      this.length = first;
    } else if (first === 0x80) {
      if (!this.constructed) throw malformed('an indefinite length on a primitive element', offset);
      this.length = -1;
    } else {
      if (first === 0xff) throw malformed('the reserved length octet ff', offset);
      const end = at + (first & 0x7f);
      let length = 0;
      for (; at < end; at++) {
        if (at >= limit) return false;
        length = length * 256 + octet(source, at);
        if (length > Number.MAX_SAFE_INTEGER) {
          throw new SealpostError('asn1-limit', `the length at offset ${offset} is above 2^53`);
        }
      }
      this.length = length;
    }
    this.contentStart = at;
    return true;
  }

  /** True for the two zero octets that end an indefinite length. */
  get isEndOfContents(): boolean {
    return this.cls === 0 && this.tag === 0;
  }

  /** X.690 section 8.1.2.4: seven bits per octet. Returns the next offset, or -1 if the octets run out. */
  #readLongTag(source: Uint8Array, start: number, limit: number): number {
    let at = start;
    let tag = 0;
    for (;;) {
      if (at >= limit) return -1;
      const part = octet(source, at);
      if (at === start && part === 0x80) throw malformed('a tag number with leading zeros', start - 1);
      at++;
      tag = tag * 128 + (part & 0x7f);
      if (tag > largestTag) {
        throw new SealpostError('asn1-limit', `the tag number at offset ${start - 1} is above 2^31`);
      }
      if (part < 0x80) break;
    }
    if (tag < 0x1f) throw malformed('a low tag number in the long form', start - 1);
    this.tag = tag;
    return at;
  }
}

/** The error for octets that are not BER at `offset`. */
export function malformed(what: string, offset: number): SealpostError {
  return new SealpostError('asn1-malformed', `not BER at offset ${offset}: ${what}`);
}

/** The error for octets that end inside the element at `offset`. */
export function truncated(offset: number): SealpostError {
  return new SealpostError('asn1-truncated', `the octets end inside the element at offset ${offset}`);
}

function octet(source: Uint8Array, at: number): number {
  return source[at] ?? 0;
}

function tagClass(identifier: number): TagClass {
  const bits = identifier >> 6;
  return bits === 0 ? 0 : bits === 1 ? 1 : bits === 2 ? 2 : 3;
}
