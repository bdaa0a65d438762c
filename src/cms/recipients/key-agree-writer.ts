import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { der, oids, writeAlgorithm } from '../../asn1/index.ts';
import { SealpostError } from '../../errors.ts';
import type { Certificate } from '../../pki/index.ts';
import { writeIssuerAndSerial } from '../certificate-identifier.ts';
import type { FreshEncryption, RandomBytes } from '../ciphers.ts';
import { agreeEphemeral, isDiffieHellman } from '../diffie-hellman.ts';
import { agreeEphemeralOnCurve, isCurveAgreement } from '../elliptic-curve.ts';
import { keyIdentifierOf } from '../identity.ts';
import { agreementByName, deriveKek } from '../key-derivation.ts';
import { keyWrapByName, wrapFor } from '../key-wrap.ts';

export interface KeyAgreeOptions {
  certificate: Certificate;
  /** Digest of the derivation for ECDH. Default: `sha256`. Diffie-Hellman always uses SHA-1. */
  digest?: string;
  /** HKDF (RFC 8418) instead of X9.63: the default for X25519 and X448, and only possible for them. */
  hkdf?: boolean;
  /** Name of the key wrap (`aes-256-wrap`, `des-ede3-wrap`, `rc2-128-wrap`). Default: what suits the cipher. */
  wrap?: string;
  /** User keying material. Diffie-Hellman takes 64 octets. */
  ukm?: Buffer;
  /** Name the certificate by its subject key identifier instead of issuer and serial number. */
  bySubjectKeyIdentifier?: boolean;
}

/** True if the certificate's key is for key agreement. */
export function agreesKeys(certificate: Certificate): boolean {
  const { algorithm } = certificate.publicKeyInfo;
  return isDiffieHellman(algorithm) || isCurveAgreement(algorithm);
}

/**
 * A KeyAgreeRecipientInfo with an ephemeral key, in DER.
 * @throws SealpostError `encode-recipient` if the certificate's key cannot agree
 */
export function writeKeyAgree(
  fresh: FreshEncryption,
  options: KeyAgreeOptions,
  random: RandomBytes = nodeRandomBytes,
): Buffer {
  const { certificate, ukm } = options;
  const { algorithm } = certificate.publicKeyInfo;
  const wrap = options.wrap === undefined ? wrapFor(fresh.encryption) : keyWrapByName(options.wrap);
  const isDh = isDiffieHellman(algorithm);
  const info = agreementByName.get(isDh ? 'esdh' : curveAgreement(algorithm, options));
  if (info === undefined)
    throw new SealpostError('cms-unsupported', `no key agreement with ${options.digest}`);
  const { secret, originator } = isDh ? agreeDh(certificate, random) : agreeCurve(certificate);
  const kek = deriveKek(info, { secret, wrap, wrapEncoded: wrap.encoded, ukm });
  const bySki = options.bySubjectKeyIdentifier === true;
  const identifier = bySki
    ? der.implicit(0, true, der.octetString(keyIdentifierOf(certificate)))
    : writeIssuerAndSerial(certificate);
  return der.implicit(
    1,
    true,
    der.integer(3),
    der.explicit(0, der.implicit(1, true, originator)),
    ...(ukm === undefined ? [] : [der.explicit(1, der.octetString(ukm))]),
    writeAlgorithm(info.oid, wrap.encoded),
    der.sequence(der.sequence(identifier, der.octetString(wrap.wrap(kek, fresh.key, random)))),
  );
}

function curveAgreement(algorithm: string, { digest = 'sha256', hkdf }: KeyAgreeOptions): string {
  // RFC 8418 section 2: HKDF is for the Montgomery curves, which may use X9.63 too
  const useHkdf = hkdf ?? algorithm !== oids.ecPublicKey;
  return useHkdf ? `dhSinglePass-stdDH-hkdf-${digest}` : `dhSinglePass-stdDH-${digest}kdf`;
}

/** The secret, and OriginatorPublicKey's parts: `algorithm AlgorithmIdentifier, publicKey BIT STRING`. */
interface Agreed {
  secret: Buffer;
  originator: Buffer;
}

/** Parameters stay absent: OpenSSL refuses them, and every reader has those of its own certificate. */
function agreeDh(certificate: Certificate, random: RandomBytes): Agreed {
  const { secret, publicValue } = agreeEphemeral(certificate.publicKeyInfo, random);
  return {
    secret,
    originator: Buffer.concat([writeAlgorithm(oids.dhPublicNumber), der.bitString(publicValue)]),
  };
}

function agreeCurve(certificate: Certificate): Agreed {
  const { secret, publicKey } = agreeEphemeralOnCurve(certificate.publicKey);
  const { algorithm } = certificate.publicKeyInfo;
  return { secret, originator: Buffer.concat([writeAlgorithm(algorithm), der.bitString(publicKey)]) };
}
