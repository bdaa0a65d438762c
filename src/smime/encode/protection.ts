import {
  ContentDigests,
  type EnvelopedDataOptions,
  EnvelopedDataWriter,
  encodeDetachedSignature,
  envelopedDataPieces,
  type SignedDataOptions,
  SignedDataWriter,
  signedDataPieces,
  signingDigests,
} from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import { Base64Encoder, type Sink } from '../../message/index.ts';
import { DefiniteOrStreaming } from './definite-or-streaming.ts';
import type { EncryptOptions, SignOptions } from './encode-options.ts';
import { recipientOptions } from './recipient-options.ts';
import { micalgFor, signedDataOptions } from './signing-options.ts';

type RandomBytes = (size: number) => Buffer;

/**
 * Encrypts what is written as EnvelopedData or AuthEnvelopedData (RFC 8551, sections 3.3 and 3.4) into `output`.
 *
 * Errors: `encode-recipient`, `encode-policy`.
 */
export function encryptingSink(output: Sink, options: EncryptOptions, randomBytes: RandomBytes): Sink {
  if (options.recipients.length === 0) {
    throw new SealpostError('encode-recipient', 'there is no certificate to encrypt for', {
      hint: "add the partner's certificate",
    });
  }
  const unique = new Map(options.recipients.map((certificate) => [certificate.thumbprint, certificate]));
  const enveloped: EnvelopedDataOptions = {
    recipients: [...unique.values()].map((certificate) => recipientOptions(certificate, options)),
    contentEncryption: options.contentEncryption,
    deriveKey: options.deriveKey ?? false,
    allowWeak: options.allowWeak ?? false,
    randomBytes,
  };
  return new DefiniteOrStreaming(
    output,
    (content) => envelopedDataPieces(content, enveloped),
    () => new EnvelopedDataWriter(enveloped, output),
  );
}

/**
 * Signs what is written as opaque SignedData (RFC 8551, section 3.5.2) into `output`.
 *
 * Errors: `encode-signer`, `encode-policy`.
 */
export function opaqueSigningSink(output: Sink, options: SignOptions): Sink {
  const signed = signedDataOptions(options);
  return new DefiniteOrStreaming(
    output,
    (content) => signedDataPieces(content, signed),
    () => new SignedDataWriter(signed, output),
  );
}

/** Signs what is written as multipart/signed (RFC 8551, section 3.5.3), its MIME header included. */
export class DetachedSigner implements Sink {
  readonly #output: Sink;
  readonly #options: SignedDataOptions;
  readonly #digests: ContentDigests;
  readonly #boundary: string;

  constructor(output: Sink, options: SignOptions, randomBytes: RandomBytes) {
    this.#output = output;
    this.#options = signedDataOptions(options);
    this.#digests = new ContentDigests(signingDigests(this.#options), 0);
    this.#boundary = `sealpost-${randomBytes(18).toString('hex')}`;
    // several digests make a list, which needs quotes for its comma (RFC 2045, section 5.1)
    const names = micalgFor(this.#options);
    const micalg = names.includes(',') ? `"${names}"` : names;
    this.#text(
      `Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n micalg=${micalg};` +
        ` boundary="${this.#boundary}"\r\n\r\n` +
        `This is a signed message (S/MIME).\r\n\r\n--${this.#boundary}\r\n`,
    );
  }

  write(chunk: Buffer): void {
    this.#digests.write(chunk);
    this.#output.write(chunk);
  }

  end(): void {
    this.#digests.end();
    const signature = encodeDetachedSignature(this.#digests.result.digests, this.#options);
    this.#text(
      `\r\n--${this.#boundary}\r\n` +
        'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n' +
        'Content-Transfer-Encoding: base64\r\n' +
        'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n',
    );
    const body = new Base64Encoder({ write: (chunk) => this.#output.write(chunk), end: () => {} });
    body.write(signature);
    body.end();
    this.#text(`\r\n--${this.#boundary}--\r\n`);
    this.#output.end();
  }

  #text(text: string): void {
    this.#output.write(Buffer.from(text, 'latin1'));
  }
}
