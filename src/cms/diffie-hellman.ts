import {
  constants,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  publicEncrypt,
} from 'node:crypto';
import {
  bitString,
  Cursor,
  der,
  type Element,
  integer,
  octetString,
  oid,
  oids,
  parse,
  raw,
  tags,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { PublicKeyInfo } from '../pki/index.ts';
import type { RandomBytes } from './ciphers.ts';
import { withoutStackTraces } from './native.ts';

/**
 * Finite-field Diffie-Hellman. Keys come as X9.42 (`dhPublicNumber`, with q) or PKCS#3 (`dhKeyAgreement`). Node's
 * `diffieHellman` takes only PKCS#3, so keys are re-encoded in that form. OpenSSL then knows q only for named groups
 * (RFC 5114, RFC 7919). For any other group, this file checks that a foreign value is in the subgroup of order q.
 */
export interface DhGroup {
  p: bigint;
  g: bigint;
  /** X9.42 only. */
  q: bigint | undefined;
}

/**
 * DomainParameters ::= SEQUENCE { p, g, q, j OPTIONAL, ... } (RFC 3279 section 2.3.3) or DHParameter ::= SEQUENCE { p,
 * g, length OPTIONAL }.
 */
export function readGroup(algorithm: string, parameters: Buffer): DhGroup {
  const cursor = new Cursor(parse(parameters));
  const p = integer(cursor.expect(tags.integer));
  const g = integer(cursor.expect(tags.integer));
  const q = algorithm === oids.dhPublicNumber ? integer(cursor.expect(tags.integer)) : undefined;
  if (p < 2n ** 511n || p >= 2n ** 16384n || g < 2n || g >= p) {
    throw new SealpostError('cms-unsupported', 'Diffie-Hellman parameters out of range');
  }
  return { p, g, q };
}

/** True for the public key algorithms of this file. */
export function isDiffieHellman(algorithm: string): boolean {
  return algorithm === oids.dhPublicNumber || algorithm === oids.dhKeyAgreement;
}

/** One of our keys, ready to agree. Made once for each KeyObject. */
interface OwnKey {
  group: DhGroup;
  key: KeyObject;
  /** Throws for a value outside the subgroup; undefined if there is no q, or if OpenSSL checks by itself. */
  requireMember: ((y: bigint) => void) | undefined;
}

const ownKeys = new WeakMap<KeyObject, OwnKey>();

function ownKey(privateKey: KeyObject): OwnKey {
  let own = ownKeys.get(privateKey);
  if (own === undefined) {
    // PrivateKeyInfo ::= SEQUENCE { version, algorithm SEQUENCE { OID, parameters }, privateKey OCTET STRING }
    const info = new Cursor(parse(privateKey.export({ type: 'pkcs8', format: 'der' })));
    info.expect(tags.integer);
    const algorithm = new Cursor(info.expect(tags.sequence));
    const dotted = oid(algorithm.expect(tags.oid));
    const group = readGroup(dotted, raw(algorithm.next()));
    const key = pkcs3Private(group, integer(parse(octetString(info.expect(tags.octetString)))));
    own = { group, key, requireMember: membership(group, key) };
    ownKeys.set(privateKey, own);
  }
  return own;
}

/** Makes the check for values of the group. `key` is one of the group's private keys. */
function membership(group: DhGroup, key: KeyObject): OwnKey['requireMember'] {
  const { q } = group;
  if (q === undefined) return undefined;
  const isMember = membershipTest(group, q);
  let foreign = 2n;
  while (foreign < 100n && isMember(foreign)) foreign += 1n;
  // OpenSSL knows the group and refuses values outside of it, so no second check is needed
  if (accepts(group, key, group.g) && !accepts(group, key, foreign)) return undefined;
  return (y) => {
    if (!isMember(y)) throw new Error('public value outside the subgroup');
  };
}

function accepts(group: DhGroup, privateKey: KeyObject, y: bigint): boolean {
  try {
    diffieHellman({ privateKey, publicKey: pkcs3Public(group, y) });
    return true;
  } catch {
    return false;
  }
}

/** y^q = 1 (mod p), computed by OpenSSL, ten times faster than with bigints. */
function membershipTest(group: DhGroup, q: bigint): (y: bigint) => boolean {
  if (bitsOf(group.p) <= largestRsaModulus) {
    // RSA's public operation is y^e mod n, and does not hide y, p and q, which are public
    const numbers = der.sequence(der.integer(group.p), der.integer(q));
    const algorithm = der.sequence(der.oid(oids.rsaEncryption), der.nullValue());
    const power = publicKeyOf(der.sequence(algorithm, der.bitString(numbers)));
    const padding = constants.RSA_NO_PADDING;
    const octets = octetsOf(group.p);
    return (y) => numberOf(publicEncrypt({ key: power, padding }, octetsFrom(y, octets))) === 1n;
  }
  // y^(q + 1) = y says the same
  const identity = pkcs3Private(group, q + 1n);
  return (y) => numberOf(diffieHellman({ privateKey: identity, publicKey: pkcs3Public(group, y) })) === y;
}

/** Above this size of the modulus, OpenSSL takes only RSA exponents up to 64 bits (OPENSSL_RSA_SMALL_MODULUS_BITS). */
const largestRsaModulus = 3072;

/**
 * The shared secret ZZ, as many octets as p has (RFC 2631 section 2.1.1).
 * @param publicValue the other side's y, an INTEGER in DER
 * @throws Error for a value out of range or outside the group of order q (RFC 2785, threats S5)
 */
export function agree(privateKey: KeyObject, publicValue: Buffer): Buffer {
  const { group, key, requireMember } = ownKey(privateKey);
  const y = integer(parse(publicValue));
  const { p } = group;
  if (y < 2n || y > p - 2n) throw new Error('public value out of range');
  requireMember?.(y);
  const secret = diffieHellman({ privateKey: key, publicKey: pkcs3Public(group, y) });
  return Buffer.concat([Buffer.alloc(octetsOf(p) - secret.length), secret]);
}

/** A recipient's group and public value, made once for each certificate. */
interface Peer {
  group: DhGroup;
  publicKey: KeyObject;
}

const peers = new WeakMap<PublicKeyInfo, Peer>();

function peerOf(recipient: PublicKeyInfo): Peer {
  let peer = peers.get(recipient);
  if (peer === undefined) {
    if (recipient.parameters === undefined) {
      throw new SealpostError('encode-recipient', 'a Diffie-Hellman certificate without parameters');
    }
    const group = readGroup(recipient.algorithm, recipient.parameters);
    const y = integer(parse(recipient.key));
    if (y < 2n || y > group.p - 2n) {
      throw new SealpostError('encode-recipient', 'a Diffie-Hellman public value out of range');
    }
    peer = { group, publicKey: pkcs3Public(group, y) };
    peers.set(recipient, peer);
  }
  return peer;
}

/** An ephemeral key for the group of a certificate: the secret, and the public value as an INTEGER in DER. */
export function agreeEphemeral(
  recipient: PublicKeyInfo,
  random: RandomBytes,
): { secret: Buffer; publicValue: Buffer } {
  const { group, publicKey } = peerOf(recipient);
  const order = group.q ?? (group.p - 1n) / 2n;
  const x = 2n + (BigInt(`0x${random(octetsOf(order) + 8).toString('hex')}`) % (order - 3n));
  const privateKey = pkcs3Private(group, x);
  const publicValue = publicValueOf(createPublicKey(privateKey));
  const secret = diffieHellman({ privateKey, publicKey });
  return { secret: Buffer.concat([Buffer.alloc(octetsOf(group.p) - secret.length), secret]), publicValue };
}

function publicValueOf(key: KeyObject): Buffer {
  const info = new Cursor(parse(key.export({ type: 'spki', format: 'der' })));
  info.expect(tags.sequence);
  const value: Element = info.expect(tags.bitString);
  return Buffer.from(bitString(value).octets);
}

function pkcs3Algorithm({ p, g }: DhGroup): Buffer {
  return der.sequence(der.oid(oids.dhKeyAgreement), der.sequence(der.integer(p), der.integer(g)));
}

function pkcs3Private(group: DhGroup, x: bigint): KeyObject {
  const key = der.sequence(der.integer(0), pkcs3Algorithm(group), der.octetString(der.integer(x)));
  return withoutStackTraces(() => createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
}

function pkcs3Public(group: DhGroup, y: bigint): KeyObject {
  return publicKeyOf(der.sequence(pkcs3Algorithm(group), der.bitString(der.integer(y))));
}

function publicKeyOf(key: Buffer): KeyObject {
  return withoutStackTraces(() => createPublicKey({ key, format: 'der', type: 'spki' }));
}

function octetsOf(value: bigint): number {
  return Math.ceil(value.toString(16).length / 2);
}

function numberOf(octets: Buffer): bigint {
  return BigInt(`0x${octets.toString('hex')}`);
}

function bitsOf(value: bigint): number {
  return value.toString(2).length;
}

function octetsFrom(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * length, '0'), 'hex');
}
