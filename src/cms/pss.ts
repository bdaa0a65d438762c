import { constants, createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { Cursor, der, oids, parse, raw, tags, writeAlgorithm } from '../asn1/index.ts';
import type { PssParameters } from '../pki/index.ts';
import type { DigestInfo } from './algorithms.ts';
import { publicDecrypt } from './native.ts';
import { mgf1, xor } from './oaep.ts';

/** AlgorithmIdentifier of PSS with the same digest for hash and MGF1. */
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
 * RSASSA-PSS verification of a digest (RFC 8017 sections 8.1.2 and 9.1.2). Node verifies PSS only over the data itself,
 * and only with MGF1 on the same digest. Here the data is gone, and the digests may differ.
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

/** With a key marked id-RSASSA-PSS, OpenSSL only does complete PSS. The numbers of the key are the same. */
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
