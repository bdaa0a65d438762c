import type { Sink } from '../../message/index.ts';

/**
 * Holds back the first octets until there are enough of them (or the end comes) to choose the sink for everything. If
 * the first chunk is large enough, it passes without a copy.
 */
export class Sniffer implements Sink {
  readonly #need: number;
  readonly #choose: (head: Buffer, complete: boolean) => Sink;
  #held: Buffer[] = [];
  #length = 0;
  #chosen: Sink | undefined;

  /** @param choose gets at least `need` octets, or all there are (then `complete` is true) */
  constructor(need: number, choose: (head: Buffer, complete: boolean) => Sink) {
    this.#need = need;
    this.#choose = choose;
  }

  write(chunk: Buffer): void {
    if (this.#chosen !== undefined) {
      this.#chosen.write(chunk);
      return;
    }
    this.#length += chunk.length;
    if (this.#length >= this.#need) {
      this.#pass(this.#held.length === 0 ? chunk : Buffer.concat([...this.#held, chunk]), false);
    } else this.#held.push(Buffer.from(chunk));
  }

  end(): void {
    const sink = this.#chosen ?? this.#pass(Buffer.concat(this.#held), true);
    sink.end();
  }

  #pass(head: Buffer, complete: boolean): Sink {
    const chosen = this.#choose(head, complete);
    this.#chosen = chosen;
    this.#held = [];
    if (head.length > 0) chosen.write(head);
    return chosen;
  }
}

/** The form of a file or body, judged by its first octets. */
export type Form = 'der' | 'pem' | 'base64' | 'uuencode' | 'other';

/** How many octets `formOf` needs. */
export const FORM_OCTETS = 128;

/**
 * Tells a CMS object in BER, PEM, bare base64 or uuencode from anything else by its first octets. A
 * ContentInfo (RFC 5652, section 3) is a SEQUENCE that begins with an OBJECT IDENTIFIER; in base64 it
 * begins with M.
 */
export function formOf(octets: Buffer): Form {
  // never more than that, so that the result does not depend on the size of the first chunk
  const end = Math.min(octets.length, FORM_OCTETS);
  let start = 0;
  // a byte order mark, then white space, as editors and mailers add it
  if (octets[0] === 0xef && octets[1] === 0xbb && octets[2] === 0xbf) start = 3;
  while (start < end && isSpace(octets[start] ?? 0)) start++;
  if (octets[0] === 0x30 && isContentInfo(octets, end)) return 'der';
  // nothing else starts with another letter; this decides most heads
  if (!formBeginnings.includes(octets[start] ?? 0)) return 'other';
  if (octets[start] === LETTER_M) return isBase64Line(octets, start, end) ? 'base64' : 'other';
  const text = octets.toString('latin1', start, end);
  if (text.startsWith('-----BEGIN ')) return 'pem';
  return /^begin [0-7]{3,4} /.test(text) ? 'uuencode' : 'other';
}

/** True if only base64 characters (at least four) and then blanks follow up to the end of the line. */
function isBase64Line(octets: Buffer, start: number, end: number): boolean {
  let at = start;
  while (at < end && isBase64(octets[at] ?? 0)) at++;
  if (at - start < 2) return false;
  for (let padding = 0; padding < 2 && at < end && octets[at] === EQUALS; padding++) at++;
  while (at < end && (octets[at] === 0x20 || octets[at] === 0x09)) at++;
  return at - start >= 4 && (at === end || octets[at] === 0x0d || octets[at] === 0x0a);
}

const LETTER_M = 0x4d;
const EQUALS = 0x3d;

function isBase64(octet: number): boolean {
  return (
    (octet >= 0x61 && octet <= 0x7a) ||
    (octet >= 0x41 && octet <= 0x5a) ||
    (octet >= 0x2f && octet <= 0x39) ||
    octet === 0x2b
  );
}

/** `-`, `b` and `M`. */
const formBeginnings: readonly number[] = [0x2d, 0x62, LETTER_M];

function isSpace(octet: number): boolean {
  return octet === 0x20 || octet === 0x09 || octet === 0x0d || octet === 0x0a;
}

function isContentInfo(octets: Buffer, end: number): boolean {
  const length = octets[1] ?? 0;
  const identifier = length < 0x80 ? 2 : 2 + (length & 0x7f);
  // a length of more than 8 octets is invalid, and BerStream says so more clearly than a mail parser
  if (length >= 0x80 && identifier > 10) return true;
  return identifier < end && octets[identifier] === 0x06;
}

const COLON = 0x3a;

/** True for a field name (RFC 5322, section 3.6.8), optional white space, and a colon. */
export function beginsLikeHeader(head: Buffer): boolean {
  const end = Math.min(head.length, FORM_OCTETS);
  let at = 0;
  for (; at < end; at++) {
    const octet = head[at] ?? 0;
    if (octet <= 0x20 || octet >= 0x7f || octet === COLON) break;
  }
  if (at === 0) return false;
  while (at < end && (head[at] === 0x20 || head[at] === 0x09)) at++;
  return at < end && head[at] === COLON;
}

/** Content types of PKCS#7 (1.2.840.113549.1.7.2 to 6) and S/MIME (1.2.840.113549.1.9.16.1.9 and 23). */
const knownTypes = [
  ...[2, 3, 5, 6].map((last) =>
    Buffer.from([0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, last]),
  ),
  ...[9, 23].map((last) =>
    Buffer.from([0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, last]),
  ),
];

/** True for a ContentInfo of one of these types. */
export function isKnownContentInfo(head: Buffer): boolean {
  const length = head[1] ?? 0;
  const at = length < 0x80 ? 2 : 2 + (length & 0x7f);
  return knownTypes.some((type) => head.subarray(at, at + type.length).equals(type));
}
