import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import {
  bitString,
  Cursor,
  type Element,
  integer,
  octetString,
  oid,
  oids,
  parse,
  raw,
  tags,
} from '../asn1/index.ts';
import * as der from '../asn1/writer.ts';
import { SealpostError } from '../errors.ts';
import type { PublicKeyInfo } from '../pki/public-key.ts';
import type { RandomBytes } from './ciphers.ts';
import { withoutStackTraces } from './stackless.ts';

/**
 * Finite-field Diffie-Hellman. Keys come as X9.42 (`dhPublicNumber`, with q) or PKCS#3
 * (`dhKeyAgreement`); node's `diffieHellman` takes only PKCS#3, so keys are written anew in that
 * form. It never sees q: that a foreign value lies in the group of order q is checked here.
 */
export interface DhGroup {
  p: bigint;
  g: bigint;
  /** X9.42 only. */
  q: bigint | undefined;
}

/** DomainParameters ::= SEQUENCE { p, g, q, j OPTIONAL, ... } (RFC 3279 section 2.3.3) or DHParameter ::= SEQUENCE { p, g, length OPTIONAL }. */
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

/** An own key, ready to agree: made once for each KeyObject. */
interface OwnKey {
  group: DhGroup;
  key: KeyObject;
  /** X9.42 only: the number q + 1 as a private key, which leaves the values of the subgroup as they are. */
  identity: KeyObject | undefined;
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
    const x = integer(parse(octetString(info.expect(tags.octetString))));
    const identity = group.q === undefined ? undefined : pkcs3Private(group, group.q + 1n);
    own = { group, key: pkcs3Private(group, x), identity };
    ownKeys.set(privateKey, own);
  }
  return own;
}

/**
 * The shared secret ZZ, as many octets as p has (RFC 2631 section 2.1.1).
 * @param publicValue the other side's y, an INTEGER in DER
 * @throws Error for a value out of range or outside the group of order q (RFC 2785, threats S5)
 */
export function agree(privateKey: KeyObject, publicValue: Buffer): Buffer {
  const { group, key, identity } = ownKey(privateKey);
  const y = integer(parse(publicValue));
  const { p } = group;
  if (y < 2n || y > p - 2n) throw new Error('public value out of range');
  const publicKey = pkcs3Public(group, y);
  // y^(q + 1) = y says the same as y^q = 1, and OpenSSL computes it ten times faster than bigints do
  if (identity !== undefined && numberOf(diffieHellman({ privateKey: identity, publicKey })) !== y) {
    throw new Error('public value outside the subgroup');
  }
  const secret = diffieHellman({ privateKey: key, publicKey });
  return Buffer.concat([Buffer.alloc(octetsOf(p) - secret.length), secret]);
}

/** An ephemeral key for the group of a certificate: the secret, and the public value as an INTEGER in DER. */
export function agreeEphemeral(
  recipient: PublicKeyInfo,
  random: RandomBytes,
): { secret: Buffer; publicValue: Buffer } {
  if (recipient.parameters === undefined) {
    throw new SealpostError('encode-recipient', 'a Diffie-Hellman certificate without parameters');
  }
  const group = readGroup(recipient.algorithm, recipient.parameters);
  const order = group.q ?? (group.p - 1n) / 2n;
  const x = 2n + (BigInt(`0x${random(octetsOf(order) + 8).toString('hex')}`) % (order - 3n));
  const privateKey = pkcs3Private(group, x);
  const publicValue = publicValueOf(createPublicKey(privateKey));
  const peer = integer(parse(recipient.key));
  if (peer < 2n || peer > group.p - 2n) {
    throw new SealpostError('encode-recipient', 'a Diffie-Hellman public value out of range');
  }
  const secret = diffieHellman({ privateKey, publicKey: pkcs3Public(group, peer) });
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
  const key = der.sequence(pkcs3Algorithm(group), der.bitString(der.integer(y)));
  return withoutStackTraces(() => createPublicKey({ key, format: 'der', type: 'spki' }));
}

function octetsOf(value: bigint): number {
  return Math.ceil(value.toString(16).length / 2);
}

function numberOf(octets: Buffer): bigint {
  return BigInt(`0x${octets.toString('hex')}`);
}
