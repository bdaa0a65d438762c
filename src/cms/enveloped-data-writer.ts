import { der, oids, tags } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/index.ts';
import {
  type ContentEncryptor,
  createContentCipher,
  type FreshEncryption,
  freshEncryption,
  type RandomBytes,
} from './ciphers.ts';
import { SegmentWriter } from './octet-string-writer.ts';
import { type RecipientOptions, writeRecipientInfo } from './recipients/index.ts';

export interface EnvelopedDataOptions {
  recipients: readonly RecipientOptions[];
  /** Name in the registry. RC2 is given as `rc2-40-cbc` (effective bits). Default: `aes-256-cbc`. */
  contentEncryption?: string;
  /** contentType of what is inside, dotted. Default: id-data (a MIME entity). */
  contentType?: string;
  /** Required for DES and RC2. */
  allowWeak?: boolean;
  /** Derives the key from the algorithm identifier (RFC 9709), which few readers support. */
  deriveKey?: boolean;
  randomBytes?: RandomBytes;
}

/** Everything before the encrypted octets. */
interface Prepared {
  structure: string;
  fresh: FreshEncryption;
  version: Buffer;
  recipientInfos: Buffer;
  contentType: Buffer;
}

function prepare(options: EnvelopedDataOptions): Prepared {
  if (options.recipients.length === 0) {
    throw new SealpostError('encode-recipient', 'there is nobody to encrypt the message for');
  }
  const fresh = freshEncryption(options.contentEncryption ?? 'aes-256-cbc', options);
  const isAead = fresh.encryption.info.aead;
  const infos = options.recipients.map((recipient) => writeRecipientInfo(fresh, recipient, options));
  // RFC 5652 section 6.1: 0 with plain version 0 recipients only, 3 with password or other ones, else 2.
  // AuthEnvelopedData is always 0 (RFC 5083 section 2.1).
  const version = isAead
    ? 0
    : infos.some((info) => info.kind === 'password' || info.kind === 'kem')
      ? 3
      : infos.every((info) => info.version === 0)
        ? 0
        : 2;
  return {
    structure: isAead ? oids.authEnvelopedData : oids.envelopedData,
    fresh,
    version: der.integer(version),
    recipientInfos: der.setOf(...infos.map((info) => info.encoded)),
    contentType: der.oid(options.contentType ?? oids.data),
  };
}

/**
 * Encrypts content of any size as EnvelopedData (AuthEnvelopedData with an AEAD cipher), in BER with indefinite lengths
 * and constant memory. The constructor makes the key and writes everything before the content.
 * @throws SealpostError `encode-recipient`, `encode-policy` (a weak cipher without `allowWeak`)
 */
export class EnvelopedDataWriter implements Sink {
  readonly #out: Sink;
  readonly #cipher: ContentEncryptor;
  readonly #segments: SegmentWriter;

  constructor(options: EnvelopedDataOptions, out: Sink) {
    const { structure, fresh, version, recipientInfos, contentType } = prepare(options);
    this.#out = out;
    this.#cipher = createContentCipher(fresh);
    this.#segments = new SegmentWriter(out);
    out.write(
      Buffer.concat([
        der.openIndefinite(),
        der.oid(structure),
        der.openIndefinite(0),
        der.openIndefinite(),
        version,
        recipientInfos,
        der.openIndefinite(),
        contentType,
        fresh.algorithm,
        der.openIndefinite(0),
      ]),
    );
  }

  write(chunk: Buffer): void {
    this.#segments.write(this.#cipher.update(chunk));
  }

  end(): void {
    this.#segments.write(this.#cipher.final());
    this.#segments.end();
    // encryptedContent, EncryptedContentInfo
    this.#out.write(Buffer.alloc(2 * der.endOfContents.length));
    this.#out.write(writeMac(this.#cipher));
    // EnvelopedData, [0], ContentInfo
    this.#out.write(Buffer.alloc(3 * der.endOfContents.length));
    this.#out.end();
  }
}

/**
 * Encrypts content in memory: DER with definite lengths.
 * @throws SealpostError as `EnvelopedDataWriter`
 */
export function encodeEnvelopedData(content: Buffer, options: EnvelopedDataOptions): Buffer {
  return Buffer.concat(envelopedDataChunks([content], options));
}

/** The same in chunks, from content in chunks, which are not joined. */
export function envelopedDataChunks(content: readonly Buffer[], options: EnvelopedDataOptions): Buffer[] {
  const { structure, fresh, version, recipientInfos, contentType } = prepare(options);
  const cipher = createContentCipher(fresh);
  const encrypted = [...content.map((chunk) => cipher.update(chunk)), cipher.final()];
  const sequence = (...parts: Buffer[]) => der.enclose(0x20, tags.sequence, parts);
  const info = sequence(contentType, fresh.algorithm, ...der.enclose(0x80, 0, encrypted));
  const enveloped = sequence(version, recipientInfos, ...info, writeMac(cipher));
  return sequence(der.oid(structure), ...der.enclose(0xa0, 0, enveloped));
}

/** The mac of AuthEnvelopedData; empty for EnvelopedData. */
function writeMac(cipher: ContentEncryptor): Buffer {
  const tag = cipher.authTag();
  return tag === undefined ? Buffer.alloc(0) : der.octetString(tag);
}
