import type { Header } from '../asn1/header.ts';
import { type Element, oid, oids, tags } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/sink.ts';
import { readAlgorithm } from './algorithm-identifier.ts';
import type { Action } from './ber-stream.ts';
import {
  type ContentContext,
  type ContentReader,
  enterSequence,
  incomplete,
  unexpected,
} from './content-reader.ts';
import { Decompressor } from './decompressor.ts';

const structure = 'CompressedData';

/**
 * `CompressedData ::= SEQUENCE { version, compressionAlgorithm, encapContentInfo SEQUENCE {
 * eContentType, eContent [0] EXPLICIT OCTET STRING } }` (RFC 3274 section 1.1).
 */
export class CompressedDataReader implements ContentReader {
  readonly #context: ContentContext;
  /** Elements at the first level so far. */
  #parts = 0;
  #contentType: string | undefined;
  #sink: Sink | undefined;
  #decompressor: Decompressor | undefined;
  #ended = false;

  constructor(context: ContentContext) {
    this.#context = context;
  }

  open(header: Header, depth: number): Action {
    const { cls, tag } = header;
    if (depth === 0) return enterSequence(structure, header);
    if (depth === 1) {
      const wanted = [tags.integer, tags.sequence, tags.sequence][this.#parts++];
      if (cls !== 0 || tag !== wanted) throw unexpected(structure, header);
      return this.#parts === 3 ? 'enter' : 'collect';
    }
    if (depth === 2 && cls === 0 && tag === tags.oid && this.#contentType === undefined) return 'collect';
    if (depth === 2 && cls === 2 && tag === 0 && this.#sink === undefined) return 'enter';
    if (depth === 3 && cls === 0 && tag === tags.octetString && this.#sink === undefined) {
      this.#begin();
      return 'stream';
    }
    throw unexpected(structure, header);
  }

  element(element: Element, depth: number): void {
    if (depth === 2) {
      this.#contentType = oid(element);
    } else if (this.#parts === 2) {
      const algorithm = readAlgorithm(element);
      if (algorithm.oid !== oids.zlib) {
        throw new SealpostError('cms-unsupported', `compression algorithm ${algorithm.oid}`);
      }
    }
  }

  #begin(): void {
    if (this.#contentType === undefined) throw incomplete(structure);
    const sink = this.#context.handlers.onHead({ type: 'compressed-data', contentType: this.#contentType });
    this.#sink = sink;
    this.#decompressor = new Decompressor(this.#context.limits, this.#context.budget, (octets) =>
      sink.write(octets),
    );
  }

  chunk(octets: Buffer): void {
    this.#decompressor?.write(octets);
  }

  close(depth: number): void {
    if (depth !== 3) return;
    this.#decompressor?.end();
    this.#sink?.end();
    this.#ended = true;
    this.#context.contentEnded();
  }

  finish(): void {
    if (!this.#ended) throw incomplete(structure);
    this.#context.handlers.onTail({
      type: 'compressed-data',
      compressedOctets: this.#decompressor?.compressedOctets ?? 0,
      contentOctets: this.#decompressor?.contentOctets ?? 0,
    });
  }
}
