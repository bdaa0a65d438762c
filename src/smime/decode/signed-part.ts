import type { ContentDigests } from '../../cms/index.ts';
import { CanonicalSink, firstBareLf, NullSink, type Sink, TeeSink } from '../../message/index.ts';
import type { SignedLineEnds } from './state.ts';

const CR = 0x0d;
const LF = 0x0a;

/** Digests over one form of the signed content. */
export interface HashedForm {
  /** Null if the content has no other form. */
  readonly lineEnds: SignedLineEnds | null;
  readonly digests: ContentDigests;
}

/** What a detached signature may cover. */
export interface HashedContent {
  /** The form whose octets were passed on. */
  readonly given: HashedForm;
  /** The other form, which was not passed on; undefined if there is none. */
  readonly other: HashedForm | undefined;
}

/**
 * The first part of a multipart/signed. By RFC 8551, section 3.1.1, the signature covers CRLF line ends, so a mail that
 * was stored with LF verifies with CRLF instead. AS2 systems and `openssl cms -sign -binary` sign the octets unchanged,
 * LF included. If the two differ, both are hashed from the first bare LF on. **Only one of them is passed on**, and a
 * signature over the other one covers octets that nobody received.
 */
export class SignedPart implements Sink, HashedContent {
  readonly #digests: ContentDigests;
  readonly #open: () => Sink;
  readonly #known: SignedLineEnds | undefined;
  readonly #exact: boolean;
  #next: Sink | undefined;
  #afterCr = false;
  /** A CRLF came before the first bare LF. */
  #hasCrlf = false;
  #lineEnds: SignedLineEnds | undefined;
  #crlfDigests: ContentDigests | undefined;
  /** Produces the form with CRLF, from the first bare LF on. */
  #canonical: CanonicalSink | undefined;

  /**
   * @param open the sink for the form that is passed on
   * @param guide `known`: the form that an earlier run found; `exact`: the octets are as the sender wrote them, so no
   *    mail system can have changed line ends
   */
  constructor(
    digests: ContentDigests,
    open: () => Sink,
    guide: { readonly known: SignedLineEnds | undefined; readonly exact: boolean },
  ) {
    this.#digests = digests;
    this.#open = open;
    this.#known = guide.known;
    this.#exact = guide.exact;
  }

  get given(): HashedForm {
    const crlf = this.#lineEnds === 'crlf' ? this.#crlfDigests : undefined;
    return { lineEnds: this.#lineEnds ?? null, digests: crlf ?? this.#digests };
  }

  get other(): HashedForm | undefined {
    if (this.#crlfDigests === undefined) return undefined;
    return this.#lineEnds === 'crlf'
      ? { lineEnds: 'as-received', digests: this.#digests }
      : { lineEnds: 'crlf', digests: this.#crlfDigests };
  }

  write(chunk: Buffer): void {
    if (this.#canonical !== undefined) {
      this.#both(chunk, this.#canonical);
      return;
    }
    const at = firstBareLf(chunk, this.#afterCr);
    const same = at < 0 ? chunk : chunk.subarray(0, at);
    this.#hasCrlf ||= same.includes(LF);
    if (same.length > 0) {
      this.#digests.write(same);
      this.#sink.write(same);
      this.#afterCr = same[same.length - 1] === CR;
    }
    if (at >= 0) this.#both(chunk.subarray(at), this.#fork());
  }

  end(): void {
    this.#digests.end();
    this.#canonical?.end();
    if (this.#lineEnds !== 'crlf') this.#sink.end();
  }

  get #sink(): Sink {
    this.#next ??= this.#open();
    return this.#next;
  }

  /** Chooses the likely form. A wrong choice costs a second run. */
  #fork(): CanonicalSink {
    this.#lineEnds = this.#known ?? (this.#exact || this.#hasCrlf ? 'as-received' : 'crlf');
    this.#crlfDigests = this.#digests.fork();
    const next = this.#lineEnds === 'crlf' ? this.#sink : new NullSink();
    this.#canonical = new CanonicalSink(new TeeSink(this.#crlfDigests, next), 'lf');
    return this.#canonical;
  }

  #both(chunk: Buffer, canonical: CanonicalSink): void {
    this.#digests.write(chunk);
    canonical.write(chunk);
    if (this.#lineEnds === 'as-received') this.#sink.write(chunk);
  }
}
