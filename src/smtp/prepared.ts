import { isAscii } from 'node:buffer';
import { Readable } from 'node:stream';
import { LineEnds } from './line-ends.ts';

/** Octets prepared before a connection is opened. For a message whose content is below 1 MiB, this is all of it. */
const AHEAD = 1536 * 1024;
/** Octets of a line without its line end (RFC 5321, section 4.5.3.1.6). */
const MAX_LINE = 998;

export const eightBitRefusal =
  '5.6.1 a part that somebody else signed is 8bit, so it cannot be encoded, and the server has no 8BITMIME';

const bareRefusal = '5.6.0 the message has a CR or LF that is not part of a line end';

export type MakeOctets = () => AsyncIterable<Buffer> | Readable;

/** Why a message cannot be sent as it is, to this server or to any server. */
export class Unsendable extends Error {}

/**
 * A message whose start has been produced, so problems with keys and certificates have already surfaced. The rest of a
 * large message is produced while it is being sent.
 */
export class Prepared {
  /** Total octets; undefined until known. */
  readonly size: number | undefined;
  /** Whether the header contains non-ASCII characters. Only addresses can contain them; everything else is encoded. */
  readonly utf8Header: boolean;
  /** True if the whole message is known to be ASCII. */
  readonly ascii: boolean;
  #head: Buffer;
  readonly #rest: AsyncIterator<Buffer>;

  private constructor(head: Buffer, rest: AsyncIterator<Buffer>, ended: boolean) {
    this.#head = head;
    this.#rest = rest;
    this.size = ended ? head.length : undefined;
    const ascii = isAscii(head);
    this.ascii = ended && ascii;
    this.utf8Header = !ascii && !isAscii(headerOf(head));
  }

  /** True if all of it is in memory, so it can be sent more than once. */
  get whole(): boolean {
    return this.size !== undefined;
  }

  /** Errors: those of `make`; `Unsendable`. */
  static async from(make: MakeOctets): Promise<Prepared> {
    const rest: AsyncIterator<Buffer> = make()[Symbol.asyncIterator]();
    const head: Buffer[] = [];
    const wire = new WireCheck(true);
    let length = 0;
    while (length < AHEAD) {
      const next = await rest.next();
      if (next.done) {
        wire.end();
        return new Prepared(joined(head), rest, true);
      }
      wire.check(next.value);
      head.push(next.value);
      length += next.value.length;
    }
    return new Prepared(joined(head), rest, false);
  }

  /**
   * The octets for a server. A stream can be read once, and it ends with `Unsendable` before the first octet that the
   * server does not accept.
   *
   * @param eightBit whether the server has 8BITMIME (RFC 6152)
   */
  octets(eightBit: boolean): Buffer | Readable {
    if (this.whole && (eightBit || this.ascii)) return this.#head;
    return Readable.from(this.#checked(eightBit), { objectMode: false });
  }

  async *#checked(eightBit: boolean): AsyncGenerator<Buffer> {
    const wire = new WireCheck(eightBit);
    try {
      const head = this.#head;
      // sending a large message takes long, and its start is not needed again
      this.#head = Buffer.alloc(0);
      wire.check(head);
      yield head;
      for (let next = await this.#rest.next(); !next.done; next = await this.#rest.next()) {
        wire.check(next.value);
        yield next.value;
      }
      wire.end();
    } finally {
      await this.drop();
    }
  }

  /** Discards what has not been sent. */
  async drop(): Promise<void> {
    await this.#rest.return?.();
  }
}

function joined(chunks: Buffer[]): Buffer {
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks);
}

function headerOf(octets: Buffer): Buffer {
  const end = octets.indexOf('\r\n\r\n');
  return end < 0 ? octets : octets.subarray(0, end);
}

/** Size in octets, found by producing the message and discarding it. Errors: those of `make`. */
export async function countOctets(make: MakeOctets): Promise<number> {
  let count = 0;
  for await (const chunk of make()) count += (chunk as Buffer).length;
  return count;
}

/**
 * Checks that SMTP allows these octets (RFC 5321, sections 2.3.8 and 4.5.3.1.6). The encoder ensures it, except for
 * parts that others have signed, which it must not change.
 */
class WireCheck {
  readonly #eightBit: boolean;
  readonly #lineEnds = new LineEnds();
  #line = 0;

  constructor(eightBit: boolean) {
    this.#eightBit = eightBit;
  }

  check(chunk: Buffer): void {
    if (chunk.includes(0))
      throw new Unsendable('5.6.0 the message contains a NUL, which SMTP does not allow');
    if (!this.#eightBit && !isAscii(chunk)) {
      throw new Unsendable(eightBitRefusal);
    }
    this.#lineEnds.push(chunk);
    if (this.#lineEnds.bare) throw new Unsendable(bareRefusal);
    // One line end within the longest line is enough, so not every line needs to be found.
    let start = 0;
    for (;;) {
      const most = start + MAX_LINE + 1 - this.#line;
      const end = chunk.lastIndexOf(0x0a, most);
      if (end >= start) {
        this.#line = 0;
        start = end + 1;
      } else if (most < chunk.length) {
        throw new Unsendable(
          `5.6.0 the message has a line of more than ${MAX_LINE} octets that cannot be broken`,
        );
      } else {
        this.#line += chunk.length - start;
        return;
      }
    }
  }

  end(): void {
    if (this.#lineEnds.end()) throw new Unsendable(bareRefusal);
  }
}
