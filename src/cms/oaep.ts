import { constants, createHash, type KeyObject } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  Cursor,
  content,
  der,
  type Element,
  oids,
  parametersOf,
  readAlgorithm,
  tags,
  writeAlgorithm,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { readMgf1 } from '../pki/index.ts';
import { type DigestInfo, digestByName, digestByOid } from './algorithms.ts';
import { privateDecrypt, publicEncrypt } from './native.ts';

/** RSAES-OAEP-params (RFC 3560, RFC 8017 appendix A.2.1). */
export interface OaepParameters {
  digest: DigestInfo;
  mgfDigest: DigestInfo;
  label: Buffer;
}

/** Digest names that the defaults stand for. */
function named(name: string): DigestInfo {
  const info = digestByName.get(name);
  if (info === undefined) throw new SealpostError('cms-unsupported', `there is no digest ${name}`);
  return info;
}

function known(algorithm: AlgorithmIdentifier): DigestInfo {
  const info = digestByOid(algorithm.oid);
  if (info === undefined) throw new SealpostError('cms-unsupported', `OAEP digest ${algorithm.oid}`);
  return info;
}

/** Reads the parameters. Absent ones mean SHA-1, MGF1 with SHA-1 and an empty label. */
export function readOaepParameters(algorithm: AlgorithmIdentifier): OaepParameters {
  const element = parametersOf(algorithm);
  const result = { digest: named('sha1'), mgfDigest: named('sha1'), label: Buffer.alloc(0) };
  if (element === undefined) return result;
  const cursor = new Cursor(element);
  const inside = (explicit: Element): Element => new Cursor(explicit).expect(tags.sequence);
  const hash = cursor.optional(2, 0);
  if (hash !== undefined) result.digest = known(readAlgorithm(inside(hash)));
  const mask = cursor.optional(2, 1);
  if (mask !== undefined) result.mgfDigest = readMgf1(readAlgorithm(inside(mask)));
  const source = cursor.optional(2, 2);
  if (source !== undefined) {
    const { oid, parameters } = readAlgorithm(inside(source));
    if (oid !== oids.pSpecified) throw new SealpostError('cms-unsupported', `OAEP label source ${oid}`);
    if (parameters !== undefined) result.label = Buffer.from(content(parametersElement(parameters)));
  }
  cursor.done();
  return result;
}

function parametersElement(parameters: Buffer): Element {
  const element = parametersOf({ oid: '', parameters });
  if (element === undefined || element.tag !== tags.octetString || element.constructed) {
    throw new SealpostError('cms-malformed', 'an OAEP label that is no OCTET STRING');
  }
  return element;
}

/** RSAES-OAEP-params in DER, which omits parts that have their default value. */
export function writeOaepParameters({ digest, mgfDigest, label }: OaepParameters): Buffer {
  const parts: Buffer[] = [];
  const hash = (info: DigestInfo): Buffer => writeAlgorithm(info.oid, der.nullValue());
  if (digest.name !== 'sha1') parts.push(der.explicit(0, hash(digest)));
  if (mgfDigest.name !== 'sha1') parts.push(der.explicit(1, writeAlgorithm(oids.mgf1, hash(mgfDigest))));
  if (label.length > 0) {
    parts.push(der.explicit(2, writeAlgorithm(oids.pSpecified, der.octetString(label))));
  }
  return der.sequence(...parts);
}

/** Encrypts with OAEP; MGF1 uses the same digest. */
export function oaepEncrypt(key: KeyObject, octets: Buffer, { digest, label }: OaepParameters): Buffer {
  return publicEncrypt(
    { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: digest.node, oaepLabel: label },
    octets,
  );
}

/**
 * Decrypts OAEP (RFC 8017 section 7.1.2). OpenSSL does it if both digests are the same. Node has no option for another
 * MGF1 digest, so that case is decoded here.
 * @throws Error that says nothing about what was wrong
 */
export function oaepDecrypt(key: KeyObject, octets: Buffer, parameters: OaepParameters): Buffer {
  const { digest, mgfDigest, label } = parameters;
  if (digest.name === mgfDigest.name) {
    return privateDecrypt(
      { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: digest.node, oaepLabel: label },
      octets,
    );
  }
  return unpad(privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, octets), parameters);
}

/** EME-OAEP decoding. All checks are combined before the result is used (Manger's attack). */
function unpad(encoded: Buffer, { digest, mgfDigest, label }: OaepParameters): Buffer {
  const size = digest.octets;
  if (encoded.length < 2 * size + 2) throw new Error('decoding error');
  const seed = encoded.subarray(1, 1 + size);
  const block = encoded.subarray(1 + size);
  xor(seed, mgf1(mgfDigest, block, size));
  xor(block, mgf1(mgfDigest, seed, block.length));
  const labelHash = createHash(digest.node).update(label).digest();
  let wrong = encoded[0] ?? 1;
  for (let at = 0; at < size; at++) wrong |= (block[at] ?? 0) ^ (labelHash[at] ?? 0);
  // the 01 octet after zeros: the whole block is scanned, whatever is found
  let found = 0;
  let start = 0;
  for (let at = size; at < block.length; at++) {
    const octet = block[at] ?? 0;
    const isOne = octet === 1 ? 1 : 0;
    const isZero = octet === 0 ? 1 : 0;
    start += isOne & (found ^ 1) ? at + 1 : 0;
    wrong |= (found ^ 1) & (isOne ^ 1) & (isZero ^ 1);
    found |= isOne;
  }
  if ((wrong | (found ^ 1)) !== 0) throw new Error('decoding error');
  return block.subarray(start);
}

/** MGF1 (RFC 8017 appendix B.2.1). */
export function mgf1(digest: DigestInfo, seed: Uint8Array, length: number): Buffer {
  const parts: Buffer[] = [];
  const counter = Buffer.alloc(4);
  for (let count = 0; count * digest.octets < length; count++) {
    counter.writeUInt32BE(count);
    parts.push(createHash(digest.node).update(seed).update(counter).digest());
  }
  return Buffer.concat(parts).subarray(0, length);
}

/** a = a xor b, in place. */
export function xor(a: Uint8Array, b: Uint8Array): void {
  for (let at = 0; at < a.length; at++) a[at] = (a[at] ?? 0) ^ (b[at] ?? 0);
}

/** The OAEP of a digest name, for writing. */
export function oaepOf(digestName: string, label: Buffer = Buffer.alloc(0)): OaepParameters {
  const digest = named(digestName);
  return { digest, mgfDigest: digest, label };
}
