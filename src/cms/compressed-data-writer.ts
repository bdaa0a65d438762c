import { Zlib } from 'fflate';
import { oids } from '../asn1/index.ts';
import * as der from '../asn1/writer.ts';
import type { Sink } from '../message/sink.ts';
import { writeAlgorithm } from './algorithm-identifier.ts';
import { SegmentWriter } from './octet-string-writer.ts';

/** Compresses content of any size as CompressedData with zlib (RFC 3274), in BER with indefinite lengths. */
export class CompressedDataWriter implements Sink {
  readonly #out: Sink;
  readonly #zlib: Zlib;
  readonly #segments: SegmentWriter;

  /** @param contentType dotted; id-data (a MIME entity) unless given */
  constructor(out: Sink, contentType: string = oids.data) {
    this.#out = out;
    this.#segments = new SegmentWriter(out);
    this.#zlib = new Zlib((octets) => this.#segments.write(Buffer.from(octets)));
    out.write(
      Buffer.concat([
        der.openIndefinite(),
        der.oid(oids.compressedData),
        der.openIndefinite(0),
        der.openIndefinite(),
        der.integer(0),
        writeAlgorithm(oids.zlib),
        der.openIndefinite(),
        der.oid(contentType),
        der.openIndefinite(0),
        der.openOctetString(),
      ]),
    );
  }

  write(chunk: Buffer): void {
    this.#zlib.push(chunk, false);
  }

  end(): void {
    this.#zlib.push(Buffer.alloc(0), true);
    this.#segments.end();
    // OCTET STRING, [0], EncapsulatedContentInfo, CompressedData, [0], ContentInfo
    this.#out.write(Buffer.alloc(6 * der.endOfContents.length));
    this.#out.end();
  }
}
