import { type KeyObject, verify } from 'node:crypto';
import type { AlgorithmIdentifier } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { type SignatureInfo, signatureByOid } from './algorithms.ts';
import { readPssParameters } from './pss-parameters.ts';
import type { KeyFamily } from './public-key.ts';

/** How a certificate, CRL or OCSP answer is signed. */
export interface SignatureScheme {
  /** Digest by Node's name; null if the scheme has its own (EdDSA, ML-DSA). */
  digest: string | null;
  family: KeyFamily;
  /** For RSASSA-PSS: octets of salt. */
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

/** The scheme of an AlgorithmIdentifier; undefined if it is not supported (MD2 is not). */
export function signatureScheme(algorithm: AlgorithmIdentifier): SignatureScheme | undefined {
  const info = signatureByOid.get(algorithm.oid);
  if (info === undefined) return undefined;
  const { scheme, digest } = info;
  if (scheme === 'rsa-pss') return supportedOrNone(() => pssScheme(algorithm));
  const family = families[scheme];
  if (scheme === 'eddsa' || scheme === 'ml-dsa') return { digest: null, family };
  // the algorithm of a key alone says nothing about the digest
  return digest === undefined ? undefined : { digest, family };
}

/** A signature algorithm for people, such as `rsa-pss and sha256`; the object identifier of one that is not known. */
export function signatureText(algorithm: AlgorithmIdentifier): string {
  const info = signatureByOid.get(algorithm.oid);
  if (info === undefined) return algorithm.oid;
  const digest = signatureScheme(algorithm)?.digest ?? info.digest;
  return digest === undefined ? info.scheme : `${info.scheme} and ${digest}`;
}

/**
 * For the mask, Node uses the digest of the signature, as everybody does (RFC 4055 recommends it). Other masks are not
 * supported, and neither is SHAKE, which makes its mask without MGF1 (RFC 8702).
 */
function pssScheme(algorithm: AlgorithmIdentifier): SignatureScheme | undefined {
  if (algorithm.parameters === undefined) return undefined;
  const { digest, mgfDigest, saltLength } = readPssParameters(algorithm);
  const supported = digest === mgfDigest && !digest.name.startsWith('shake') && saltLength <= 1024;
  return supported ? { digest: digest.node, family: 'rsa', saltLength } : undefined;
}

/** Anything that is not a well-formed algorithm counts as an unknown one. */
function supportedOrNone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'cms-unsupported') return undefined;
    throw error;
  }
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
