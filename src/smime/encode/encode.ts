import { BufferSink, TransferSurvey, UNDECIDED_OCTETS } from '../../message/index.ts';
import { Encoder, surveyMessage } from './encoder.ts';
import { isEntityDetached, objectsOf } from './layer-stack.ts';
import { type EncodeOptions, type Encoding, isClear, settle } from './options.ts';

const CHUNK = 64 * 1024;
/** Octets that are collected before they are passed on. */
const BATCH = 128 * 1024;

/** A message, or a function that opens it anew each time, such as one that reads a file. */
export type EncodeInput =
  | Buffer
  | Iterable<Buffer>
  | AsyncIterable<Buffer>
  | (() => Iterable<Buffer> | AsyncIterable<Buffer>);

/**
 * Signs and encrypts a message as a stream: what comes out can be sent while the rest is still being read.
 *
 * For multipart/signed, every part must be 7bit (RFC 8551, section 3.1.3). Large parts that already are, labelled or
 * not, are left as they are only if the message can be read twice: as a Buffer or by a function. In a stream they get
 * quoted-printable or base64, since a false label would break the signature in transit.
 *
 * @param message a full mail (RFC 5322) with CRLF or LF line ends
 * @returns the encoded mail in chunks, CRLF line ends; rejects as `Encoder` throws, for what is wrong with certificates
 *    and keys before the first chunk
 */
export async function* encode(message: EncodeInput, options: EncodeOptions): AsyncIterable<Buffer> {
  const encoding = settle(options);
  // a stream is signed at its end, so keys and certificates must be checked before
  if (!Buffer.isBuffer(message)) prove(options);
  const output = new BufferSink();
  const open = opener(message);
  const encoder = new Encoder(output, encoding, await survey(message, encoding));
  for await (const chunk of open()) {
    encoder.write(chunk);
    // more than the header, so that an unusable certificate shows before anything has been sent
    if (output.length > BATCH) yield* output.drain();
  }
  encoder.end();
  yield* output.drain();
}

/** Signs and encrypts a message in memory at once. Errors: those of `Encoder`. */
export function encodeSync(message: Buffer, options: EncodeOptions): Buffer {
  const encoding = settle(options);
  const output = new BufferSink();
  const survey = needsSurvey(message, encoding) ? read(message, encoding) : undefined;
  const encoder = new Encoder(output, encoding, survey);
  for (const chunk of chunksOf(message)) encoder.write(chunk);
  encoder.end();
  return output.toBuffer();
}

/** Signs and encrypts a tiny message, to see whether it works. Errors: those of certificates and keys. */
function prove({ randomBytes: _, budget: __, ...options }: EncodeOptions): void {
  encodeSync(Buffer.from('\r\n'), options);
}

/**
 * Approximate size of an encoded message: base64 turns three octets into four plus a share of a line end, once for each
 * CMS object that is not binary. Undefined if it is compressed.
 */
export function estimateOctets(octets: number, options: EncodeOptions): number | undefined {
  const encoding = settle(options);
  const objects = objectsOf(encoding);
  if (objects === undefined) return undefined;
  const wrapped = encoding.innerTransferEncoding === 'binary' ? Math.min(1, objects) : objects;
  return Math.ceil(octets * (78 / 57) ** wrapped);
}

function needsSurvey(message: EncodeInput, encoding: Encoding): boolean {
  const large = Buffer.isBuffer(message) ? message.length > UNDECIDED_OCTETS : typeof message === 'function';
  return large && (isEntityDetached(encoding) || isClear(encoding));
}

/** The first pass over a message in memory. */
function read(message: Buffer, encoding: Encoding): TransferSurvey {
  const found = new TransferSurvey();
  const sink = surveyMessage(encoding, found);
  for (const chunk of chunksOf(message)) sink.write(chunk);
  sink.end();
  return found.finish();
}

async function survey(message: EncodeInput, encoding: Encoding): Promise<TransferSurvey | undefined> {
  if (!needsSurvey(message, encoding)) return undefined;
  const found = new TransferSurvey();
  const sink = surveyMessage(encoding, found);
  for await (const chunk of opener(message)()) sink.write(chunk);
  sink.end();
  return found.finish();
}

function opener(message: EncodeInput): () => Iterable<Buffer> | AsyncIterable<Buffer> {
  if (Buffer.isBuffer(message)) return () => chunksOf(message);
  return typeof message === 'function' ? message : () => message;
}

function* chunksOf(octets: Buffer): Iterable<Buffer> {
  for (let at = 0; at < octets.length; at += CHUNK) yield octets.subarray(at, at + CHUNK);
}
