import { BufferSink } from '../message/index.ts';
import { type EncodeOptions, Encoder } from './encoder.ts';

export type { EncodeOptions, EncryptOptions, SignOptions } from './encoder.ts';

const PIECE = 64 * 1024;
/** Octets that are collected before they are given out. */
const BATCH = 128 * 1024;

/**
 * Signs and encrypts a message as a stream: what comes out can be sent while the rest is still read.
 *
 * @param message a full mail (RFC 5322) with CRLF or LF line ends
 * @returns the encoded mail in chunks, CRLF line ends; rejects as `Encoder` throws, for what is wrong with
 *   certificates and keys before the first chunk (a signature of a large message excepted)
 */
export async function* encode(
  message: Buffer | Iterable<Buffer> | AsyncIterable<Buffer>,
  options: EncodeOptions,
): AsyncIterable<Buffer> {
  const output = new BufferSink();
  const encoder = new Encoder(output, options);
  for await (const chunk of Buffer.isBuffer(message) ? pieces(message) : message) {
    encoder.write(chunk);
    // not the header alone: a certificate that can not be used shows before anything has been sent
    if (output.length > BATCH) yield* output.drain();
  }
  encoder.end();
  yield* output.drain();
}

/** Signs and encrypts what is in memory, at once. Errors as `Encoder`. */
export function encodeSync(message: Buffer, options: EncodeOptions): Buffer {
  const output = new BufferSink();
  const encoder = new Encoder(output, options);
  for (const piece of pieces(message)) encoder.write(piece);
  encoder.end();
  return output.toBuffer();
}

function* pieces(octets: Buffer): Iterable<Buffer> {
  for (let at = 0; at < octets.length; at += PIECE) yield octets.subarray(at, at + PIECE);
}
