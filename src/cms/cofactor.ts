import { createECDH, type KeyObject } from 'node:crypto';
import { Cursor, octetString, parse, tags } from '../asn1/index.ts';

/** Order of the base point and cofactor of the curves of SEC 2 whose cofactor is not 1. */
const curves: Readonly<Record<string, readonly [order: bigint, cofactor: bigint]>> = {
  secp112r2: [0x36df0aafd8b8d7597ca10520d04bn, 4n],
  secp128r2: [0x3fffffff7fffffffbe0024720613b5a3n, 4n],
  sect113r1: [0x100000000000000d9ccec8a39e56fn, 2n],
  sect113r2: [0x10000000000000108789b2496af93n, 2n],
  sect131r1: [0x400000000000000023123953a9464b54dn, 2n],
  sect131r2: [0x400000000000000016954a233049ba98fn, 2n],
  sect163k1: [0x4000000000000000000020108a2e0cc0d99f8a5efn, 2n],
  sect163r1: [0x3ffffffffffffffffffff48aab689c29ca710279bn, 2n],
  sect163r2: [0x40000000000000000000292fe77e70c12a4234c33n, 2n],
  sect193r1: [0x1000000000000000000000000c7f34a778f443acc920eba49n, 2n],
  sect193r2: [0x10000000000000000000000015aab561b005413ccd4ee99d5n, 2n],
  sect233k1: [0x8000000000000000000000000000069d5bb915bcd46efb1ad5f173abdfn, 4n],
  sect233r1: [0x1000000000000000000000000000013e974e72f8a6922031d2603cfe0d7n, 2n],
  sect239k1: [0x2000000000000000000000000000005a79fec67cb6e91f1c1da800e478a5n, 4n],
  sect283k1: [0x1ffffffffffffffffffffffffffffffffffe9ae2ed07577265dff7f94451e061e163c61n, 4n],
  sect283r1: [0x3ffffffffffffffffffffffffffffffffffef90399660fc938a90165b042a7cefadb307n, 2n],
  sect409k1: [
    0x7ffffffffffffffffffffffffffffffffffffffffffffffffffe5f83b2d4ea20400ec4557d5ed3e3e7ca5b4b5c83b8e01e5fcfn,
    4n,
  ],
  sect409r1: [
    0x10000000000000000000000000000000000000000000000000001e2aad6a612f33307be5fa47c3c9e052f838164cd37d9a21173n,
    2n,
  ],
  sect571k1: [
    0x20000000000000000000000000000000000000000000000000000000000000000000000131850e1f19a63e4b391a8db917f4138b630d84be5d639381e91deb45cfe778f637c1001n,
    4n,
  ],
  sect571r1: [
    0x3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe661ce18ff55987308059b186823851ec7dd9ca1161de93d5174d66e8382e9bb2fe84e47n,
    2n,
  ],
};

/** True if cofactor ECDH differs from ECDH, as on all binary curves. */
export function hasCofactor(curve: string | undefined): curve is string {
  return curve !== undefined && curve in curves;
}

/**
 * The secret of cofactor ECDH (SEC 1 section 3.3.2, RFC 5753 section 3.1.1): the coordinate x of h * d * Q.
 * @param point Q, as in the originator's BIT STRING
 * @throws Error for a point that is not on the curve, or not in the subgroup of the base point (threats S5)
 */
export function agreeWithCofactor(privateKey: KeyObject, curve: string, point: Buffer): Buffer {
  const [order, cofactor] = curves[curve] ?? [1n, 1n];
  const times = (factor: bigint): Buffer => {
    const own = createECDH(curve);
    own.setPrivateKey(factor.toString(16).padStart(2 * Math.ceil(order.toString(16).length / 2), '0'), 'hex');
    return own.computeSecret(point);
  };
  // -Q has the same x as Q. Only then may h * d be reduced, because the reduction no longer cancels a point of small
  // order.
  const x = times(order - 1n);
  if (!x.equals(times(1n))) throw new Error('public point outside the subgroup');
  return times((cofactor * privateNumber(privateKey)) % order);
}

/** d of `ECPrivateKey ::= SEQUENCE { version, privateKey OCTET STRING, ... }` (RFC 5915) in its PKCS#8. */
function privateNumber(key: KeyObject): bigint {
  const info = new Cursor(parse(key.export({ type: 'pkcs8', format: 'der' })));
  info.expect(tags.integer);
  info.expect(tags.sequence);
  const inner = new Cursor(parse(octetString(info.expect(tags.octetString))));
  inner.expect(tags.integer);
  return BigInt(`0x${octetString(inner.expect(tags.octetString)).toString('hex')}`);
}
