/**
 * multipart/form-data (RFC 7578) as a stream: the part `message` first, then files, one after the other. Every part
 * counts. What two readers could take for different things is refused, and so is what would be left out.
 */
import { SealpostError } from '../errors.ts';
import {
  defaultMessageLimits,
  type HeaderBlock,
  HeaderSplitter,
  MultipartSplitter,
  parseContentType,
  parseParameterized,
} from '../message/index.ts';
import { tooLarge } from './body.ts';
import type { Attachment } from './compose.ts';
import { refusal } from './problem.ts';

const mostFiles = 100;
const largestMessage = 1024 * 1024;
const limits = { ...defaultMessageLimits, headerOctets: 16_384, headerFields: 20, parts: mostFiles + 1 };

export interface Form {
  /** Of the part `message`. */
  message: Buffer;
  /** Each is read to its end before the next one. A form that is cut ends with an error. */
  files: AsyncIterable<Attachment>;
  /** Nothing more is read of it. */
  close(): Promise<void>;
}

/** What the header of a part says. */
interface Part {
  name: string;
  filename: string | undefined;
  type: string | undefined;
}

/** Parts, their octets, and their ends, in order. */
type Piece = Part | Buffer | 'end';

const invalid = (what: string, hint?: string) => refusal('request-invalid', what, hint);

/** Errors: `request-invalid`, `message-too-large`, and those of the body. */
export async function readForm(contentType: string, body: AsyncIterable<Buffer>): Promise<Form> {
  const pieces = piecesOf(contentType, body);
  try {
    const first = await nextPart(pieces);
    if (first === undefined) throw invalid('the form has no part message');
    if (first.name !== 'message') throw invalid('the form does not begin with a part message');
    const kept: Buffer[] = [];
    let octets = 0;
    for await (const chunk of octetsOf(pieces)) {
      octets += chunk.length;
      if (octets > largestMessage) throw tooLarge(largestMessage);
      kept.push(chunk);
    }
    const close = async () => void (await pieces.return(undefined));
    return { message: Buffer.concat(kept), files: filesOf(pieces), close };
  } catch (error) {
    await pieces.return(undefined);
    throw error;
  }
}

async function* filesOf(pieces: AsyncIterator<Piece>): AsyncGenerator<Attachment> {
  for (let part = await nextPart(pieces); part; part = await nextPart(pieces)) {
    const { filename, type } = part;
    if (filename === undefined) throw invalid('the form has a field beside its first part, message');
    if (filename === '') throw invalid('a file of the form has no name');
    yield { filename, contentType: type, octets: octetsOf(pieces) };
  }
}

/** The part that begins, once the one before was read to its end; undefined at the end of the form. */
async function nextPart(pieces: AsyncIterator<Piece>): Promise<Part | undefined> {
  const { done, value } = await pieces.next();
  if (done) return undefined;
  if (value === 'end' || Buffer.isBuffer(value))
    throw new SealpostError('internal', 'a part of a form was not read to its end');
  return value;
}

/** The octets of the part that has begun. */
async function* octetsOf(pieces: AsyncIterator<Piece>): AsyncGenerator<Buffer> {
  for (;;) {
    const { done, value } = await pieces.next();
    if (done || !Buffer.isBuffer(value)) return;
    yield value;
  }
}

/** The body is read as far as somebody asks for. */
async function* piecesOf(contentType: string, body: AsyncIterable<Buffer>): AsyncGenerator<Piece, undefined> {
  const found: Piece[] = [];
  const splitter = splitterOf(contentType, (piece) => void found.push(piece));
  for await (const chunk of body) {
    asForm(() => splitter.write(chunk));
    yield* found.splice(0);
  }
  asForm(() => splitter.end());
  if (!splitter.closed) throw invalid('the form is cut or malformed');
  yield* found.splice(0);
  return undefined;
}

function splitterOf(contentType: string, take: (piece: Piece) => void): MultipartSplitter {
  const boundary = parseContentType(contentType).parameters.get('boundary')?.trim() ?? '';
  if (boundary === '') throw invalid('the form has no boundary');
  const part = () =>
    new HeaderSplitter((headers) => {
      take(partOf(headers));
      return { write: take, end: () => take('end') };
    }, limits);
  return asForm(() => new MultipartSplitter(boundary, { part }, limits));
}

/** Codings that leave the octets as they are (RFC 7578, section 4.7 has no others). */
const asTheyAre: ReadonlySet<string> = new Set(['', '7bit', '8bit', 'binary']);

function partOf(headers: HeaderBlock): Part {
  for (const name of ['content-disposition', 'content-type', 'content-transfer-encoding'])
    if (headers.all(name).length > 1) throw invalid(`a part of the form has two fields ${name}`);
  const { value, parameters } = parseParameterized(headers.get('content-disposition') ?? '');
  const name = parameters.get('name');
  if (value !== 'form-data' || name === undefined)
    throw invalid('a part of the form has no Content-Disposition: form-data with a name');
  if (headers.fields.some(({ isUtf8 }) => !isUtf8))
    throw invalid('the header of a part of the form is not UTF-8');
  const coding = headers.get('content-transfer-encoding') ?? '';
  if (!asTheyAre.has(coding.trim().toLowerCase()))
    throw invalid(
      'a part of the form is encoded',
      'leave out Content-Transfer-Encoding, and send the octets',
    );
  return { name, filename: parameters.get('filename'), type: headers.get('content-type') };
}

/** A form is no mail: what is wrong with it is wrong with the request. */
function asForm<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SealpostError && /^mime-/.test(error.code))) throw error;
    throw invalid(/parts$/.test(error.message) ? `the form has more than ${mostFiles} files` : error.message);
  }
}
