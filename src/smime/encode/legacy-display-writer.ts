import type { Budget } from '../../budget.ts';
import {
  Base64Encoder,
  BufferSink,
  CanonicalSink,
  type EntityInfo,
  entityInfo,
  type HeaderBlock,
  HeaderSplitter,
  type MessageLimits,
  openTo,
  QuotedPrintableEncoder,
  rewriteMultipart,
  type Sink,
  transferDecoder,
  withLineEnd,
} from '../../message/index.ts';
import { withoutParameters } from './outer-header.ts';

/**
 * Takes a MIME entity and writes it with a legacy display element in each main body part (RFC 9788, sections 5.2.2 and
 * 5.2.3): the subject that the outer header hides, at the start of the text, for mail programs that do not show
 * protected headers. The output is not ended. A part that cannot have the element (another charset, HTML without a
 * body) stays unchanged.
 *
 * Errors: `mime-limit`, `mime-malformed`.
 */
export function legacyDisplayEntity(output: Sink, subject: string, limits: MessageLimits): Sink {
  return new HeaderSplitter((headers) => bodyOf(headers, { output, subject, limits }, 0), limits);
}

interface Place {
  output: Sink;
  subject: string;
  limits: MessageLimits;
}

function bodyOf(headers: HeaderBlock, place: Place, depth: number): Sink {
  const { output, subject, limits } = place;
  const info = entityInfo(headers);
  const { type, value, parameters } = info.contentType;
  const boundary = (parameters.get('boundary') ?? '').trimEnd();
  const isIdentity = ['7bit', '8bit', 'binary'].includes(info.transferEncoding);
  if (value === 'text/plain' && !isAttachment(headers)) {
    const element = plainElement(subject, parameters.get('charset'));
    if (element !== undefined) return plainLeaf(headers, info, element, place);
  }
  if (value === 'text/html' && !isAttachment(headers) && !isWide(parameters.get('charset')))
    return new HtmlLeaf(headers, info, place);
  writeRaw(headers, output);
  const divisible = type === 'multipart' && boundary !== '' && isIdentity && depth < limits.depth;
  if (!divisible || value === 'multipart/signed' || value === 'multipart/encrypted') return openTo(output);
  // every alternative is the body; of other multiparts, the first part is
  const isMain = (index: number) => value === 'multipart/alternative' || index === 0;
  return rewriteMultipart(boundary, { output, limits, mode: 'binary-only' }, (index) =>
    isMain(index) ? new HeaderSplitter((inner) => bodyOf(inner, place, depth + 1), limits) : openTo(output),
  );
}

function isAttachment(headers: HeaderBlock): boolean {
  return /^\s*attachment\b/i.test(headers.get('content-disposition') ?? '');
}

/** Charsets in which ASCII octets do not stand for ASCII characters. */
function isWide(charset: string | undefined): boolean {
  return /^(?:utf-?(?:16|32|7)|ucs|iso-10646|ebcdic|cp(?:037|500))/i.test(charset ?? '');
}

interface Element {
  octets: Buffer;
  /** The charset that the part must have for the element, if not its own. */
  charset?: 'utf-8';
}

/** Undefined if the subject cannot be written in the charset. */
function plainElement(subject: string, charset = 'us-ascii'): Element | undefined {
  const text = `Subject: ${subject}\r\n\r\n`;
  if (/^[\x20-\x7e\r\n]*$/.test(text)) return isWide(charset) ? undefined : { octets: Buffer.from(text) };
  const name = charset.trim().toLowerCase();
  if (name === 'utf-8') return { octets: Buffer.from(text) };
  if (name === 'us-ascii') return { octets: Buffer.from(text), charset: 'utf-8' };
  const isLatin = name === 'iso-8859-1' || name === 'windows-1252';
  return isLatin && /^[\x20-\x7e\xa0-\xff\r\n]*$/.test(text)
    ? { octets: Buffer.from(text, 'latin1') }
    : undefined;
}

function htmlElement(subject: string): Buffer {
  const escaped = Array.from(subject, (character) =>
    /[ !#-%'-;=?-~]/.test(character) ? character : `&#${character.codePointAt(0)};`,
  ).join('');
  return Buffer.from(
    `<div class="header-protection-legacy-display">\r\n<pre>Subject: ${escaped}</pre>\r\n</div>\r\n`,
  );
}

function plainLeaf(
  headers: HeaderBlock,
  info: EntityInfo,
  element: Element,
  { output, limits: { budget } }: Place,
): Sink {
  const wide = info.transferEncoding === '7bit' && element.octets.some((octet) => octet > 0x7f);
  writeMarked(headers, { charset: element.charset, transferEncoding: wide ? '8bit' : undefined }, output);
  const { decoded, encoded } = recoded(info, output, budget);
  encoded.write(element.octets);
  return decoded(encoded);
}

/** Octets within which the body element must start. */
const HTML_PROBE = 256 * 1024;

/** An HTML part. Its header is written once it is known whether there is a body element. */
class HtmlLeaf implements Sink {
  readonly #headers: HeaderBlock;
  readonly #element: Buffer;
  readonly #output: Sink;
  readonly #encoded: Sink;
  readonly #input: Sink;
  #held: BufferSink | undefined = new BufferSink();

  constructor(headers: HeaderBlock, info: EntityInfo, { output, subject, limits: { budget } }: Place) {
    this.#headers = headers;
    this.#element = htmlElement(subject);
    this.#output = output;
    const { decoded, encoded } = recoded(info, output, budget);
    this.#encoded = encoded;
    this.#input = decoded({ write: (chunk) => this.#take(chunk), end: () => this.#finish() });
  }

  write(chunk: Buffer): void {
    this.#input.write(chunk);
  }

  end(): void {
    this.#input.end();
  }

  #take(chunk: Buffer): void {
    if (this.#held === undefined) {
      this.#encoded.write(chunk);
      return;
    }
    this.#held.write(Buffer.from(chunk));
    if (this.#held.length >= HTML_PROBE) this.#decide(this.#held.toBuffer());
  }

  #finish(): void {
    if (this.#held !== undefined) this.#decide(this.#held.toBuffer());
    this.#encoded.end();
  }

  #decide(begin: Buffer): void {
    this.#held = undefined;
    const at = behindBodyTag(begin.toString('latin1'));
    if (at === undefined) {
      writeRaw(this.#headers, this.#output);
      this.#encoded.write(begin);
      return;
    }
    writeMarked(this.#headers, {}, this.#output);
    for (const octets of [begin.subarray(0, at), this.#element, begin.subarray(at)]) {
      this.#encoded.write(octets);
    }
  }
}

/**
 * Where the first `<body ...>` ends. If one has no end, later ones have none either, so each octet is read at most
 * twice.
 */
function behindBodyTag(html: string): number | undefined {
  const start = html.search(/<body[\s>]/i);
  const end = start < 0 ? -1 : html.indexOf('>', start);
  return end < 0 ? undefined : end + 1;
}

/** Decodes a part and encodes it again, in the same transfer encoding. */
function recoded(
  { transferEncoding }: EntityInfo,
  output: Sink,
  budget: Budget | undefined,
): { decoded: (inner: Sink) => Sink; encoded: Sink } {
  const decoded = (inner: Sink) => transferDecoder(transferEncoding, inner, budget);
  const open = openTo(output);
  if (transferEncoding === 'base64') return { decoded, encoded: new Base64Encoder(open) };
  if (transferEncoding === 'quoted-printable')
    return { decoded, encoded: new CanonicalSink(new QuotedPrintableEncoder(open), 'lf') };
  return { decoded: (inner) => inner, encoded: open };
}

function writeRaw(headers: HeaderBlock, output: Sink): void {
  if (headers.raw.length > 0) output.write(headers.raw);
}

/** The header with the parameter that declares the element (RFC 9788). */
function writeMarked(
  headers: HeaderBlock,
  changes: { charset?: 'utf-8' | undefined; transferEncoding?: '8bit' | undefined },
  output: Sink,
): void {
  const { charset, transferEncoding } = changes;
  const more = `;\r\n ${charset === undefined ? '' : `charset="${charset}"; `}hp-legacy-display="1"\r\n`;
  const typed = headers.fields.some(({ key }) => key === 'content-type');
  if (!typed) output.write(Buffer.from(`Content-Type: text/plain${more}`));
  for (const { key, raw } of headers.fields) {
    if (key === 'content-type') {
      const written = charset === undefined ? ['hp-legacy-display'] : ['hp-legacy-display', 'charset'];
      output.write(Buffer.from(`${withoutParameters(raw.toString('latin1'), ...written)}${more}`, 'latin1'));
    } else if (key !== 'content-transfer-encoding' || transferEncoding === undefined) {
      output.write(withLineEnd(raw));
    }
  }
  if (transferEncoding !== undefined)
    output.write(Buffer.from(`Content-Transfer-Encoding: ${transferEncoding}\r\n`));
  output.write(Buffer.from('\r\n'));
}
