import { type Element, type Header, oid, tags } from '../asn1/index.ts';
import type { Sink } from '../message/index.ts';
import type { Action } from './ber-stream.ts';
import {
  type ContentContext,
  type ContentReader,
  enterSequence,
  incomplete,
  unexpected,
} from './content-reader.ts';
import type { CmsTail } from './report.ts';

/** What differs between the types whose third field is an EncapsulatedContentInfo. */
export interface Encapsulation {
  /** Such as `DigestedData`. */
  readonly structure: string;
  /** Tags of the fields, in order. The third one is the EncapsulatedContentInfo. */
  readonly fields: readonly number[];
  /** Called with each of the other fields, counted from 1. */
  field(number: number, element: Element): void;
  /** Called with the type of the content. Returns the sink for it. */
  open(contentType: string): Sink;
  /** The report at the end; undefined if a field is missing. */
  tail(): CmsTail | undefined;
}

/**
 * Reads `SEQUENCE { version, algorithm, encapContentInfo SEQUENCE { eContentType, eContent [0] EXPLICIT OCTET STRING },
 * ... }`: CompressedData (RFC 3274 section 1.1) and DigestedData (RFC 5652 section 7).
 */
export class EncapsulatedReader implements ContentReader {
  readonly #context: ContentContext;
  readonly #type: Encapsulation;
  /** Number of fields so far. */
  #fields = 0;
  #contentType: string | undefined;
  #sink: Sink | undefined;
  #ended = false;

  constructor(context: ContentContext, type: Encapsulation) {
    this.#context = context;
    this.#type = type;
  }

  open(header: Header, depth: number): Action {
    const { cls, tag } = header;
    const { structure, fields } = this.#type;
    if (depth === 0) return enterSequence(structure, header);
    if (depth === 1) {
      if (cls !== 0 || tag !== fields[this.#fields++]) throw unexpected(structure, header);
      return this.#fields === 3 ? 'enter' : 'collect';
    }
    if (depth === 2 && cls === 0 && tag === tags.oid && this.#contentType === undefined) return 'collect';
    if (depth === 2 && cls === 2 && tag === 0 && this.#sink === undefined) return 'enter';
    if (depth === 3 && cls === 0 && tag === tags.octetString && this.#sink === undefined) {
      if (this.#contentType === undefined) throw incomplete(structure);
      this.#sink = this.#type.open(this.#contentType);
      return 'stream';
    }
    throw unexpected(structure, header);
  }

  element(element: Element, depth: number): void {
    if (depth === 2) this.#contentType = oid(element);
    else this.#type.field(this.#fields, element);
  }

  chunk(octets: Buffer): void {
    this.#sink?.write(octets);
  }

  close(depth: number): void {
    if (depth !== 3) return;
    this.#sink?.end();
    this.#ended = true;
    this.#context.contentEnded();
  }

  finish(): void {
    const tail = this.#ended ? this.#type.tail() : undefined;
    if (tail === undefined) throw incomplete(this.#type.structure);
    this.#context.handlers.onTail(tail);
  }
}
