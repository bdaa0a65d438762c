import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import {
  bitString,
  Cursor,
  content,
  der,
  type Element,
  oid,
  oids,
  parse,
  raw,
  readAlgorithm,
  tags,
} from '../asn1/index.ts';
import { malformedCertificate, reading } from './malformed.ts';

/** `SubjectPublicKeyInfo ::= SEQUENCE { algorithm AlgorithmIdentifier, subjectPublicKey BIT STRING }` */
export interface PublicKeyInfo {
  der: Buffer;
  /** Dotted object identifier. */
  algorithm: string;
  /** The parameters element as it stands; undefined if absent. */
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

const rsaAlgorithms: ReadonlySet<string> = new Set([oids.rsaEncryption, oids.rsassaPss, oids.rsaesOaep]);

/** RSA keys above this many bits are refused before any use, because the cost grows with the cube (threats S8). */
export const largestRsa = 16_384;
/** FIPS 186-4 ends at 3,072 bits. */
export const largestDsa = 4096;

/**
 * Bits of a public exponent: at most 256 (FIPS 186-5, section A.1.1), and 64 for a large modulus, as in OpenSSL
 * (OPENSSL_RSA_SMALL_MODULUS_BITS). 65,537 has 17. With an exponent as long as the modulus, each check would cost as
 * much as a private-key operation without CRT.
 */
export function largestExponent(modulusBits: number): number {
  return modulusBits > 3072 ? 64 : 256;
}

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

/** Kind and size of a key, read from its octets without any arithmetic. */
export interface KeyTraits {
  family: KeyFamily;
  /** Bits of the modulus or of the curve; undefined if unknown. */
  bits: number | undefined;
  /** RSA only: id-RSASSA-PSS is for signatures alone, id-RSAES-OAEP for encryption (RFC 4055 section 1.2). */
  onlyFor?: 'sign' | 'encrypt';
  /** RSA only: bits of the public exponent. */
  exponentBits?: number | undefined;
  /** RSA only: whether there are two positive numbers of a usual size and nothing else, which every library loads. */
  isPlain?: boolean;
}

const knownTraits = new WeakMap<PublicKeyInfo, KeyTraits>();

/** Read once per key, because our own certificates are asked with every message. */
export function keyTraits(info: PublicKeyInfo): KeyTraits {
  let traits = knownTraits.get(info);
  if (traits === undefined) {
    traits = readTraits(info);
    knownTraits.set(info, traits);
  }
  return traits;
}

function readTraits(info: PublicKeyInfo): KeyTraits {
  if (rsaAlgorithms.has(info.algorithm)) {
    // RSAPublicKey ::= SEQUENCE { modulus, publicExponent } (RFC 8017 appendix A.1.1)
    const numbers = new Cursor(parse(info.key));
    const [modulus, exponent] = [numberOf(numbers), numberOf(numbers)];
    const traits: KeyTraits = { family: 'rsa', bits: bitsOf(modulus), exponentBits: bitsOf(exponent) };
    if (info.algorithm === oids.rsassaPss) traits.onlyFor = 'sign';
    if (info.algorithm === oids.rsaesOaep) traits.onlyFor = 'encrypt';
    const isWhole = numbers.atEnd && info.parameters?.equals(nullParameters) === true;
    if (info.algorithm === oids.rsaEncryption && isWhole)
      traits.isPlain = isPlainNumber(modulus) && isPlainNumber(exponent) && oversized(traits) === undefined;
    return traits;
  }
  switch (info.algorithm) {
    case oids.dsa:
      return { family: 'dsa', bits: firstParameterBits(info.parameters) };
    case oids.dhPublicNumber:
    case oids.dhKeyAgreement:
      return { family: 'dh', bits: firstParameterBits(info.parameters) };
    case oids.ecPublicKey:
      return { family: 'ec', bits: bitsOfCurve(info) };
    case oids.ed25519:
    case oids.ed448:
    case oids.x25519:
    case oids.x448:
      return { family: 'okp', bits: curveBits.get(info.algorithm) };
    default:
      return { family: 'other', bits: undefined };
  }
}

/**
 * The size of a curve that is not in the table is derived from its points: a coordinate has the size of the field, and
 * the order is not larger. So sect113r1 and similar curves count as short.
 */
function bitsOfCurve(info: PublicKeyInfo): number | undefined {
  const curve = namedCurve(info);
  if (curve === undefined) return undefined;
  const isWhole = info.key[0] === 4 || info.key[0] === 6 || info.key[0] === 7;
  return curveBits.get(curve) ?? (8 * (info.key.length - 1)) / (isWhole ? 2 : 1);
}

/** The curve of an EC key, undefined for explicit parameters (forbidden by RFC 5480 section 2.1.1). */
export function namedCurve(info: PublicKeyInfo): string | undefined {
  if (info.algorithm !== oids.ecPublicKey || info.parameters === undefined) return undefined;
  const element = parse(info.parameters);
  return element.cls === 0 && element.tag === tags.oid ? oid(element) : undefined;
}

function firstParameterBits(parameters: Buffer | undefined): number | undefined {
  return parameters === undefined || parameters[0] !== 0x30
    ? undefined
    : bitsOf(numberOf(new Cursor(parse(parameters))));
}

const nullParameters = Buffer.from('0500', 'hex');

/** Octets of the INTEGER that comes next. */
const numberOf = (numbers: Cursor): Buffer => content(numbers.expect(tags.integer));

/** Odd, positive, and in the one form that DER has for it. */
function isPlainNumber(octets: Buffer): boolean {
  const [first = 0x80, second = 0] = octets;
  const isShortest = first > 0 || second >= 0x80;
  return first < 0x80 && isShortest && ((octets.at(-1) ?? 0) & 1) === 1;
}

/** Bits of an INTEGER, without its leading zeros. */
function bitsOf(octets: Buffer): number {
  const first = octets.findIndex((octet) => octet !== 0);
  const high = octets[first];
  return high === undefined ? 0 : (octets.length - first) * 8 - Math.clz32(high) + 24;
}

/** True for a DSA key whose parameters are those of its issuer (RFC 3279 section 2.3.2). */
export function inheritsParameters(info: PublicKeyInfo): boolean {
  return info.algorithm === oids.dsa && (info.parameters === undefined || info.parameters[0] !== 0x30);
}

/** Why a key is too large to compute with safely, in words; undefined if it is not. */
export function oversized({ family, bits = 0, exponentBits = 0 }: KeyTraits): string | undefined {
  const largest = family === 'dsa' ? largestDsa : largestRsa;
  if (family !== 'rsa' && family !== 'dsa' && family !== 'dh') return undefined;
  if (bits > largest) {
    return `${family === 'rsa' ? 'an' : 'a'} ${family.toUpperCase()} key of ${bits} bits; the limit is ${largest}`;
  }
  if (family !== 'rsa' || exponentBits <= largestExponent(bits)) return undefined;
  return `an RSA key with an exponent of ${exponentBits} bits; the limit is ${largestExponent(bits)}`;
}

/**
 * The key as Node's object.
 * @param inherited DSA parameters of the issuer, for a key that has none of its own
 * @throws SealpostError `certificate-malformed`, also for keys too large to use
 */
export function toKeyObject(info: PublicKeyInfo, inherited?: Buffer): KeyObject {
  return reading('public key', () => {
    const traits = keyTraits(info);
    const { family } = traits;
    const tooLarge = oversized(traits);
    if (tooLarge !== undefined) throw malformedCertificate('public key', tooLarge);
    if (family === 'ec' && namedCurve(info) === undefined) {
      throw malformedCertificate('public key', 'an EC key with explicit curve parameters');
    }
    return createPublicKey({ key: usableSpki(info, inherited), format: 'der', type: 'spki' });
  });
}

/**
 * SHA-256 of a public key in hex, without its algorithm identifier, so the same key under another algorithm gives the
 * same value.
 */
export function keyDigest({ publicKeyInfo }: { readonly publicKeyInfo: Pick<PublicKeyInfo, 'key'> }): string {
  return createHash('sha256').update(publicKeyInfo.key).digest('hex');
}

/** Whether two keys are the same, including parameters. */
export function sameKey(a: KeyObject, b: KeyObject): boolean {
  // For keys of different kinds, `equals` leaves an error in OpenSSL's queue, which makes reading the next DH key fail
  // (Node 24.21).
  const type = a.asymmetricKeyType;
  return a === b || (type !== undefined && type === b.asymmetricKeyType && a.equals(b));
}

function usableSpki(info: PublicKeyInfo, inherited: Buffer | undefined): Buffer {
  if (inheritsParameters(info)) {
    if (inherited === undefined)
      throw malformedCertificate('public key', 'DSA parameters are left to the issuer');
    return der.sequence(der.sequence(der.oid(oids.dsa), inherited), der.bitString(info.key));
  }
  // OpenSSL does not know keys marked for OAEP only (RFC 4055 section 4.1), but their numbers are the same
  if (info.algorithm === oids.rsaesOaep) {
    return der.sequence(der.sequence(der.oid(oids.rsaEncryption), der.nullValue()), der.bitString(info.key));
  }
  return info.der;
}
