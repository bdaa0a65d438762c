import { type Element, Header, malformed, parse, tags, truncated } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';

/**
 * What to do with the element whose header has just arrived: enter it (its children follow one by one), collect it
 * whole, or stream it as an OCTET STRING, segmented or not.
 */
export type Action = 'enter' | 'collect' | 'stream';

/** The grammar that guides a BerStream. Depth 0 is the outermost element. */
export interface BerHandler {
  /** @param header is reused, so take what you need before you return */
  open(header: Header, depth: number): Action;
  /** A collected element, complete. */
  element(element: Element, depth: number): void;
  /** Octets of a streamed string, in order. */
  chunk(octets: Buffer): void;
  /** The end of an entered element (at its depth) or of a streamed string. */
  close(depth: number): void;
}

export interface BerStreamOptions {
  /** Octets that may be collected in total. It is read at each element, so it may change. */
  readonly collectLimit: number;
  readonly maxDepth: number;
}

/** One open element: its end as an offset in the whole stream, or Infinity for the indefinite form. */
interface Frame {
  /** Where it ends, or where the next definite element around it ends. */
  limit: number;
  indefinite: boolean;
  kind: Action;
}

const nothing: Buffer = Buffer.alloc(0);
/**
 * Segments that a constructed OCTET STRING may have for free. Each further one must come with 16 octets (threats S10).
 */
const freeSegments = 20_000;
const octetsPerSegment = 16;
/** The same for elements that are collected one by one. */
const freeElements = 20_000;
const octetsPerElement = 8;

/**
 * Reads one BER element that arrives in chunks of any size, and hands it to a grammar. Memory is bounded by what the
 * grammar collects; streamed strings are passed on as they come. Nothing is parsed twice except a header that is split
 * between chunks.
 */
export class BerStream {
  readonly #handler: BerHandler;
  readonly #options: BerStreamOptions;
  readonly #frames: Frame[] = [];
  readonly #header = new Header();
  /** Octets of an incomplete header. */
  #partial: Buffer = nothing;
  /** Offset in the whole stream. */
  #position = 0;
  /** Content octets of a primitive element that are still to come, and what they are. */
  #remaining = 0;
  #collected: Buffer = nothing;
  #collectedLength = 0;
  #collectedTotal = 0;
  #collectedElements = 0;
  /** Number of frames when collecting began; -1 if nothing is being collected. */
  #collectBase = -1;
  #streamBase = -1;
  #segments = 0;
  #streamed = 0;
  #complete = false;

  constructor(handler: BerHandler, options: BerStreamOptions) {
    this.#handler = handler;
    this.#options = options;
  }

  /** Takes the next octets. Errors: `asn1-malformed`, `asn1-limit`, `cms-limit`, or what the grammar throws. */
  write(chunk: Buffer): void {
    let source = chunk;
    let at = 0;
    if (this.#partial.length > 0) {
      source = Buffer.concat([this.#partial, chunk]);
      this.#partial = nothing;
    }
    for (;;) {
      if (this.#remaining > 0 && at < source.length) {
        at = this.#take(source, at);
        continue;
      }
      if (this.#remaining === 0 && this.#closeFinished()) continue;
      if (at >= source.length) return;
      if (this.#complete) {
        // senders that treat the object as text append a line end; nothing else is tolerated
        if (source.subarray(at).some((octet) => octet !== 0x0a && octet !== 0x0d)) {
          throw malformed('octets after the end of the element', this.#position);
        }
        return;
      }
      const limit = this.#frames.at(-1)?.limit ?? Number.POSITIVE_INFINITY;
      const available = Math.min(source.length, at + (limit - this.#position));
      if (!this.#header.read(source, at, available)) {
        if (available < source.length) throw truncated(this.#position);
        this.#partial = source.subarray(at);
        return;
      }
      at = this.#header.isEndOfContents ? this.#endOfContents(at) : this.#begin(source, at, limit);
    }
  }

  /** Checks that the element is complete. Errors: `asn1-truncated`. */
  end(): void {
    if (!this.#complete) throw truncated(0);
  }

  /** Passes on content octets of a primitive element; returns the next offset. */
  #take(source: Buffer, at: number): number {
    const octets = source.subarray(at, at + this.#remaining);
    this.#remaining -= octets.length;
    this.#position += octets.length;
    if (this.#collectBase >= 0) {
      this.#keep(octets);
      if (this.#remaining === 0) this.#finishCollecting();
    } else {
      this.#streamed += octets.length;
      this.#handler.chunk(octets);
      if (this.#remaining === 0) this.#finishStreaming();
    }
    return at + octets.length;
  }

  /** Ends the innermost element if it is definite and full; returns whether it did. */
  #closeFinished(): boolean {
    const frame = this.#frames.at(-1);
    if (frame === undefined || frame.indefinite || this.#position < frame.limit) return false;
    this.#pop(frame);
    return true;
  }

  #endOfContents(at: number): number {
    const frame = this.#frames.at(-1);
    const header = this.#header;
    if (!frame?.indefinite || header.constructed || header.length !== 0 || header.contentStart !== at + 2) {
      throw malformed('end-of-contents where an element should be', this.#position);
    }
    this.#position += 2;
    if (frame.kind === 'collect') this.#keep(Buffer.alloc(2));
    this.#pop(frame);
    return at + 2;
  }

  #pop(frame: Frame): void {
    this.#frames.pop();
    if (frame.kind === 'collect') this.#finishCollecting();
    else if (frame.kind === 'stream') this.#finishStreaming();
    else this.#closed();
  }

  #closed(): void {
    this.#handler.close(this.#frames.length);
    if (this.#frames.length === 0) this.#complete = true;
  }

  /** Begins the element whose header lies at `at`; returns the offset of its content. */
  #begin(source: Buffer, at: number, limit: number): number {
    const { contentStart, length, constructed } = this.#header;
    const start = this.#position;
    const contentPosition = start + contentStart - at;
    if (length >= 0 && length > limit - contentPosition) {
      throw malformed('an element that is longer than the one around it', start);
    }
    const kind = this.#kindOf(start);
    this.#position = contentPosition;
    if (kind === 'collect') return this.#beginCollecting(source, at);
    if (constructed) {
      this.#push(kind, limit);
    } else {
      this.#remaining = length;
      if (length === 0) this.#finishStreaming();
    }
    return contentStart;
  }

  #kindOf(start: number): Action {
    if (this.#collectBase >= 0) return 'collect';
    const { cls, tag, constructed } = this.#header;
    if (this.#streamBase >= 0) {
      if (cls !== 0 || tag !== tags.octetString) throw malformed('a segment that is no OCTET STRING', start);
      if (++this.#segments > freeSegments + this.#streamed / octetsPerSegment) {
        throw new SealpostError('asn1-limit', `${this.#segments} segments in an OCTET STRING, nearly empty`);
      }
      return 'stream';
    }
    const kind = this.#handler.open(this.#header, this.#frames.length);
    if (kind === 'stream') this.#streamBase = this.#frames.length;
    if (kind === 'enter' && !constructed) throw malformed('a primitive element with elements inside', start);
    return kind;
  }

  #beginCollecting(source: Buffer, at: number): number {
    const { contentStart, length } = this.#header;
    if (this.#collectBase < 0) this.#collectBase = this.#frames.length;
    if (length >= 0 && this.#frames.length === this.#collectBase) {
      // the usual case, complete in this chunk: one view, no copy
      const end = contentStart + length;
      this.#checkCollected(end - at);
      if (end <= source.length) {
        this.#position += length;
        this.#collectedTotal += end - at;
        this.#deliver(source.subarray(at, end));
        return end;
      }
    }
    // elements of indefinite length are checked one by one, because a bomb may have many empty ones (threats S10)
    if (++this.#collectedElements > freeElements + this.#collectedTotal / octetsPerElement) {
      throw new SealpostError('asn1-limit', `${this.#collectedElements} elements, nearly empty`);
    }
    this.#keep(source.subarray(at, contentStart));
    if (length < 0) {
      this.#push('collect', this.#frames.at(-1)?.limit ?? Number.POSITIVE_INFINITY);
    } else {
      this.#checkCollected(length);
      this.#remaining = length;
      if (length === 0) this.#finishCollecting();
    }
    return contentStart;
  }

  #push(kind: Action, limit: number): void {
    if (this.#frames.length >= this.#options.maxDepth) {
      throw new SealpostError('asn1-limit', `more than ${this.#options.maxDepth} levels of nesting`);
    }
    const indefinite = this.#header.length < 0;
    this.#frames.push({ kind, indefinite, limit: indefinite ? limit : this.#position + this.#header.length });
  }

  #keep(octets: Buffer): void {
    this.#checkCollected(octets.length);
    const length = this.#collectedLength + octets.length;
    if (length > this.#collected.length) {
      const grown = Buffer.allocUnsafe(Math.max(1024, length, this.#collected.length * 2));
      this.#collected.copy(grown, 0, 0, this.#collectedLength);
      this.#collected = grown;
    }
    octets.copy(this.#collected, this.#collectedLength);
    this.#collectedLength = length;
    this.#collectedTotal += octets.length;
  }

  #checkCollected(more: number): void {
    if (this.#collectedTotal + more > this.#options.collectLimit) {
      throw new SealpostError(
        'cms-limit',
        `more than ${this.#options.collectLimit} octets around the content`,
      );
    }
  }

  #finishCollecting(): void {
    if (this.#frames.length > this.#collectBase) return;
    const octets = this.#collected.subarray(0, this.#collectedLength);
    this.#collected = nothing;
    this.#collectedLength = 0;
    this.#deliver(octets);
  }

  #deliver(octets: Buffer): void {
    this.#collectBase = -1;
    this.#handler.element(parse(octets, { maxDepth: this.#options.maxDepth }), this.#frames.length);
    if (this.#frames.length === 0) this.#complete = true;
  }

  #finishStreaming(): void {
    if (this.#frames.length > this.#streamBase) return;
    this.#streamBase = -1;
    this.#closed();
  }
}
