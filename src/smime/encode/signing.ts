import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { oids } from '../../asn1/index.ts';
import {
  ContentDigests,
  encodeDetachedSignature,
  type SignedDataOptions,
  SignedDataWriter,
  type SignerOptions,
  signedDataChunks,
  signingDigests,
} from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import { Base64Encoder, type Sink } from '../../message/index.ts';
import { type Certificate, type Identity, useFault } from '../../pki/index.ts';
import { micalgOf } from '../micalg.ts';
import { DefiniteOrStreaming } from './definite-or-streaming.ts';
import type { Encoding } from './options.ts';

/**
 * Signs its input as opaque SignedData (RFC 8551, section 3.5.2) into `output`.
 *
 * Errors: `encode-signer`, `encode-policy`.
 */
export function opaqueSigningSink(output: Sink, encoding: Encoding): Sink {
  const signed = signedDataOptions(encoding);
  return new DefiniteOrStreaming(
    output,
    (content) => signedDataChunks(content, signed),
    () => new SignedDataWriter(signed, output),
  );
}

/** Signs its input as multipart/signed (RFC 8551, section 3.5.3), including its MIME header. */
export class DetachedSigner implements Sink {
  readonly #output: Sink;
  readonly #options: SignedDataOptions;
  readonly #digests: ContentDigests;
  readonly #boundary: string;

  constructor(output: Sink, encoding: Encoding) {
    const { randomBytes = nodeRandomBytes } = encoding;
    this.#output = output;
    this.#options = signedDataOptions(encoding);
    this.#digests = new ContentDigests(signingDigests(this.#options), 0);
    this.#boundary = `sealpost-${randomBytes(18).toString('hex')}`;
    // several digests make a list, whose comma needs quotes (RFC 2045, section 5.1)
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

/** Ciphers that this decoder reads and that are common, the preferred one first (RFC 8551, section 2.5.2). */
const capabilities = ['aes-256-gcm', 'aes-256-cbc', 'aes-128-gcm', 'aes-128-cbc'];
/** Signature algorithms whose scheme determines the digest. */
const pure = /^(?:ed25519|ed448|ml-dsa-)/;

function signerOptions(identity: Identity, { digest, signatureScheme }: Encoding): SignerOptions {
  const { certificate, privateKey } = identity;
  if (pure.test(privateKey.asymmetricKeyType ?? '')) return { certificate, privateKey };
  const pss =
    signatureScheme === 'pss' ||
    (signatureScheme === 'as-certificate' && certificate.signatureAlgorithm.oid === oids.rsassaPss);
  return { certificate, privateKey, digest, pss };
}

/** What each signer will sign with: the digest, and the scheme as `pki/algorithms.ts` names it. */
export function signaturesFor(
  encoding: Encoding,
): { certificate: Certificate; digest: string; scheme: string }[] {
  return encoding.signers.map((identity) => {
    const signer = signerOptions(identity, encoding);
    const kind = identity.privateKey.asymmetricKeyType ?? 'unknown';
    const [digest = 'unknown'] = signingDigests({ signers: [signer], allowWeak: true });
    const isPss = kind === 'rsa-pss' || (kind === 'rsa' && signer.pss === true);
    const scheme = isPss ? 'rsa-pss' : (schemes.get(kind) ?? kind.replace(/^(ml-dsa)-.*$/, '$1'));
    return { certificate: identity.certificate, digest, scheme };
  });
}

const schemes: ReadonlyMap<string, string> = new Map([
  ['ec', 'ecdsa'],
  ['ed25519', 'eddsa'],
  ['ed448', 'eddsa'],
]);

/** The signer's own certificate, if replies may be encrypted for it. */
function ownEncryption({ certificate }: Identity): Certificate | undefined {
  const says = certificate.keyUsage !== undefined;
  return says && useFault(certificate, 'encrypt') === undefined ? certificate : undefined;
}

/** What the CMS layer signs with, and how. */
function signedDataOptions(encoding: Encoding): SignedDataOptions {
  const { signers, addSigningCertificate, algorithmProtection, allowWeak, at } = encoding;
  if (at === undefined)
    throw new SealpostError('encode-signer', 'a signature needs the time at which it is made');
  const [first] = signers;
  const encryptionCertificate = encoding.encryptionCertificate ?? (first && ownEncryption(first));
  // a receiver has its roots, but may lack the intermediate certificates
  const chains = signers.flatMap(({ chain }) => chain.filter((issuer) => !issuer.isSelfIssued));
  const sent = [...chains, ...(encryptionCertificate === undefined ? [] : [encryptionCertificate])];
  return {
    signers: signers.map((identity) => signerOptions(identity, encoding)),
    certificates: addSigningCertificate ? sent : [],
    withoutSignerCertificates: !addSigningCertificate,
    signingTime: at,
    capabilities: encoding.capabilities ?? capabilities,
    algorithmProtection,
    ...(encryptionCertificate === undefined ? {} : { encryptionCertificate }),
    allowWeak,
  };
}

/** The micalg parameter for these signers, with every digest once (RFC 8551, section 3.5.3.2). */
function micalgFor(options: SignedDataOptions): string {
  return [...new Set(signingDigests(options).map(micalgOf))].join(',');
}
