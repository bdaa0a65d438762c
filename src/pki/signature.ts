import { type KeyObject, verify } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  Cursor,
  oid,
  oids,
  parse,
  readAlgorithm,
  smallInteger,
  tags,
} from '../asn1/index.ts';
import type { KeyFamily } from './public-key.ts';

/** How a certificate, CRL or OCSP answer is signed. */
export interface SignatureScheme {
  /** Digest as Node names it; null where the scheme has its own (EdDSA, ML-DSA). */
  digest: string | null;
  family: KeyFamily;
  /** Octets of salt, for RSASSA-PSS. */
  saltLength?: number;
}

const digests = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const;

const schemes = new Map<string, SignatureScheme>([
  [oids.md5WithRSAEncryption, { digest: 'md5', family: 'rsa' }],
  [oids.sha1WithRSAEncryption, { digest: 'sha1', family: 'rsa' }],
  [oids.sha1WithRSASignature, { digest: 'sha1', family: 'rsa' }],
  [oids.sha224WithRSAEncryption, { digest: 'sha224', family: 'rsa' }],
  [oids.sha256WithRSAEncryption, { digest: 'sha256', family: 'rsa' }],
  [oids.sha384WithRSAEncryption, { digest: 'sha384', family: 'rsa' }],
  [oids.sha512WithRSAEncryption, { digest: 'sha512', family: 'rsa' }],
  [oids['rsa-with-sha3-256'], { digest: 'sha3-256', family: 'rsa' }],
  [oids['rsa-with-sha3-384'], { digest: 'sha3-384', family: 'rsa' }],
  [oids['rsa-with-sha3-512'], { digest: 'sha3-512', family: 'rsa' }],
  [oids.dsaWithSha1, { digest: 'sha1', family: 'dsa' }],
  [oids.dsaWithSha224, { digest: 'sha224', family: 'dsa' }],
  [oids.dsaWithSha256, { digest: 'sha256', family: 'dsa' }],
  [oids.dsaWithSha384, { digest: 'sha384', family: 'dsa' }],
  [oids.dsaWithSha512, { digest: 'sha512', family: 'dsa' }],
  [oids.ecdsaWithSha1, { digest: 'sha1', family: 'ec' }],
  [oids.ecdsaWithSha224, { digest: 'sha224', family: 'ec' }],
  [oids.ecdsaWithSha256, { digest: 'sha256', family: 'ec' }],
  [oids.ecdsaWithSha384, { digest: 'sha384', family: 'ec' }],
  [oids.ecdsaWithSha512, { digest: 'sha512', family: 'ec' }],
  [oids['ecdsa-with-sha3-256'], { digest: 'sha3-256', family: 'ec' }],
  [oids['ecdsa-with-sha3-384'], { digest: 'sha3-384', family: 'ec' }],
  [oids['ecdsa-with-sha3-512'], { digest: 'sha3-512', family: 'ec' }],
  [oids.ed25519, { digest: null, family: 'okp' }],
  [oids.ed448, { digest: null, family: 'okp' }],
  [oids['ml-dsa-44'], { digest: null, family: 'other' }],
  [oids['ml-dsa-65'], { digest: null, family: 'other' }],
  [oids['ml-dsa-87'], { digest: null, family: 'other' }],
]);

/** The scheme of an AlgorithmIdentifier, or undefined for one that is not supported (MD2 among them). */
export function signatureScheme(algorithm: AlgorithmIdentifier): SignatureScheme | undefined {
  return algorithm.oid === oids.rsassaPss ? pssScheme(algorithm.parameters) : schemes.get(algorithm.oid);
}

/**
 * `RSASSA-PSS-params` (RFC 4055 section 3.1). Node masks with the digest of the signature, and so does
 * everybody (RFC 4055 recommends it): other masks are not supported.
 */
function pssScheme(parameters: Buffer | undefined): SignatureScheme | undefined {
  if (parameters === undefined) return undefined;
  const cursor = new Cursor(parse(parameters));
  const hash = cursor.optional(2, 0);
  const mask = cursor.optional(2, 1);
  const salt = cursor.optional(2, 2);
  const digest = hash === undefined ? 'sha1' : digestName(new Cursor(hash));
  let maskDigest: string | undefined = 'sha1';
  if (mask !== undefined) {
    const algorithm = readAlgorithm(new Cursor(mask).expect(tags.sequence));
    if (algorithm.oid !== oids.mgf1 || algorithm.parameters === undefined) return undefined;
    maskDigest = nameOf(readAlgorithm(parse(algorithm.parameters)).oid);
  }
  if (digest === undefined || digest !== maskDigest) return undefined;
  const saltLength = salt === undefined ? 20 : smallInteger(new Cursor(salt).expect(tags.integer));
  return saltLength < 0 || saltLength > 1024 ? undefined : { digest, family: 'rsa', saltLength };
}

function digestName(cursor: Cursor): string | undefined {
  return nameOf(oid(new Cursor(cursor.expect(tags.sequence)).expect(tags.oid)));
}

function nameOf(type: string): string | undefined {
  return digests.find((name) => oids[name] === type);
}

/** OpenSSL's constants: RSA_PKCS1_PADDING and RSA_PKCS1_PSS_PADDING. */
const pkcs1Padding = 1;
const pssPadding = 6;

/** Checks a signature over octets as they stand; anything wrong with the key or the signature is false. */
export function verifySignature(
  scheme: SignatureScheme,
  data: Buffer,
  signature: Buffer,
  key: KeyObject,
): boolean {
  try {
    if (scheme.family !== 'rsa') return verify(scheme.digest, data, key, signature);
    const options =
      scheme.saltLength === undefined
        ? { padding: pkcs1Padding }
        : { padding: pssPadding, saltLength: scheme.saltLength };
    return verify(scheme.digest, data, { key, ...options }, signature);
  } catch {
    return false;
  }
}
