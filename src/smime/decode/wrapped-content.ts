import { tags } from '../../asn1/index.ts';
import type { EnvelopedHead } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import type { Sink } from '../../message/index.ts';
import { Sniffer } from './sniffer.ts';

/** Content up to this size is checked as a whole. */
const PROBE = 4096;

/**
 * Takes decrypted id-data that may be wrapped in an OCTET STRING, as .NET Core 2 wrote it, and passes on what is
 * inside. It counts as wrapped only if its DER length matches the content: exactly for short content, and up to the
 * padding for long content.
 *
 * Errors: `cms-malformed` if a long one does not end with the content.
 */
export function unwrapped(known: NonNullable<EnvelopedHead['contentOctets']>, open: () => Sink): Sink {
  return new Sniffer(1, (first) => {
    if (first[0] !== tags.octetString) return open();
    return new Sniffer(PROBE, (head, complete) => {
      const header = readDerHeader(head);
      if (header === undefined) return open();
      const total = header.octets + header.length;
      const fits = complete ? total === head.length : total >= known.least && total <= known.most;
      return fits ? new Unwrapping(header, open()) : open();
    });
  });
}

interface DerHeader {
  /** Octets of the header itself. */
  readonly octets: number;
  /** Octets that follow the header. */
  readonly length: number;
}

function readDerHeader(head: Buffer): DerHeader | undefined {
  const first = head[1];
  if (first === undefined || first === 0x80 || first > 0x84) return undefined;
  if (first < 0x80) return { octets: 2, length: first };
  const count = first & 0x7f;
  if (head.length < 2 + count) return undefined;
  const length = head.readUIntBE(2, count);
  const shortest = count === 1 ? 0x80 : 2 ** (8 * (count - 1));
  return length < shortest ? undefined : { octets: 2 + count, length };
}

/** Drops the header, whose octets come first. */
class Unwrapping implements Sink {
  readonly #next: Sink;
  #skip: number;
  #left: number;

  constructor({ octets, length }: DerHeader, next: Sink) {
    this.#skip = octets;
    this.#left = length;
    this.#next = next;
  }

  write(chunk: Buffer): void {
    const inside = chunk.subarray(this.#skip);
    this.#skip -= chunk.length - inside.length;
    this.#left -= inside.length;
    if (inside.length > 0) this.#next.write(inside);
  }

  end(): void {
    if (this.#left !== 0)
      throw new SealpostError(
        'cms-malformed',
        'the OCTET STRING in the content does not end with the content',
      );
    this.#next.end();
  }
}
