import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { Cursor, content, oids, parse, tags } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { type Certificate, parseCertificate } from '../../src/pki/index.ts';
import { distinguishedName } from '../support/ca.ts';

/** DSA with its numbers at hand, which Node does not show. */
export interface DsaKey {
  p: bigint;
  q: bigint;
  g: bigint;
  x: bigint;
  y: bigint;
  privateKey: KeyObject;
}

const number = (octets: Buffer): bigint => BigInt(`0x${octets.toString('hex')}`);
const dsaWithSha256 = der.sequence(der.oid(oids.dsaWithSha256));

export function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let b = base % modulus, e = exponent; e > 0n; e >>= 1n, b = (b * b) % modulus)
    if (e & 1n) result = (result * b) % modulus;
  return result;
}

export function dsaKey(p: bigint, q: bigint, g: bigint, x: bigint): DsaKey {
  const info = der.sequence(
    der.integer(0),
    der.sequence(der.oid(oids.dsa), dsaParameters({ p, q, g })),
    der.octetString(der.integer(x)),
  );
  const privateKey = createPrivateKey({ key: info, format: 'der', type: 'pkcs8' });
  return { p, q, g, x, y: power(g, x, p), privateKey };
}

/** A new group of 1,024 bits, and a key in it. */
export function newDsaKey(): DsaKey {
  const { privateKey } = generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 });
  const cursor = new Cursor(parse(privateKey.export({ type: 'pkcs8', format: 'der' })));
  cursor.expect(tags.integer);
  const algorithm = new Cursor(cursor.expect(tags.sequence));
  algorithm.expect(tags.oid);
  const numbers = new Cursor(algorithm.expect(tags.sequence));
  const next = () => number(content(numbers.expect(tags.integer)));
  const [p, q, g] = [next(), next(), next()];
  const inner = parse(content(cursor.expect(tags.octetString)));
  return dsaKey(p, q, g, number(content(inner)));
}

export const dsaParameters = ({ p, q, g }: Pick<DsaKey, 'p' | 'q' | 'g'>): Buffer =>
  der.sequence(der.integer(p), der.integer(q), der.integer(g));

/** A certificate for a DSA key, with or without the parameters of its group. */
export function dsaCertificate(options: {
  subject: string;
  issuer: string;
  key: DsaKey;
  inherits?: boolean;
  signer: DsaKey;
  ca?: boolean;
  extensions?: Buffer[];
}): Certificate {
  const { subject, issuer, key, signer, inherits = false, ca = false } = options;
  const name = (text: string) => distinguishedName([[oids.commonName, text]]);
  const parameters = inherits ? [] : [dsaParameters(key)];
  const extensions = [...(ca ? [basicConstraints] : []), ...(options.extensions ?? [])];
  const tbs = der.sequence(
    der.explicit(0, der.integer(2)),
    der.integer(BigInt(++serial)),
    dsaWithSha256,
    name(issuer),
    der.sequence(der.time(new Date('2020-01-01T00:00:00Z')), der.time(new Date('2040-01-01T00:00:00Z'))),
    name(subject),
    der.sequence(der.sequence(der.oid(oids.dsa), ...parameters), der.bitString(der.integer(key.y))),
    ...(extensions.length > 0 ? [der.explicit(3, der.sequence(...extensions))] : []),
  );
  const signature = der.bitString(sign('sha256', tbs, signer.privateKey));
  return parseCertificate(der.sequence(tbs, dsaWithSha256, signature));
}

let serial = 1000;

const basicConstraints = der.sequence(
  der.oid(oids.basicConstraints),
  der.boolean(true),
  der.octetString(der.sequence(der.boolean(true))),
);

/** The key of a certificate's owner as somebody can make it who may choose the group: g is a power of y. */
export function forgedKey({ p, q, y }: DsaKey): DsaKey {
  const secret = 12_345_678_901_234_567_890n;
  return dsaKey(p, q, power(y, secret, p), power(secret, q - 2n, q));
}

/** `dsaWithSha256` over content without signed attributes. */
export const dsaSignature = (octets: Buffer, key: DsaKey): Buffer => sign('sha256', octets, key.privateKey);
