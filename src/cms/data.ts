import { type Element, type Header, tags } from '../asn1/index.ts';
import type { Sink } from '../message/index.ts';
import type { Action } from './ber-stream.ts';
import { type ContentContext, type ContentReader, incomplete, unexpected } from './content-reader.ts';

/** id-data: `Data ::= OCTET STRING` (RFC 5652 section 4). */
export class DataReader implements ContentReader {
  readonly #context: ContentContext;
  #sink: Sink | undefined;
  #ended = false;

  constructor(context: ContentContext) {
    this.#context = context;
  }

  open(header: Header): Action {
    if (this.#sink !== undefined || header.cls !== 0 || header.tag !== tags.octetString) {
      throw unexpected('Data', header);
    }
    this.#sink = this.#context.handlers.onHead({ type: 'data' });
    return 'stream';
  }

  element(element: Element): void {
    throw unexpected('Data', element);
  }

  chunk(octets: Buffer): void {
    this.#sink?.write(octets);
  }

  close(): void {
    this.#sink?.end();
    this.#ended = true;
  }

  finish(): void {
    if (!this.#ended) throw incomplete('Data');
    this.#context.handlers.onTail({ type: 'data' });
  }
}
