import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import {
  Base64Encoder,
  CanonicalSink,
  defaultMessageLimits,
  type HeaderBlock,
  type HeaderField,
  HeaderSplitter,
  type MessageLimits,
  type Sink,
} from '../message/index.ts';
import type { Certificate, Identity } from '../pki/index.ts';
import { DetachedSigner, encryptingSink, opaqueSigningSink } from './protection.ts';
import { sevenBitEntity } from './seven-bit.ts';

export interface SignOptions {
  readonly identity: Identity;
  /** `opaque`: application/pkcs7-mime; `detached`: multipart/signed, readable without S/MIME. */
  readonly form: 'opaque' | 'detached';
  /** Such as `sha256`. */
  readonly digest: string;
  /** For RSA keys: PKCS#1 v1.5 or PSS. */
  readonly scheme: 'pkcs1' | 'pss';
  /** What signing-time says. */
  readonly at: Date;
  /** The operator's explicit word for SHA-1 and MD5. */
  readonly allowWeak?: boolean;
}

export interface EncryptOptions {
  readonly recipients: readonly Certificate[];
  /** Such as `aes-256-cbc`. */
  readonly contentEncryption: string;
  /** How the content key is encrypted for RSA keys; for OAEP with the digest for hash and MGF1. */
  readonly keyTransport: 'pkcs1' | 'oaep-sha1' | 'oaep-sha256' | 'oaep-sha384' | 'oaep-sha512';
  /** The operator's explicit word for weak ciphers. */
  readonly allowWeak?: boolean;
}

export interface EncodeOptions {
  sign?: SignOptions;
  /** With `sign` too, the signed message is encrypted. */
  encrypt?: EncryptOptions;
  readonly limits?: MessageLimits;
  readonly randomBytes?: (size: number) => Buffer;
}

/**
 * Signs and encrypts one message that is pushed in chunks of any size, in constant memory. The input is a
 * full mail (RFC 5322). Its Content-* fields and body become the protected entity, with CRLF line ends; its
 * other fields stay outside, but Bcc, which nobody may see.
 *
 * Errors: `encode-recipient`, `encode-signer`, `encode-policy`; `mime-limit`, `mime-malformed` for the
 * message.
 */
export class Encoder implements Sink {
  readonly #input: Sink;

  constructor(output: Sink, options: EncodeOptions) {
    if (options.sign === undefined && options.encrypt === undefined) {
      throw new SealpostError('encode-policy', 'a message would be neither signed nor encrypted');
    }
    const limits = options.limits ?? defaultMessageLimits;
    this.#input = new HeaderSplitter((headers) => begin(headers, output, options, limits), limits);
  }

  write(chunk: Buffer): void {
    this.#input.write(chunk);
  }

  end(): void {
    this.#input.end();
  }
}

/** Fields that say something about the body: they move inside. */
function isContentField(field: HeaderField): boolean {
  return field.key.startsWith('content-');
}

const dropped = ['bcc', 'resent-bcc', 'mime-version'];

function begin(headers: HeaderBlock, output: Sink, options: EncodeOptions, limits: MessageLimits): Sink {
  for (const field of headers.fields) {
    if (!isContentField(field) && !dropped.includes(field.key)) output.write(canonicalField(field));
  }
  output.write(Buffer.from('MIME-Version: 1.0\r\n'));
  const target = protection(output, options);
  // canonical before it is signed, because a later hop would do it otherwise (threats S14)
  const canonical = new CanonicalSink(target, 'cr-and-lf');
  const mode = options.sign?.form === 'detached' ? 'signed' : 'binary-only';
  const entity = sevenBitEntity(canonical, mode, limits);
  const inner = headers.fields.filter(isContentField);
  for (const field of inner) entity.write(canonicalField(field));
  if (!inner.some((field) => field.key === 'content-type')) {
    entity.write(Buffer.from('Content-Type: text/plain; charset=utf-8\r\n'));
  }
  entity.write(Buffer.from('\r\n'));
  return {
    write: (chunk) => entity.write(chunk),
    end: () => {
      entity.end();
      canonical.end();
    },
  };
}

/** The field with CRLF line ends; a bare CR must not become a line end here, since it would make a new field. */
function canonicalField(field: HeaderField): Buffer {
  const text = field.raw
    .toString('latin1')
    .replace(/\r?\n$/, '')
    .replace(/\r(?!\n)/g, ' ')
    .replace(/\r?\n/g, '\r\n');
  return Buffer.from(`${text}\r\n`, 'latin1');
}

/** The stages from the inner entity to the output: sign, then encrypt. */
function protection(output: Sink, options: EncodeOptions): Sink {
  const random = options.randomBytes ?? nodeRandomBytes;
  let target = output;
  if (options.encrypt !== undefined) {
    const { contentEncryption } = options.encrypt;
    // authenticated encryption has a content type of its own (RFC 5083; RFC 8551, section 3.2.2)
    const aead = /-(?:gcm|ccm)$|poly1305$/.test(contentEncryption);
    target.write(cmsHeader(aead ? 'authEnveloped-data' : 'enveloped-data'));
    target = encryptingSink(new Base64Encoder(target), options.encrypt, random);
  }
  if (options.sign === undefined) return target;
  if (options.sign.form === 'detached') return new DetachedSigner(target, options.sign, random);
  target.write(cmsHeader('signed-data'));
  return opaqueSigningSink(new Base64Encoder(target), options.sign);
}

/** The MIME header of a CMS object (RFC 8551, sections 3.2 and 3.3). */
function cmsHeader(smimeType: string): Buffer {
  return Buffer.from(
    `Content-Type: application/pkcs7-mime; smime-type=${smimeType};\r\n name="smime.p7m"\r\n` +
      'Content-Transfer-Encoding: base64\r\n' +
      'Content-Disposition: attachment; filename="smime.p7m"\r\n\r\n',
  );
}
