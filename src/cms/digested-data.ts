import type { Header } from '../asn1/header.ts';
import { type Element, octetString, oid, tags } from '../asn1/index.ts';
import type { Sink } from '../message/sink.ts';
import { readAlgorithm } from './algorithm-identifier.ts';
import { digestByOid } from './algorithms.ts';
import type { Action } from './ber-stream.ts';
import { ContentDigests } from './content-digests.ts';
import {
  type ContentContext,
  type ContentReader,
  enterSequence,
  incomplete,
  unexpected,
} from './content-reader.ts';

const structure = 'DigestedData';

/**
 * `DigestedData ::= SEQUENCE { version, digestAlgorithm, encapContentInfo SEQUENCE { eContentType,
 * eContent [0] EXPLICIT OCTET STRING }, digest OCTET STRING }` (RFC 5652 section 7). It tells only
 * of accidents: whoever changes the content can change the digest.
 */
export class DigestedDataReader implements ContentReader {
  readonly #context: ContentContext;
  #parts = 0;
  #digestName = '';
  #contentType: string | undefined;
  #sink: Sink | undefined;
  #digests: ContentDigests | undefined;
  #digest: Buffer | undefined;

  constructor(context: ContentContext) {
    this.#context = context;
  }

  open(header: Header, depth: number): Action {
    const { cls, tag } = header;
    if (depth === 0) return enterSequence(structure, header);
    if (depth === 1) {
      const wanted = [tags.integer, tags.sequence, tags.sequence, tags.octetString][this.#parts++];
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
      this.#digestName = digestByOid(algorithm.oid)?.name ?? algorithm.oid;
    } else if (this.#parts === 4) {
      this.#digest = octetString(element);
    }
  }

  #begin(): void {
    if (this.#contentType === undefined) throw incomplete(structure);
    this.#sink = this.#context.handlers.onHead({
      type: 'digested-data',
      contentType: this.#contentType,
      digestAlgorithm: this.#digestName,
    });
    this.#digests = new ContentDigests([this.#digestName], 0, this.#context.budget);
  }

  chunk(octets: Buffer): void {
    this.#digests?.write(octets);
    this.#sink?.write(octets);
  }

  close(depth: number): void {
    if (depth !== 3) return;
    this.#digests?.end();
    this.#sink?.end();
    this.#context.contentEnded();
  }

  finish(): void {
    if (this.#digest === undefined || this.#sink === undefined) throw incomplete(structure);
    const computed = this.#digests?.result.digests.get(this.#digestName);
    const valid = computed?.equals(this.#digest) === true;
    this.#context.handlers.onTail({ type: 'digested-data', valid });
  }
}
