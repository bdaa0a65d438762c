import { der, tags } from '../asn1/index.ts';
import type { Sink } from '../message/index.ts';

/** Octets in each segment of a streamed OCTET STRING, a size that OpenSSL and NSS read without trouble. */
const segmentOctets = 64 * 1024;

/**
 * Writes octets as segments of a constructed OCTET STRING of indefinite length. All have the same size but the last.
 * The caller writes what opens and ends the string.
 */
export class SegmentWriter {
  readonly #out: Sink;
  #waiting: Buffer[] = [];
  #length = 0;

  constructor(out: Sink) {
    this.#out = out;
  }

  write(octets: Buffer): void {
    if (octets.length === 0) return;
    this.#waiting.push(octets);
    this.#length += octets.length;
    while (this.#length >= segmentOctets) this.#flush(segmentOctets);
  }

  end(): void {
    if (this.#length > 0) this.#flush(this.#length);
  }

  /** Passes the waiting octets on without joining them: a segment's header, then its chunks. */
  #flush(size: number): void {
    this.#out.write(der.header(0, tags.octetString, size));
    let left = size;
    while (left > 0) {
      const first = this.#waiting[0];
      if (first === undefined) return;
      if (first.length <= left) {
        this.#waiting.shift();
        this.#out.write(first);
        left -= first.length;
      } else {
        this.#out.write(first.subarray(0, left));
        this.#waiting[0] = first.subarray(left);
        left = 0;
      }
    }
    this.#length -= size;
  }
}
