import { createHash, type Hash } from 'node:crypto';
import { CanonicalSink } from './canonical.ts';
import { entityInfo } from './entity.ts';
import { type HeaderBlock, HeaderSplitter } from './headers.ts';
import { defaultMessageLimits, type MessageLimits } from './limits.ts';
import { MultipartSplitter } from './multipart.ts';
import type { Sink } from './sink.ts';

/** Fields that a program makes anew each time it sends the same mail, and trace fields of the hops in between. */
const madeAnew = new Set(['date', 'message-id', 'received', 'return-path', 'mime-version']);
/** Multiparts that are nested deeper count by their octets, boundaries included. */
const deepest = 8;

/**
 * A digest of what a mail says, as a stream. It is equal for two mails that differ only in multipart boundaries, Date,
 * Message-ID, order and folding of header fields, preambles, line ends, and the line length of base64. Otherwise,
 * bodies count as they are encoded.
 */
export class MailDigest implements Sink {
  readonly #hash = createHash('sha256');
  readonly #top: Sink;
  #digest: string | undefined;

  /** @param without names of further fields, in lower case, that do not count */
  constructor(without: readonly string[] = []) {
    const left = new Set([...madeAnew, ...without]);
    // The mail was accepted within the limits of its door. Here, a part beyond them is a part like any other.
    const limits = { ...defaultMessageLimits, parts: Number.MAX_SAFE_INTEGER };
    this.#top = entitySink(this.#hash, left, limits, 0);
  }

  write(chunk: Buffer): void {
    this.#top.write(chunk);
  }

  end(): void {
    this.#top.end();
    this.#digest = this.#hash.digest('hex');
  }

  /** In hex, after `end`. */
  get digest(): string {
    return this.#digest ?? '';
  }
}

function entitySink(hash: Hash, without: ReadonlySet<string>, limits: MessageLimits, depth: number): Sink {
  return new HeaderSplitter((headers) => {
    const { contentType: type, transferEncoding } = entityInfo(headers);
    const boundary = type.parameters.get('boundary')?.trimEnd() ?? '';
    const splits =
      type.type === 'multipart' &&
      boundary !== '' &&
      boundary.length <= limits.boundaryLength &&
      depth < deepest;
    addHeader(hash, headers, boundary, without);
    if (!splits) return leafSink(hash, transferEncoding);
    const part = () => entitySink(hash, without, limits, depth + 1);
    const splitter = new MultipartSplitter(boundary, { part }, limits);
    const end = () => {
      splitter.end();
      hash.update('multipart end\n');
    };
    return { write: (chunk) => splitter.write(chunk), end };
  }, limits);
}

/** With its length, so that it does not run into what follows. */
function addHeader(hash: Hash, headers: HeaderBlock, boundary: string, without: ReadonlySet<string>): void {
  const fields = headers.fields
    .filter(({ key }) => !without.has(key))
    .map(({ key, value }) => {
      const said = key === 'content-type' && boundary !== '' ? value.replaceAll(boundary, '') : value;
      return [key, said.replaceAll(/[ \t]+/g, ' ')];
    });
  fields.sort(([a = '', av = ''], [b = '', bv = '']) => (a === b ? compare(av, bv) : compare(a, b)));
  const text = JSON.stringify(fields);
  hash.update(`header ${Buffer.byteLength(text)}\n${text}\n`);
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** The octets of a body. Their number comes after them, and so ends them. */
function leafSink(hash: Hash, encoding: string): Sink {
  let octets = 0;
  const update = (chunk: Buffer | string) => {
    octets += chunk.length;
    hash.update(chunk);
  };
  const end = () => void hash.update(`\nbody ${octets}\n`);
  if (encoding === 'base64') return { write: (chunk) => update(withoutSpace(chunk)), end };
  return encoding === 'binary' ? { write: update, end } : new CanonicalSink({ write: update, end });
}

/** Lines of base64 may have any length that the writer likes (RFC 2045, section 6.8). */
const withoutSpace = (chunk: Buffer) => chunk.toString('latin1').replaceAll(/[\t\n\r ]+/g, '');
