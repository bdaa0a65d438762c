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
import { digests, type SignatureInfo, signatureByOid } from './algorithms.ts';
import type { KeyFamily } from './public-key.ts';

/** How a certificate, CRL or OCSP answer is signed. */
export interface SignatureScheme {
  /** Digest by Node's name; null if the scheme has its own (EdDSA, ML-DSA). */
  digest: string | null;
  family: KeyFamily;
  /** Octets of salt, for RSASSA-PSS. */
  saltLength?: number;
}

const families: Readonly<Record<SignatureInfo['scheme'], KeyFamily>> = {
  rsa: 'rsa',
  'rsa-pss': 'rsa',
  dsa: 'dsa',
  ecdsa: 'ec',
  eddsa: 'okp',
  'ml-dsa': 'other',
};

/** The scheme of an AlgorithmIdentifier, or undefined for one that is not supported (MD2 among them). */
export function signatureScheme(algorithm: AlgorithmIdentifier): SignatureScheme | undefined {
  const info = signatureByOid.get(algorithm.oid);
  if (info === undefined) return undefined;
  const { scheme, digest } = info;
  if (scheme === 'rsa-pss') return pssScheme(algorithm.parameters);
  const family = families[scheme];
  if (scheme === 'eddsa' || scheme === 'ml-dsa') return { digest: null, family };
  // a key's algorithm alone says nothing of the digest
  return digest === undefined ? undefined : { digest, family };
}

/**
 * `RSASSA-PSS-params` (RFC 4055 section 3.1). Node uses the digest of the signature for the mask, as everybody does
 * (RFC 4055 recommends it). Other masks are not supported.
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

/** SHAKE makes its mask without MGF1 (RFC 8702); nobody signs certificates with it here. */
function nameOf(type: string): string | undefined {
  const name = digests.find((digest) => digest.oid === type)?.name;
  return name?.startsWith('shake') ? undefined : name;
}

/** OpenSSL's constants: RSA_PKCS1_PADDING and RSA_PKCS1_PSS_PADDING. */
const pkcs1Padding = 1;
const pssPadding = 6;

/** Verifies a signature over octets. Returns false for anything wrong with key or signature. */
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
