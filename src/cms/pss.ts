import { constants, createHash, createPublicKey, type KeyObject } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  Cursor,
  der,
  type Element,
  oids,
  parametersOf,
  parse,
  raw,
  readAlgorithm,
  smallInteger,
  tags,
  writeAlgorithm,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { type DigestInfo, digestByName, digestByOid } from './algorithms.ts';
import { publicDecrypt } from './native.ts';
import { mgf1, readMgf1, xor } from './oaep.ts';

/** RSASSA-PSS-params (RFC 4056 section 3). */
export interface PssParameters {
  digest: DigestInfo;
  mgfDigest: DigestInfo;
  saltLength: number;
}

/** Reads the parameters; absent parts mean SHA-1, MGF1 with SHA-1 and a salt of 20 octets. */
export function readPssParameters(algorithm: AlgorithmIdentifier): PssParameters {
  const sha1 = digestByName.get('sha1');
  if (sha1 === undefined) throw new SealpostError('internal', 'the registry has no sha1');
  const result: PssParameters = { digest: sha1, mgfDigest: sha1, saltLength: 20 };
  const element = parametersOf(algorithm);
  if (element === undefined) return result;
  const cursor = new Cursor(element);
  const inside = (explicit: Element, tag: number): Element => new Cursor(explicit).expect(tag);
  const hash = cursor.optional(2, 0);
  if (hash !== undefined) {
    const { oid } = readAlgorithm(inside(hash, tags.sequence));
    const info = digestByOid(oid);
    if (info === undefined) throw new SealpostError('cms-unsupported', `PSS digest ${oid}`);
    result.digest = info;
  }
  const mask = cursor.optional(2, 1);
  if (mask !== undefined) result.mgfDigest = readMgf1(readAlgorithm(inside(mask, tags.sequence)));
  const salt = cursor.optional(2, 2);
  if (salt !== undefined) result.saltLength = smallInteger(inside(salt, tags.integer));
  const trailer = cursor.optional(2, 3);
  if (trailer !== undefined && smallInteger(inside(trailer, tags.integer)) !== 1) {
    throw new SealpostError('cms-unsupported', 'a PSS trailer field other than 1');
  }
  cursor.done();
  if (result.saltLength < 0 || result.saltLength > 2048) {
    throw new SealpostError('cms-malformed', `a PSS salt of ${result.saltLength} octets`);
  }
  return result;
}

/** AlgorithmIdentifier of PSS with the digest for hash and MGF1. */
export function writePssAlgorithm(digest: DigestInfo, saltLength: number): Buffer {
  const hash = writeAlgorithm(digest.oid, der.nullValue());
  return writeAlgorithm(
    oids.rsassaPss,
    der.sequence(
      der.explicit(0, hash),
      der.explicit(1, writeAlgorithm(oids.mgf1, hash)),
      der.explicit(2, der.integer(saltLength)),
    ),
  );
}

/**
 * RSASSA-PSS verification of a digest (RFC 8017 sections 8.1.2 and 9.1.2). Node verifies PSS only
 * over data, and only with MGF1 on the same digest; signatures here come with neither.
 */
export function verifyPss(
  key: KeyObject,
  digest: Buffer,
  signature: Buffer,
  parameters: PssParameters,
): boolean {
  const { digest: info, mgfDigest, saltLength } = parameters;
  const modulusBits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (signature.length !== Math.ceil(modulusBits / 8)) return false;
  const encodedBits = modulusBits - 1;
  const size = Math.ceil(encodedBits / 8);
  const whole = publicDecrypt({ key: plainKey(key), padding: constants.RSA_NO_PADDING }, signature);
  if (whole.subarray(0, whole.length - size).some((octet) => octet !== 0)) return false;
  const encoded = whole.subarray(whole.length - size);
  if (size < info.octets + saltLength + 2 || encoded.at(-1) !== 0xbc) return false;
  const masked = Buffer.from(encoded.subarray(0, size - info.octets - 1));
  const hash = encoded.subarray(size - info.octets - 1, size - 1);
  const unusedBits = 8 * size - encodedBits;
  const first = masked[0] ?? 0;
  if (unusedBits > 0 && first >> (8 - unusedBits) !== 0) return false;
  xor(masked, mgf1(mgfDigest, hash, masked.length));
  masked[0] = (masked[0] ?? 0) & (0xff >> unusedBits);
  const zeros = masked.length - saltLength - 1;
  if (masked.subarray(0, zeros).some((octet) => octet !== 0) || masked[zeros] !== 1) return false;
  const salt = masked.subarray(zeros + 1);
  const check = createHash(info.node).update(Buffer.alloc(8)).update(digest).update(salt).digest();
  return check.equals(hash);
}

/** With a key marked id-RSASSA-PSS, OpenSSL only does complete PSS; the numbers are the same. */
function plainKey(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'rsa-pss') return key;
  const info = new Cursor(parse(key.export({ type: 'spki', format: 'der' })));
  info.expect(tags.sequence);
  const spki = der.sequence(
    writeAlgorithm(oids.rsaEncryption, der.nullValue()),
    raw(info.expect(tags.bitString)),
  );
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}
