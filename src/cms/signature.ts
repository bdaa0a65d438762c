import { constants, createHash, type KeyObject, verify } from 'node:crypto';
import { type AlgorithmIdentifier, der, writeAlgorithm } from '../asn1/index.ts';
import { type PssParameters, readPssParameters } from '../pki/index.ts';
import {
  type DigestInfo,
  digestByName,
  digestByOid,
  type SignatureInfo,
  signatureByOid,
} from './algorithms.ts';
import { publicDecrypt } from './native.ts';
import { verifyPss } from './pss.ts';
import type { SignatureReason } from './report.ts';

/** What was signed: its digest under the signer's digest algorithm, and the octets themselves if available. */
export interface SignedOctets {
  digest(info: DigestInfo): Buffer | undefined;
  octets: Buffer | undefined;
}

/** A signature algorithm whose parameters have been read. */
export interface SignatureAlgorithm {
  oid: string;
  name: string;
  info: SignatureInfo | undefined;
  pss: PssParameters | undefined;
  /** The digest that the algorithm itself names. */
  digest: DigestInfo | undefined;
}

/**
 * Reads a SignatureAlgorithmIdentifier. If it is the OID of a digest, as some old signers wrote, it means RSA.
 * @throws SealpostError for PSS parameters that are malformed or not supported
 */
export function readSignatureAlgorithm(algorithm: AlgorithmIdentifier): SignatureAlgorithm {
  const info = signatureByOid.get(algorithm.oid);
  const pss = info?.scheme === 'rsa-pss' ? readPssParameters(algorithm) : undefined;
  const named = info?.digest === undefined ? undefined : digestByName.get(info.digest);
  return {
    oid: algorithm.oid,
    name: info?.name ?? algorithm.oid,
    info,
    pss,
    digest: pss?.digest ?? named ?? (info === undefined ? digestByOid(algorithm.oid) : undefined),
  };
}

/**
 * Verifies one signature.
 * @param digest the digestAlgorithm of the SignerInfo
 */
export function verifySignature(
  key: KeyObject,
  algorithm: SignatureAlgorithm,
  digest: DigestInfo,
  signed: SignedOctets,
  signature: Buffer,
): SignatureReason {
  const type = key.asymmetricKeyType;
  const scheme = algorithm.info?.scheme ?? (type === 'rsa' ? 'rsa' : undefined);
  // The signature's own digest must be the one in the SignerInfo (RFC 6211 explains why), but the signature algorithm
  // determines what is hashed.
  const own = algorithm.digest ?? digest;
  try {
    switch (scheme) {
      case 'rsa':
        if (type !== 'rsa') return 'certificate-unusable';
        return outcome(signed.digest(own), (hash) => verifyPkcs1(key, own, hash, signature));
      case 'rsa-pss': {
        const { pss } = algorithm;
        if ((type !== 'rsa' && type !== 'rsa-pss') || pss === undefined) return 'certificate-unusable';
        return outcome(signed.digest(own), (hash) => verifyPss(key, hash, signature, pss));
      }
      case 'ecdsa':
        if (type !== 'ec') return 'certificate-unusable';
        return outcome(signed.octets, (octets) => verify(own.node, octets, key, signature));
      case 'dsa':
        if (type !== 'dsa') return 'certificate-unusable';
        return outcome(signed.octets, (octets) => verify(own.node, octets, key, signature));
      case 'eddsa':
        if (type !== 'ed25519' && type !== 'ed448') return 'certificate-unusable';
        return outcome(signed.octets, (octets) => verify(null, octets, key, signature));
      case 'ml-dsa':
        if (!type?.startsWith('ml-dsa')) return 'certificate-unusable';
        return outcome(signed.octets, (octets) => verify(null, octets, key, signature));
      default:
        return 'signature-unsupported';
    }
  } catch {
    // OpenSSL throws for a malformed signature
    return 'signature-mismatch';
  }
}

function outcome(input: Buffer | undefined, check: (input: Buffer) => boolean): SignatureReason {
  if (input === undefined) return 'digest-unsupported';
  return check(input) ? 'ok' : 'signature-mismatch';
}

/**
 * RSASSA-PKCS1-v1_5 over a digest (RFC 8017 section 8.2.2): the recovered DigestInfo is compared with the only two
 * possible encodings (section 9.2, note 1, and RFC 5754 section 3.2 on absent parameters), and never parsed, so that
 * nothing can hide in it (Bleichenbacher 2006).
 */
function verifyPkcs1(key: KeyObject, digest: DigestInfo, hash: Buffer, signature: Buffer): boolean {
  if (signature.length !== Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)) return false;
  const recovered = publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature);
  return [der.nullValue(), undefined].some((parameters) =>
    recovered.equals(der.sequence(writeAlgorithm(digest.oid, parameters), der.octetString(hash))),
  );
}

/** Octets in memory, as signed data. */
export function signedOctets(octets: Buffer): SignedOctets {
  return {
    octets,
    digest: (info) =>
      createHash(info.node, info.name.startsWith('shake') ? { outputLength: info.octets } : undefined)
        .update(octets)
        .digest(),
  };
}
