import {
  type DecodeCallOptions,
  type DecodeResult,
  decode as decodeMessage,
  decodeSync as decodeMessageSync,
  decodeReopenable,
  type DecodeOptions as FullDecodeOptions,
  type Trust,
} from '../smime/index.ts';
import { bufferOf, buffersOf, type OctetStream, type Octets } from './octets.ts';

/** Whom to trust, and with what to decrypt. */
export interface DecodeOptions
  extends Omit<DecodeCallOptions, 'identities' | 'trust' | 'at' | 'detached' | 'budget'> {
  /** Own keys; see `readIdentity`. Keep those whose certificates have expired: older mail is encrypted for them. */
  readonly identities?: FullDecodeOptions['identities'];
  /** Roots (`anchors`) and single certificates (`pinned`) whose signatures are trusted; nobody by default. */
  readonly trust?: Partial<Trust>;
  /** The time at which certificates are judged; now by default. */
  readonly at?: Date;
  /** The content of a detached signature that is not in the message (RFC 5652, section 5.2). */
  readonly detached?: Octets;
}

/** A message in memory, in chunks, or a function that opens it at each call, such as a file. */
export type DecodeInput = Octets | OctetStream | (() => OctetStream);

/**
 * Decrypts a message and verifies its signatures, layer by layer (RFC 8551): a mail or a bare CMS object.
 *
 * A fault of the message does not reject: its verdict has the status `failed` and a stable code. With `output` the
 * content is passed on while it is decoded, and **must be discarded unless the verdict's status is `ok`**.
 *
 * A stream is read once. Some messages (a multipart/signed with a wrong micalg) need a second reading: give octets, or
 * a function. The function is called once for each reading.
 *
 * @returns the verdict, and without `output` the content
 * @throws what reading the message or writing the output throws
 */
export async function decode(message: DecodeInput, options: DecodeOptions = {}): Promise<DecodeResult> {
  const settled = settle(options);
  if (message instanceof Uint8Array) return decodeMessage(bufferOf(message), settled);
  if (typeof message === 'function') return decodeReopenable(() => buffersOf(message()), settled);
  return decodeMessage(buffersOf(message), settled);
}

/** `decode` for a message in memory, without promises: authorities are not asked, so `trust` has only what it holds. */
export function decodeSync(
  message: Octets,
  options: Omit<DecodeOptions, 'output' | 'embeddedOutput'> = {},
): DecodeResult {
  return decodeMessageSync(bufferOf(message), settle(options));
}

function settle<O extends DecodeOptions>({
  identities = [],
  trust,
  at = new Date(),
  detached,
  ...others
}: O) {
  return {
    ...others,
    identities,
    trust: { anchors: [], ...trust },
    at,
    ...(detached && { detached: bufferOf(detached) }),
  };
}
