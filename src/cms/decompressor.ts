import { Unzlib } from 'fflate';
import { type Budget, costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import type { CmsLimits } from './limits.ts';

/** Compressed octets that the library gets at a time: 4 KiB expand to at most 4 MiB. */
const stepOctets = 4096;

/**
 * Decompresses a zlib stream (RFC 1950) within a limit on octets and the output budget of the message (threats S12).
 * Node's own zlib streams only asynchronously, and this room is synchronous.
 */
export class Decompressor {
  readonly #limits: CmsLimits;
  readonly #budget: Budget;
  readonly #out: (octets: Buffer) => void;
  readonly #zlib: Unzlib;
  /** The last four octets may be the checksum. */
  #trailer: Buffer = Buffer.alloc(0);
  #checksum = { a: 1, b: 0 };
  compressedOctets = 0;
  contentOctets = 0;

  constructor(limits: CmsLimits, budget: Budget, out: (octets: Buffer) => void) {
    this.#limits = limits;
    this.#budget = budget;
    this.#out = out;
    this.#zlib = new Unzlib((octets) => this.#take(octets));
  }

  /** @throws SealpostError `cms-malformed`, `cms-limit`, `output-limit`, `work-limit` */
  write(octets: Buffer): void {
    this.#trailer = Buffer.from(Buffer.concat([this.#trailer, octets.subarray(-4)]).subarray(-4));
    for (let at = 0; at < octets.length; at += stepOctets) {
      const chunk = octets.subarray(at, at + stepOctets);
      this.compressedOctets += chunk.length;
      this.#push(chunk, false);
    }
  }

  end(): void {
    this.#push(Buffer.alloc(0), true);
    const { a, b } = this.#checksum;
    if (this.#trailer.length < 4 || this.#trailer.readUInt32BE() !== b * 65_536 + a) {
      throw new SealpostError('cms-malformed', 'the checksum of the compressed content is wrong');
    }
  }

  #push(octets: Buffer, final: boolean): void {
    try {
      this.#zlib.push(octets, final);
    } catch (cause) {
      if (cause instanceof SealpostError) throw cause;
      throw new SealpostError('cms-malformed', 'the compressed content is not zlib, or is cut off', {
        cause,
      });
    }
  }

  #take(octets: Uint8Array): void {
    if (octets.length === 0) return;
    this.contentOctets += octets.length;
    this.#budget.produce(octets.length);
    this.#budget.spend(octets.length * costs.inflatedOctet);
    const { contentOctets } = this.#limits;
    if (this.contentOctets > contentOctets) {
      throw new SealpostError('cms-limit', `more than ${contentOctets} octets of decompressed content`);
    }
    this.#sum(octets);
    this.#out(Buffer.from(octets.buffer, octets.byteOffset, octets.length));
  }

  /** Adler-32 (RFC 1950 section 8.2); 3800 sums stay below 2^31. */
  #sum(octets: Uint8Array): void {
    let { a, b } = this.#checksum;
    for (let at = 0; at < octets.length; ) {
      const end = Math.min(at + 3800, octets.length);
      for (; at < end; at++) {
        a += octets[at] ?? 0;
        b += a;
      }
      a %= 65_521;
      b %= 65_521;
    }
    this.#checksum = { a, b };
  }
}
