import { createPublicKey, type KeyObject } from 'node:crypto';
import { bitString, Cursor, content, type Element, oid, oids, parse, raw, tags } from '../asn1/index.ts';
import * as der from '../asn1/writer.ts';
import { malformedCertificate, reading } from './malformed.ts';

/** `SubjectPublicKeyInfo ::= SEQUENCE { algorithm AlgorithmIdentifier, subjectPublicKey BIT STRING }` */
export interface PublicKeyInfo {
  der: Buffer;
  /** Dotted object identifier. */
  algorithm: string;
  /** The parameters element as it stands, undefined when absent. */
  parameters: Buffer | undefined;
  /** Content of the BIT STRING. */
  key: Buffer;
}

export function readPublicKeyInfo(element: Element): PublicKeyInfo {
  const cursor = new Cursor(element);
  const algorithm = readAlgorithm(cursor.expect(tags.sequence));
  const { octets } = bitString(cursor.expect(tags.bitString));
  cursor.done();
  return { der: raw(element), algorithm: algorithm.oid, parameters: algorithm.parameters, key: octets };
}

/** `AlgorithmIdentifier ::= SEQUENCE { algorithm OID, parameters ANY OPTIONAL }` (RFC 5280 section 4.1.1.2). */
export interface AlgorithmIdentifier {
  oid: string;
  /** The parameters element as it stands, undefined when absent. */
  parameters: Buffer | undefined;
  der: Buffer;
}

export function readAlgorithm(element: Element): AlgorithmIdentifier {
  const cursor = new Cursor(element);
  const type = oid(cursor.expect(tags.oid));
  const parameters = cursor.atEnd ? undefined : raw(cursor.next());
  cursor.done();
  return { oid: type, parameters, der: raw(element) };
}

const rsaAlgorithms: ReadonlySet<string> = new Set([oids.rsaEncryption, oids.rsassaPss, oids.rsaesOaep]);

/** RSA keys above this many bits are refused before any use: the cost grows with the cube (threats S8). */
export const largestRsa = 16_384;

const curveBits = new Map<string, number>([
  [oids.secp192r1, 192],
  [oids.secp224r1, 224],
  [oids.secp256r1, 256],
  [oids.secp256k1, 256],
  [oids.brainpoolP256r1, 256],
  [oids.brainpoolP384r1, 384],
  [oids.secp384r1, 384],
  [oids.brainpoolP512r1, 512],
  [oids.secp521r1, 521],
  [oids.ed25519, 256],
  [oids.x25519, 256],
  [oids.ed448, 456],
  [oids.x448, 448],
]);

export type KeyFamily = 'rsa' | 'dsa' | 'dh' | 'ec' | 'okp' | 'other';

/** What a key is and how large, from its octets alone: no arithmetic is done with it. */
export interface KeyFacts {
  family: KeyFamily;
  /** Bits of the modulus or of the curve; undefined when unknown. */
  bits: number | undefined;
}

export function keyFacts(info: PublicKeyInfo): KeyFacts {
  if (rsaAlgorithms.has(info.algorithm)) return { family: 'rsa', bits: bitsOfFirstInteger(info.key) };
  switch (info.algorithm) {
    case oids.dsa:
      return { family: 'dsa', bits: firstParameterBits(info.parameters) };
    case oids.dhPublicNumber:
    case oids.dhKeyAgreement:
      return { family: 'dh', bits: firstParameterBits(info.parameters) };
    case oids.ecPublicKey:
      return { family: 'ec', bits: curveBits.get(namedCurve(info) ?? '') };
    case oids.ed25519:
    case oids.ed448:
    case oids.x25519:
    case oids.x448:
      return { family: 'okp', bits: curveBits.get(info.algorithm) };
    default:
      return { family: 'other', bits: undefined };
  }
}

/** The curve of an EC key, undefined where its parameters are written out (forbidden by RFC 5480 section 2.1.1). */
export function namedCurve(info: PublicKeyInfo): string | undefined {
  if (info.algorithm !== oids.ecPublicKey || info.parameters === undefined) return undefined;
  const element = parse(info.parameters);
  return element.cls === 0 && element.tag === tags.oid ? oid(element) : undefined;
}

function firstParameterBits(parameters: Buffer | undefined): number | undefined {
  return parameters === undefined || parameters[0] !== 0x30 ? undefined : bitsOfFirstInteger(parameters);
}

function bitsOfFirstInteger(sequence: Buffer): number | undefined {
  const octets = content(new Cursor(parse(sequence)).expect(tags.integer));
  const first = octets.findIndex((octet) => octet !== 0);
  const high = octets[first];
  return high === undefined ? 0 : (octets.length - first) * 8 - Math.clz32(high) + 24;
}

/** True for a DSA key whose parameters are those of its issuer (RFC 3279 section 2.3.2). */
export function inheritsParameters(info: PublicKeyInfo): boolean {
  return info.algorithm === oids.dsa && (info.parameters === undefined || info.parameters[0] !== 0x30);
}

/**
 * The key as Node's object.
 * @param inherited DSA parameters of the issuer, for a key that has none of its own
 * @throws SealpostError `certificate-malformed` also for keys too large to use
 */
export function toKeyObject(info: PublicKeyInfo, inherited?: Buffer): KeyObject {
  return reading('public key', () => {
    const { family, bits } = keyFacts(info);
    if (family === 'rsa' && (bits ?? 0) > largestRsa) {
      throw malformedCertificate('public key', `an RSA key of ${bits} bits; the limit is ${largestRsa}`);
    }
    if (family === 'ec' && namedCurve(info) === undefined) {
      throw malformedCertificate('public key', 'an EC key with explicit curve parameters');
    }
    return createPublicKey({ key: usableSpki(info, inherited), format: 'der', type: 'spki' });
  });
}

/** Whether two keys are one, parameters included. */
export function sameKey(a: KeyObject, b: KeyObject): boolean {
  // Between kinds `equals` leaves an error behind in OpenSSL's queue, and the next DH key that is read
  // fails with it (Node 24.21).
  const type = a.asymmetricKeyType;
  return a === b || (type !== undefined && type === b.asymmetricKeyType && a.equals(b));
}

function usableSpki(info: PublicKeyInfo, inherited: Buffer | undefined): Buffer {
  if (inheritsParameters(info)) {
    if (inherited === undefined)
      throw malformedCertificate('public key', 'DSA parameters are left to the issuer');
    return der.sequence(der.sequence(der.oid(oids.dsa), inherited), der.bitString(info.key));
  }
  // OpenSSL knows no keys that are marked for OAEP alone (RFC 4055 section 4.1); the numbers are the same.
  if (info.algorithm === oids.rsaesOaep) {
    return der.sequence(der.sequence(der.oid(oids.rsaEncryption), der.nullValue()), der.bitString(info.key));
  }
  return info.der;
}
