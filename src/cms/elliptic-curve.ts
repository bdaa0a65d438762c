import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { bitString, Cursor, der, oids, parse, tags } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { PublicKeyInfo } from '../pki/index.ts';
import { agreeWithCofactor, hasCofactor } from './cofactor.ts';
import { withoutStackTraces } from './native.ts';

/** ECDH and X25519 / X448: the sender's key is on the curve of the recipient's certificate. */
export function isCurveAgreement(algorithm: string): boolean {
  return algorithm === oids.ecPublicKey || algorithm === oids.x25519 || algorithm === oids.x448;
}

/** A public key of the same algorithm and curve as another one. OpenSSL checks that the point is on the curve. */
function samePublicKey(like: PublicKeyInfo, octets: Buffer): KeyObject {
  const algorithm = der.sequence(der.oid(like.algorithm), ...(like.parameters ? [like.parameters] : []));
  const key = der.sequence(algorithm, der.bitString(octets));
  return withoutStackTraces(() => createPublicKey({ key, format: 'der', type: 'spki' }));
}

/**
 * The shared secret.
 * @param own the certificate's key, which determines the curve
 * @param publicKey content of the originator's BIT STRING
 * @param withCofactor cofactor ECDH, which on most curves is the same
 * @throws Error for a point that is not on the curve, or the point at infinity (threats S5)
 */
export function agreeOnCurve(
  privateKey: KeyObject,
  own: PublicKeyInfo,
  publicKey: Buffer,
  withCofactor: boolean,
): Buffer {
  if (withCofactor) {
    const curve = privateKey.asymmetricKeyDetails?.namedCurve;
    if (hasCofactor(curve)) return agreeWithCofactor(privateKey, curve, publicKey);
  }
  return diffieHellman({ privateKey, publicKey: samePublicKey(own, publicKey) });
}

/** An ephemeral key on the curve of a certificate: the secret, and the content of the BIT STRING. */
export function agreeEphemeralOnCurve(certificateKey: KeyObject): { secret: Buffer; publicKey: Buffer } {
  const curve = curveOf(certificateKey);
  const { privateKey, publicKey } = ephemeral(certificateKey, curve);
  const secret = diffieHellman({ privateKey, publicKey: certificateKey });
  return { secret, publicKey: pointOf(publicKey, curve) };
}

/** Node looks a key's details up each time they are read. */
const knownCurves = new WeakMap<KeyObject, { readonly name: string | undefined }>();

function curveOf(key: KeyObject): string | undefined {
  let curve = knownCurves.get(key);
  if (curve === undefined) {
    curve = { name: key.asymmetricKeyDetails?.namedCurve };
    knownCurves.set(key, curve);
  }
  return curve.name;
}

/** Key types that node:crypto exports as JWK, which takes a third of the time of DER. */
const jwkCurves = ['prime256v1', 'secp384r1', 'secp521r1'];

/** Content of the BIT STRING of a public key. Points of a curve are uncompressed (SEC 1, section 2.3.3). */
function pointOf(key: KeyObject, curve: string | undefined): Buffer {
  if (curve === undefined || jwkCurves.includes(curve)) {
    const { x = '', y = '' } = key.export({ format: 'jwk' });
    const coordinates = [Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')];
    return curve === undefined
      ? Buffer.concat(coordinates)
      : Buffer.concat([Buffer.from([4]), ...coordinates]);
  }
  const info = new Cursor(parse(key.export({ type: 'spki', format: 'der' })));
  info.expect(tags.sequence);
  return Buffer.from(bitString(info.expect(tags.bitString)).octets);
}

function ephemeral(
  key: KeyObject,
  curve: string | undefined,
): { privateKey: KeyObject; publicKey: KeyObject } {
  if (key.asymmetricKeyType === 'x25519') return generateKeyPairSync('x25519');
  if (key.asymmetricKeyType === 'x448') return generateKeyPairSync('x448');
  if (curve === undefined) throw new SealpostError('encode-recipient', 'an EC key without a named curve');
  return generateKeyPairSync('ec', { namedCurve: curve });
}
