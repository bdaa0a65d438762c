import { type HeaderBlock, HeaderSplitter, type MessageLimits, type Sink } from '../message/index.ts';
import { RelaxedBodyHash } from './body-hash.ts';
import { type DkimKey, keysFor, signatureField } from './signature.ts';

/** The signatures of one message, whose octets are pushed in chunks of any size. */
export class Signing implements Sink {
  readonly #keys: readonly DkimKey[];
  readonly #splitter: HeaderSplitter;
  readonly #body = new RelaxedBodyHash();
  #header: HeaderBlock | undefined;
  #chosen: DkimKey[] | undefined;

  constructor(keys: readonly DkimKey[], limits?: MessageLimits) {
    this.#keys = keys;
    this.#splitter = new HeaderSplitter((header) => {
      this.#header = header;
      this.#chosen = keysFor(this.#keys, header);
      return this.#body;
    }, limits);
  }

  write(chunk: Buffer): void {
    if (this.isNone) return;
    this.#splitter.write(chunk);
  }

  end(): void {
    if (!this.isNone) this.#splitter.end();
  }

  /** True once it is known that none of the keys signs this message. */
  get isNone(): boolean {
    return this.#chosen?.length === 0;
  }

  /** Who signs, as `selector._domainkey.domain`. Call it after `end`. */
  get signers(): readonly DkimKey[] {
    return this.#chosen ?? [];
  }

  /** The fields for the top of the message. Call it after `end`. `now` is in milliseconds since the epoch. */
  fields(now: number): Buffer {
    const header = this.#header;
    if (header === undefined) return Buffer.alloc(0);
    return Buffer.concat(this.signers.map((key) => signatureField(key, header, this.#body.base64, now)));
  }
}
