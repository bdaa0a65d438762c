import { isAscii } from 'node:buffer';
import { SealpostError } from '../errors.ts';
import { asciiField, longestLine, MAX_LINE } from './ascii-header.ts';
import { Base64Encoder } from './base64.ts';
import { CanonicalSink, CrWatch } from './canonical.ts';
import { type EntityInfo, entityInfo } from './entity.ts';
import { type HeaderBlock, HeaderSplitter, strayControl } from './headers.ts';
import type { MessageLimits } from './limits.ts';
import { LineFold } from './line-fold.ts';
import { MultipartSplitter } from './multipart.ts';
import { QuotedPrintableEncoder } from './quoted-printable.ts';
import type { Sink } from './sink.ts';
import { SevenBitScan, type TransferSurvey } from './transfer-survey.ts';

/**
 * How far transfer encodings change. `signed`: everything that is not 7bit is encoded, because a gateway that did it
 * later would break the signature (RFC 8551, section 3.1.3). `binary-only`: only binary parts, whose line ends must not
 * be made canonical. The label of each part counts, not that of the multipart around it, because senders forget that
 * RFC 2045, section 6.4 wants the widest one there.
 *
 * `exact`: like `signed`, for somebody else's content that is handed on. The decoded octets of a part do not change: if
 * a text has line ends other than LF and CRLF, it becomes base64. A bare CR that was turned into a line end could
 * create a boundary line, or a header field.
 */
export type SevenBitMode = 'signed' | 'exact' | 'binary-only';

/**
 * A part labelled 7bit, or unlabelled, is buffered up to this size to check whether that is true. A larger one is
 * encoded, because the label alone cannot be trusted, unless a survey of the message has confirmed it.
 */
export const UNDECIDED_OCTETS: number = 1024 * 1024;
/** Types whose inner structure must not change, because a signature inside would break. */
const opaqueMultiparts = ['multipart/signed', 'multipart/encrypted'];

/** Passes octets on; the owner of the output ends it. */
class Open implements Sink {
  readonly #output: Sink;

  constructor(output: Sink) {
    this.#output = output;
  }

  write(chunk: Buffer): void {
    this.#output.write(chunk);
  }

  end(): void {}
}

/**
 * Takes a MIME entity and writes it with transfer encodings that survive transport. Types, names and the order of parts
 * stay. Preamble and epilogue are dropped if everything becomes 7bit. The output is not ended.
 *
 * @param survey of the same entity: the first pass fills it, and the output of that pass is ignored
 *
 * Errors: `mime-limit`, `mime-malformed`.
 */
export function sevenBitEntity(
  output: Sink,
  mode: SevenBitMode,
  limits: MessageLimits,
  depth = 0,
  survey?: TransferSurvey,
): Sink {
  if (depth > limits.depth)
    throw new SealpostError('mime-limit', `more than ${limits.depth} nested multiparts`);
  return new HeaderSplitter((headers) => bodySink(headers, { output, mode, limits, depth, survey }), limits);
}

/** What an entity is converted with. */
interface Place {
  output: Sink;
  mode: SevenBitMode;
  limits: MessageLimits;
  depth: number;
  survey: TransferSurvey | undefined;
}

/** A nested entity at this place. */
function below({ output, mode, limits, depth, survey }: Place): Sink {
  return sevenBitEntity(output, mode, limits, depth + 1, survey);
}

function bodySink(headers: HeaderBlock, place: Place): Sink {
  const { output, mode, survey } = place;
  const info = entityInfo(headers);
  const { contentType, transferEncoding } = info;
  const open = new Open(output);
  const wide = transferEncoding === '8bit' || transferEncoding === 'binary';
  const identity = wide || transferEncoding === '7bit';
  const boundary = contentType.parameters.get('boundary') ?? '';
  const divisible = contentType.type === 'multipart' && boundary.trimEnd() !== '';
  const composite = divisible || contentType.value === 'message/rfc822';
  const concerned = mode !== 'binary-only' || composite ? identity : transferEncoding === 'binary';
  if (opaqueMultiparts.includes(contentType.value)) {
    // signed by somebody else, so its octets must not be changed
    writeHeader(headers, undefined, { output, mode: mode === 'exact' ? mode : 'binary-only' });
    return mode === 'exact' ? new NoBareCr(open) : open;
  }
  if (!concerned) {
    writeHeader(headers, undefined, place);
    const folded =
      mode !== 'binary-only' && (transferEncoding === 'base64' || transferEncoding === 'quoted-printable');
    const target = folded ? new LineFold(open, transferEncoding) : open;
    return mode === 'exact' ? new NoBareCr(target) : target;
  }
  if (contentType.type === 'multipart' || composite) {
    writeHeader(headers, compositeLabel(transferEncoding, mode), place);
    return composite && !divisible ? below(place) : rewriteMultipart(boundary, place, () => below(place));
  }
  if (transferEncoding === 'binary') {
    writeHeader(headers, 'base64', place);
    return new Base64Encoder(open);
  }
  if (wide) return encodedText(headers, info, place);
  if (survey === undefined) return new UnlabelledLeaf(headers, info, place);
  const scanner = survey.scanner();
  if (scanner !== undefined) return scanner;
  if (!survey.next()) return encodedText(headers, info, place);
  writeHeader(headers, undefined, place);
  return open;
}

/** The new encoding of a multipart or message/rfc822 whose parts are encoded; undefined: unchanged. */
function compositeLabel(transferEncoding: string, mode: SevenBitMode): string | undefined {
  if (mode !== 'binary-only') return transferEncoding === '7bit' ? undefined : '7bit';
  return transferEncoding === 'binary' ? '8bit' : undefined;
}

/**
 * A leaf of 8bit lines: text becomes quoted-printable and the rest base64, with canonical line ends; or it becomes
 * base64 as it is.
 */
function encodedText(headers: HeaderBlock, info: EntityInfo, place: Pick<Place, 'output' | 'mode'>): Sink {
  if (place.mode === 'exact') {
    writeHeader(headers, 'base64', place);
    return new Base64Encoder(new Open(place.output));
  }
  const isText = info.contentType.type === 'text';
  writeHeader(headers, isText ? 'quoted-printable' : 'base64', place);
  const open = new Open(place.output);
  return new CanonicalSink(isText ? new QuotedPrintableEncoder(open) : new Base64Encoder(open), 'cr-and-lf');
}

/** A leaf labelled 7bit, or unlabelled. Checks whether that is true before its header is written. */
class UnlabelledLeaf implements Sink {
  readonly #headers: HeaderBlock;
  readonly #info: EntityInfo;
  readonly #place: Pick<Place, 'output' | 'mode'>;
  #held: Buffer[] = [];
  #length = 0;
  readonly #scan: SevenBitScan;
  #target: Sink | undefined;

  constructor(headers: HeaderBlock, info: EntityInfo, place: Pick<Place, 'output' | 'mode'>) {
    this.#headers = headers;
    this.#info = info;
    this.#place = place;
    this.#scan = new SevenBitScan(place.mode === 'exact');
  }

  write(chunk: Buffer): void {
    if (this.#target !== undefined) {
      this.#target.write(chunk);
      return;
    }
    this.#held.push(Buffer.from(chunk));
    this.#length += chunk.length;
    if (!this.#scan.scan(chunk) || this.#length > UNDECIDED_OCTETS) {
      this.#release(encodedText(this.#headers, this.#info, this.#place));
    }
  }

  end(): void {
    if (this.#target === undefined && this.#scan.ends) {
      writeHeader(this.#headers, undefined, this.#place);
      this.#release(new Open(this.#place.output));
    } else if (this.#target === undefined) this.#release(encodedText(this.#headers, this.#info, this.#place));
    this.#target?.end();
  }

  #release(target: Sink): void {
    this.#target = target;
    for (const chunk of this.#held) target.write(chunk);
    this.#held = [];
  }
}

/**
 * For octets that are neither changed nor encoded again. A CR that is not part of a line end is refused. Errors:
 * `mime-malformed`.
 */
class NoBareCr implements Sink {
  readonly #output: Sink;
  readonly #crs = new CrWatch();

  constructor(output: Sink) {
    this.#output = output;
  }

  write(chunk: Buffer): void {
    if (!this.#crs.push(chunk)) this.#refuse();
    this.#output.write(chunk);
  }

  end(): void {
    if (this.#crs.open) this.#refuse();
    this.#output.end();
  }

  #refuse(): never {
    throw new SealpostError('mime-malformed', 'a part that must not be changed has a CR without LF');
  }
}

/** Passes octets on; the owner of the output ends it. */
export function openTo(output: Sink): Sink {
  return new Open(output);
}

/** The header with another Content-Transfer-Encoding; undefined: unchanged octet for octet, if servers accept it. */
function writeHeader(
  headers: HeaderBlock,
  transferEncoding: string | undefined,
  { output, mode }: Pick<Place, 'output' | 'mode'>,
): void {
  const { raw } = headers;
  const survives =
    mode === 'binary-only' ||
    (isAscii(raw) &&
      !raw.includes(0) &&
      longestLine(raw) <= MAX_LINE &&
      (mode === 'signed' || strayControl(headers) === undefined));
  if (transferEncoding === undefined && survives) {
    // including lines that are not fields, and without an empty line if there was none
    if (raw.length > 0) output.write(raw);
    return;
  }
  for (const field of headers.fields) {
    if (transferEncoding !== undefined && field.key === 'content-transfer-encoding') continue;
    const whole = withLineEnd(mode === 'exact' ? withoutBareCr(field.raw) : field.raw);
    output.write(survives ? whole : asciiField(whole));
  }
  const label = transferEncoding === undefined ? '' : `Content-Transfer-Encoding: ${transferEncoding}\r\n`;
  output.write(Buffer.from(`${label}\r\n`, 'latin1'));
}

function withoutBareCr(raw: Buffer): Buffer {
  return Buffer.from(raw.toString('latin1').replace(/\r(?!\n)/g, ' '), 'latin1');
}

/** A field's octets, with a line end even if it was the last line of a message without a body. */
export function withLineEnd(raw: Buffer): Buffer {
  return raw[raw.length - 1] === 0x0a ? raw : Buffer.concat([raw, Buffer.from('\r\n')]);
}

/**
 * Writes the body of a multipart again, with converted parts.
 * @param part takes the part with this index, counted from 0, and its header
 */
export function rewriteMultipart(
  boundary: string,
  { output, limits, mode }: Pick<Place, 'output' | 'limits' | 'mode'>,
  part: (index: number) => Sink,
): Sink {
  const delimiter = `--${boundary.trimEnd()}`;
  let begun = false;
  /** Preamble and epilogue. Nobody reads them, but they are only dropped if the output must be 7bit. */
  const aside = (): Sink => ({
    write: (chunk) => {
      if (mode !== 'binary-only') return;
      begun = true;
      output.write(chunk);
    },
    end: () => {},
  });
  const write = (line: string) => {
    output.write(Buffer.from(`${begun ? '\r\n' : ''}${line}\r\n`, 'utf8'));
    begun = true;
  };
  let closed = false;
  const close = () => {
    if (!closed) write(`${delimiter}--`);
    closed = true;
  };
  const epilogue = aside();
  const splitter = new MultipartSplitter(
    boundary,
    {
      preamble: aside(),
      part: (index) => {
        write(delimiter);
        return part(index);
      },
      epilogue: {
        write: (chunk) => {
          close();
          epilogue.write(chunk);
        },
        end: close,
      },
    },
    limits,
  );
  return {
    write: (chunk) => splitter.write(chunk),
    end: () => {
      splitter.end();
      close();
    },
  };
}
