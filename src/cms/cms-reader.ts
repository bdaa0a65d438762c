import { type Element, type Header, oid, oids, tags } from '../asn1/index.ts';
import { Budget, costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/index.ts';
import { type Action, type BerHandler, BerStream } from './ber-stream.ts';
import { compressedDataReader } from './compressed-data.ts';
import {
  type CmsHandlers,
  type CmsOptions,
  type ContentContext,
  type ContentReader,
  incomplete,
  unexpected,
} from './content-reader.ts';
import { DataReader } from './data.ts';
import { digestedDataReader } from './digested-data.ts';
import { EnvelopedDataReader } from './enveloped-data.ts';
import { defaultLimits } from './limits.ts';
import { SignedDataReader } from './signed-data.ts';

/** The content types that can be read. A new one is a file of its own and a line here. */
const contentReaders = new Map<string, (context: ContentContext) => ContentReader>([
  [oids.data, (context) => new DataReader(context)],
  [oids.envelopedData, (context) => new EnvelopedDataReader(context)],
  [oids.authEnvelopedData, (context) => new EnvelopedDataReader(context, 'auth-enveloped-data')],
  [oids.encryptedData, (context) => new EnvelopedDataReader(context, 'encrypted-data')],
  [oids.compressedData, compressedDataReader],
  [oids.digestedData, digestedDataReader],
  [oids.signedData, (context) => new SignedDataReader(context)],
]);

/**
 * Reads one CMS object (`ContentInfo ::= SEQUENCE { contentType, content [0] EXPLICIT ANY }`, RFC
 * 5652 section 3) in BER that arrives in chunks of any size, and streams its content in bounded
 * memory. Everything is synchronous; the private key is used inside `write`.
 *
 * `write` and `end` throw SealpostError: `asn1-*` and `cms-*` for what was sent, `decrypt-no-key`,
 * and `decrypt-failed` for every failure that comes from the key or the encrypted octets.
 */
export class CmsReader implements Sink {
  readonly #stream: BerStream;
  readonly #grammar: ContentInfoReader;
  readonly #budget: Budget;
  readonly #growing: boolean;
  #octets = 0;
  #failure: unknown;
  #failed = false;

  constructor(handlers: CmsHandlers, options: CmsOptions) {
    const limits = { ...defaultLimits, ...options.limits };
    this.#budget = options.budget ?? new Budget();
    // if the object stands alone, it is the whole message
    this.#growing = options.budget === undefined;
    const bounds = { collectLimit: limits.headOctets, maxDepth: limits.depth };
    const contentEnded = (): void => {
      bounds.collectLimit = limits.headOctets + limits.tailOctets;
    };
    this.#grammar = new ContentInfoReader({ handlers, options, limits, budget: this.#budget, contentEnded });
    this.#stream = new BerStream(this.#grammar, bounds);
  }

  write(chunk: Buffer): void {
    this.#guard(() => {
      this.#octets += chunk.length;
      if (this.#growing) this.#budget.received(this.#octets);
      this.#budget.spend(chunk.length * costs.octet);
      this.#stream.write(chunk);
    });
  }

  end(): void {
    this.#guard(() => {
      this.#stream.end();
      this.#grammar.finish();
    });
  }

  /** After a failure, every call fails in the same way, so that a half-read object never continues. */
  #guard(step: () => void): void {
    if (this.#failed) throw this.#failure;
    try {
      step();
    } catch (failure) {
      this.#failed = true;
      this.#failure = failure;
      throw failure;
    }
  }
}

class ContentInfoReader implements BerHandler {
  readonly #context: ContentContext;
  #reader: ContentReader | undefined;
  #entered = false;

  constructor(context: ContentContext) {
    this.#context = context;
  }

  open(header: Header, depth: number): Action {
    if (depth >= 2 && this.#reader !== undefined) return this.#reader.open(header, depth - 2);
    if (depth === 0 && header.cls === 0 && header.tag === tags.sequence) return 'enter';
    if (depth === 1 && this.#reader === undefined && header.cls === 0 && header.tag === tags.oid) {
      return 'collect';
    }
    if (depth === 1 && this.#reader !== undefined && !this.#entered && header.cls === 2 && header.tag === 0) {
      this.#entered = true;
      return 'enter';
    }
    throw unexpected('ContentInfo', header);
  }

  element(element: Element, depth: number): void {
    if (depth >= 2) {
      this.#reader?.element(element, depth - 2);
      return;
    }
    const contentType = oid(element);
    const make = contentReaders.get(contentType);
    if (make === undefined) throw new SealpostError('cms-unsupported', `content type ${contentType}`);
    this.#reader = make(this.#context);
  }

  chunk(octets: Buffer): void {
    this.#reader?.chunk(octets);
  }

  close(depth: number): void {
    if (depth >= 2) this.#reader?.close(depth - 2);
  }

  finish(): void {
    if (this.#reader === undefined || !this.#entered) throw incomplete('ContentInfo');
    this.#reader.finish();
  }
}
