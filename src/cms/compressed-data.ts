import { Zlib } from 'fflate';
import { der, oids, readAlgorithm, tags, writeAlgorithm } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/index.ts';
import type { ContentContext, ContentReader } from './content-reader.ts';
import { Decompressor } from './decompressor.ts';
import { EncapsulatedReader } from './encapsulated-content.ts';
import { SegmentWriter } from './octet-string-writer.ts';

/** `CompressedData ::= SEQUENCE { version, compressionAlgorithm, encapContentInfo }` (RFC 3274 section 1.1). */
export function compressedDataReader(context: ContentContext): ContentReader {
  let decompressor: Decompressor | undefined;
  return new EncapsulatedReader(context, {
    structure: 'CompressedData',
    fields: [tags.integer, tags.sequence, tags.sequence],
    field(number, element) {
      if (number !== 2) return;
      const { oid } = readAlgorithm(element);
      if (oid !== oids.zlib) throw new SealpostError('cms-unsupported', `compression algorithm ${oid}`);
    },
    open(contentType) {
      const sink = context.handlers.onHead({ type: 'compressed-data', contentType });
      const inflated = new Decompressor(context.limits, context.budget, (octets) => sink.write(octets));
      decompressor = inflated;
      return {
        write: (octets) => inflated.write(octets),
        end() {
          inflated.end();
          sink.end();
        },
      };
    },
    tail: () => ({
      type: 'compressed-data',
      compressedOctets: decompressor?.compressedOctets ?? 0,
      contentOctets: decompressor?.contentOctets ?? 0,
    }),
  });
}

/** Compresses content of any size as CompressedData with zlib (RFC 3274), in BER with indefinite lengths. */
export class CompressedDataWriter implements Sink {
  readonly #out: Sink;
  readonly #zlib: Zlib;
  readonly #segments: SegmentWriter;

  /** @param contentType dotted; default: id-data (a MIME entity) */
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
