import {
  encode as encodeMessage,
  encodeSync as encodeMessageSync,
  type EncodeOptions as FullEncodeOptions,
  type PresetName,
  protectionOf,
} from '../smime/index.ts';
import { bufferOf, buffersOf, type OctetStream, type Octets } from './octets.ts';

/**
 * Who signs, for whom to encrypt, and how. Each field of `Protection` may be given: it takes the place of the preset's.
 * Without `identity` nothing is signed, without `recipients` nothing is encrypted.
 */
export interface EncodeOptions extends Omit<FullEncodeOptions, 'budget' | 'randomBytes'> {
  /** A set of algorithms and forms for a community of mail; `default` is what every current reader takes. */
  readonly preset?: PresetName;
  /** The time of signing; now by default. */
  readonly at?: Date;
}

/** A message in memory, in chunks, or a function that opens it at each call, such as a file. */
export type EncodeInput = Octets | OctetStream | (() => OctetStream);

/**
 * Signs and encrypts a mail (RFC 8551). The output can be sent while the rest is still being read.
 *
 * @param message a whole mail (RFC 5322) with CRLF or LF line ends. Content-* fields and body are protected; the other
 *   fields stay in the outer header, except Bcc, which is removed.
 * @returns the protected mail in chunks, with CRLF line ends. Rejects with a SealpostError: `encode-recipient` or
 *   `encode-signer` for a certificate or key that cannot be used, before the first chunk; `encode-policy` for a weak
 *   algorithm without `allowWeak`, or for nothing to do without `unprotected`; `mime-limit`, `mime-malformed`.
 */
export function encode(message: EncodeInput, options: EncodeOptions): AsyncIterable<Buffer> {
  return encodeMessage(inputOf(message), settle(options));
}

/** `encode` for a mail in memory, at once. @throws as `encode` rejects */
export function encodeSync(message: Octets, options: EncodeOptions): Buffer {
  return encodeMessageSync(bufferOf(message), settle(options));
}

function inputOf(message: EncodeInput) {
  if (message instanceof Uint8Array) return bufferOf(message);
  return typeof message === 'function' ? () => buffersOf(message()) : buffersOf(message);
}

function settle(options: EncodeOptions): FullEncodeOptions {
  const { preset = 'default', at = new Date(), ...own } = options;
  return { ...own, ...protectionOf(preset, own), at };
}
