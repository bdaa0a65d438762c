import { constants, type KeyObject, sign } from 'node:crypto';
import { der, type OidName, oids, tags, writeAlgorithm } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/index.ts';
import type { Certificate } from '../pki/index.ts';
import { type DigestInfo, digestByName } from './algorithms.ts';
import {
  writeAlgorithmProtection,
  writeAttribute,
  writeCapabilities,
  writeKeyPreference,
} from './attributes.ts';
import { writeIssuerAndSerial } from './certificate-identifier.ts';
import { ContentDigests } from './content-digests.ts';
import { keyIdentifierOf } from './identity.ts';
import { SegmentWriter } from './octet-string-writer.ts';
import { writePssAlgorithm } from './pss.ts';
import { boundPss, maySign } from './rsa-restrictions.ts';

export interface SignerOptions {
  certificate: Certificate;
  privateKey: KeyObject;
  /** Name in the registry. Default: what suits the key (`sha256` for RSA and ECDSA). MD5 and SHA-1 need `allowWeak`. */
  digest?: string;
  /** PSS with a salt as long as the digest, instead of PKCS#1 v1.5. Always used for keys that are only for PSS. */
  pss?: boolean;
  /** Name the certificate by its subject key identifier instead of issuer and serial number. */
  bySubjectKeyIdentifier?: boolean;
}

export interface SignedDataOptions {
  signers: readonly SignerOptions[];
  /** More certificates to include. */
  certificates?: readonly Certificate[];
  /** Omits the signers' own certificates, for receivers that already have them. */
  withoutSignerCertificates?: boolean;
  /** eContentType, dotted. Default: id-data. */
  contentType?: string;
  /** The time in the signingTime attribute. */
  signingTime?: Date;
  /** Names of content ciphers for smimeCapabilities, the preferred one first. */
  capabilities?: readonly string[];
  /** The certificate named in the encryption key preference attribute (RFC 8551 section 2.5.3). */
  encryptionCertificate?: Certificate;
  /** Also signs the names and parameters of the digest and signature algorithms (RFC 6211). */
  algorithmProtection?: boolean;
  /** Required for MD5 and SHA-1. */
  allowWeak?: boolean;
}

function digestOf(signer: SignerOptions, options: SignedDataOptions): DigestInfo {
  const pure = pureSignatures.get(signer.privateKey.asymmetricKeyType ?? '');
  const bound = boundPss(signer.certificate.publicKeyInfo);
  const name = bound?.digest.name ?? signer.digest ?? pure?.digests[0] ?? 'sha256';
  const info = digestByName.get(name);
  if (info === undefined) throw new SealpostError('cms-unsupported', `there is no digest ${name}`);
  if (info.weak !== undefined && options.allowWeak !== true) {
    throw new SealpostError('encode-policy', `${name} is weak: ${info.weak}`, {
      hint: 'use sha256, or allow weak signatures for this partner in so many words',
    });
  }
  return info;
}

/** The digests that signing needs, by name, for `ContentDigests`. */
export function signingDigests(options: SignedDataOptions): string[] {
  return options.signers.map((signer) => digestOf(signer, options).name);
}

/**
 * A detached signature over content that the caller has digested (multipart/signed), in DER.
 * @param digests by name, as `signingDigests` lists them
 * @throws SealpostError `encode-signer` if a key cannot sign, `encode-policy`
 */
export function encodeDetachedSignature(
  digests: ReadonlyMap<string, Buffer>,
  options: SignedDataOptions,
): Buffer {
  return Buffer.concat(contentInfo(options, [der.sequence(contentTypeOf(options))], digests));
}

/** Opaque SignedData around content in memory, in DER. */
export function encodeSignedData(content: Buffer, options: SignedDataOptions): Buffer {
  return Buffer.concat(signedDataChunks([content], options));
}

/** The same in chunks, from content in chunks, which are not joined. */
export function signedDataChunks(content: readonly Buffer[], options: SignedDataOptions): Buffer[] {
  const digests = new ContentDigests(signingDigests(options), 0);
  for (const chunk of content) digests.write(chunk);
  digests.end();
  const explicit = der.enclose(0xa0, 0, der.enclose(0, tags.octetString, content));
  const info = der.enclose(0x20, tags.sequence, [contentTypeOf(options), ...explicit]);
  return contentInfo(options, info, digests.result.digests);
}

/** Opaque SignedData around content of any size, in BER with indefinite lengths and constant memory. */
export class SignedDataWriter implements Sink {
  readonly #options: SignedDataOptions;
  readonly #out: Sink;
  readonly #digests: ContentDigests;
  readonly #segments: SegmentWriter;

  constructor(options: SignedDataOptions, out: Sink) {
    this.#options = options;
    this.#out = out;
    this.#digests = new ContentDigests(signingDigests(options), 0);
    this.#segments = new SegmentWriter(out);
    out.write(
      Buffer.concat([
        der.openIndefinite(),
        der.oid(oids.signedData),
        der.openIndefinite(0),
        der.openIndefinite(),
        ...beforeContent(options),
        der.openIndefinite(),
        contentTypeOf(options),
        der.openIndefinite(0),
        der.openOctetString(),
      ]),
    );
  }

  write(chunk: Buffer): void {
    this.#digests.write(chunk);
    this.#segments.write(chunk);
  }

  end(): void {
    this.#digests.end();
    this.#segments.end();
    // the OCTET STRING, its [0], EncapsulatedContentInfo
    this.#out.write(Buffer.alloc(3 * der.endOfContents.length));
    this.#out.write(Buffer.concat(afterContent(this.#options, this.#digests.result.digests)));
    // SignedData, [0], ContentInfo
    this.#out.write(Buffer.alloc(3 * der.endOfContents.length));
    this.#out.end();
  }
}

function contentTypeOf(options: SignedDataOptions): Buffer {
  return der.oid(options.contentType ?? oids.data);
}

/** The whole object around EncapsulatedContentInfo, in chunks. */
function contentInfo(
  options: SignedDataOptions,
  content: readonly Buffer[],
  digests: ReadonlyMap<string, Buffer>,
): Buffer[] {
  const parts = [...beforeContent(options), ...content, ...afterContent(options, digests)];
  const explicit = der.enclose(0xa0, 0, der.enclose(0x20, tags.sequence, parts));
  return der.enclose(0x20, tags.sequence, [der.oid(oids.signedData), ...explicit]);
}

/** version and digestAlgorithms. The version is that of RFC 5652 section 5.1. */
function beforeContent(options: SignedDataOptions): Buffer[] {
  const isData = (options.contentType ?? oids.data) === oids.data;
  const bySki = options.signers.some((signer) => signer.bySubjectKeyIdentifier === true);
  const algorithms = new Map(
    options.signers.map((signer) => {
      const info = digestOf(signer, options);
      return [info.name, writeDigestAlgorithm(info)];
    }),
  );
  return [der.integer(isData && !bySki ? 1 : 3), der.setOf(...algorithms.values())];
}

/** SHA-2 without parameters (RFC 5754 section 2); SHA-1 and MD5 with NULL (RFC 3370 section 2). */
function writeDigestAlgorithm(info: DigestInfo): Buffer {
  return info.weak === undefined ? writeAlgorithm(info.oid) : writeAlgorithm(info.oid, der.nullValue());
}

/** certificates and signerInfos. */
function afterContent(options: SignedDataOptions, digests: ReadonlyMap<string, Buffer>): Buffer[] {
  const own = options.withoutSignerCertificates === true ? [] : options.signers;
  const all = [...own.map(({ certificate }) => certificate), ...(options.certificates ?? [])];
  const certificates = [
    ...new Map(all.map((certificate) => [certificate.thumbprint, certificate.der])).values(),
  ];
  const signers = options.signers.map((signer) => writeSignerInfo(signer, options, digests));
  const parts = certificates.length === 0 ? [] : [der.implicit(0, true, ...der.sortDer(certificates))];
  return [...parts, der.setOf(...signers)];
}

function writeSignerInfo(
  signer: SignerOptions,
  options: SignedDataOptions,
  digests: ReadonlyMap<string, Buffer>,
): Buffer {
  const info = digestOf(signer, options);
  const digest = digests.get(info.name);
  if (digest === undefined)
    throw new SealpostError('encode-signer', `the content was not digested with ${info.name}`);
  const { algorithm, signed } = signatureOf(signer, info);
  const attributes = der.setOf(
    writeAttribute(oids.contentType, contentTypeOf(options)),
    writeAttribute(oids.messageDigest, der.octetString(digest)),
    ...(options.signingTime === undefined
      ? []
      : [writeAttribute(oids.signingTime, der.time(options.signingTime))]),
    ...(options.capabilities === undefined ? [] : [writeCapabilities(options.capabilities)]),
    ...(options.encryptionCertificate === undefined
      ? []
      : [writeKeyPreference(options.encryptionCertificate)]),
    ...(options.algorithmProtection === true
      ? [writeAlgorithmProtection(writeDigestAlgorithm(info), algorithm)]
      : []),
  );
  const implicit = Buffer.from(attributes);
  // The SET OF is signed; in the message it is under [0] IMPLICIT (RFC 5652 section 5.4).
  implicit[0] = 0xa0;
  const bySki = signer.bySubjectKeyIdentifier === true;
  return der.sequence(
    der.integer(bySki ? 3 : 1),
    bySki
      ? der.implicit(0, false, keyIdentifierOf(signer.certificate))
      : writeIssuerAndSerial(signer.certificate),
    writeDigestAlgorithm(info),
    implicit,
    algorithm,
    der.octetString(signed(attributes)),
  );
}

const ecdsaNames: Record<string, OidName | undefined> = {
  sha1: 'ecdsaWithSha1',
  sha224: 'ecdsaWithSha224',
  sha256: 'ecdsaWithSha256',
  sha384: 'ecdsaWithSha384',
  sha512: 'ecdsaWithSha512',
  'sha3-224': 'ecdsa-with-sha3-224',
  'sha3-256': 'ecdsa-with-sha3-256',
  'sha3-384': 'ecdsa-with-sha3-384',
  'sha3-512': 'ecdsa-with-sha3-512',
};

/** RFC 3370 section 3.1, RFC 5754 section 3.1: without parameters. */
const dsaNames: Record<string, OidName | undefined> = {
  sha1: 'dsaWithSha1',
  sha224: 'dsaWithSha224',
  sha256: 'dsaWithSha256',
};

/**
 * Schemes that sign octets instead of a digest, by node's key type, with the digests that their specifications allow
 * for the attributes (RFC 8419 section 2.3, RFC 9882 section 3.3). The first one is the default.
 */
const pureSignatures = new Map<string, { name: OidName; digests: string[] }>([
  ['ed25519', { name: 'ed25519', digests: ['sha512'] }],
  ['ed448', { name: 'ed448', digests: ['shake256'] }],
  ['ml-dsa-44', { name: 'ml-dsa-44', digests: ['sha512', 'sha384', 'sha256', 'sha3-512', 'shake256'] }],
  ['ml-dsa-65', { name: 'ml-dsa-65', digests: ['sha512', 'sha384', 'sha3-512', 'shake256'] }],
  ['ml-dsa-87', { name: 'ml-dsa-87', digests: ['sha512', 'sha3-512', 'shake256'] }],
]);

/** The AlgorithmIdentifier of the signatures that a key makes, and how it makes them. */
function signatureOf(
  signer: SignerOptions,
  info: DigestInfo,
): { algorithm: Buffer; signed(octets: Buffer): Buffer } {
  const { privateKey: key, certificate } = signer;
  const type = key.asymmetricKeyType;
  const by = (algorithm: Buffer, make: (octets: Buffer) => Buffer) => ({
    algorithm,
    signed(octets: Buffer) {
      try {
        return make(octets);
      } catch (cause) {
        throw new SealpostError('encode-signer', `the key of ${certificate.subject} cannot sign`, { cause });
      }
    },
  });
  const { publicKeyInfo } = certificate;
  const isPssOnly = type === 'rsa-pss' || publicKeyInfo.algorithm === oids.rsassaPss;
  const pss = isPssOnly || (type === 'rsa' && signer.pss === true);
  const saltLength = Math.max(info.octets, boundPss(publicKeyInfo)?.saltLength ?? 0);
  const scheme = pss ? 'rsa-pss' : 'rsa';
  if (!maySign(publicKeyInfo, scheme, { digest: info, mgfDigest: info, saltLength })) {
    throw new SealpostError(
      'encode-signer',
      `the certificate of ${certificate.subject} does not allow its key to sign in this way (RFC 4055)`,
      { hint: 'use an identity whose certificate is for signatures' },
    );
  }
  if (pss) {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return by(writePssAlgorithm(info, saltLength), (octets) =>
      sign(info.node, octets, { key, padding, saltLength }),
    );
  }
  if (type === 'rsa') {
    // rsaEncryption is what every reader since PKCS#7 knows (RFC 3370 section 3.2).
    const algorithm = writeAlgorithm(oids.rsaEncryption, der.nullValue());
    return by(algorithm, (octets) => sign(info.node, octets, key));
  }
  const pure = pureSignatures.get(type ?? '');
  if (pure?.digests.includes(info.name)) {
    return by(writeAlgorithm(oids[pure.name]), (octets) => sign(null, octets, key));
  }
  const names = type === 'ec' ? ecdsaNames : type === 'dsa' ? dsaNames : {};
  const name = names[info.name];
  if (name !== undefined) {
    // DER of r and s for both
    return by(writeAlgorithm(oids[name]), (octets) => sign(info.node, octets, key));
  }
  throw new SealpostError(
    'encode-signer',
    `no signature algorithm for a key of type ${type} with ${info.name}`,
  );
}
