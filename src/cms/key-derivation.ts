import { hash, hkdfSync } from 'node:crypto';
import { der, type OidName, oids } from '../asn1/index.ts';
import type { KeyWrap } from './key-wrap.ts';

/** What the OID of a key agreement says: the kind of agreement, the derivation and its digest. */
export interface KeyAgreementInfo {
  name: string;
  oid: string;
  /** `dh` is RFC 2631; the others are RFC 5753 and RFC 8418. */
  agreement: 'dh' | 'std' | 'cofactor';
  kdf: 'x942' | 'x963' | 'hkdf';
  digest: string;
}

function ecdh(name: OidName): KeyAgreementInfo {
  const [, agreement, kind] = name.split('-');
  const isHkdf = kind === 'hkdf';
  return {
    name,
    oid: oids[name],
    agreement: agreement === 'cofactorDH' ? 'cofactor' : 'std',
    kdf: isHkdf ? 'hkdf' : 'x963',
    digest: isHkdf ? (name.split('-')[3] ?? '') : (kind ?? '').replace('kdf', ''),
  };
}

const agreements: readonly KeyAgreementInfo[] = [
  { name: 'esdh', oid: oids.esdh, agreement: 'dh', kdf: 'x942', digest: 'sha1' },
  { name: 'ssdh', oid: oids.ssdh, agreement: 'dh', kdf: 'x942', digest: 'sha1' },
  ecdh('dhSinglePass-stdDH-sha1kdf'),
  ecdh('dhSinglePass-stdDH-sha224kdf'),
  ecdh('dhSinglePass-stdDH-sha256kdf'),
  ecdh('dhSinglePass-stdDH-sha384kdf'),
  ecdh('dhSinglePass-stdDH-sha512kdf'),
  ecdh('dhSinglePass-cofactorDH-sha1kdf'),
  ecdh('dhSinglePass-cofactorDH-sha224kdf'),
  ecdh('dhSinglePass-cofactorDH-sha256kdf'),
  ecdh('dhSinglePass-cofactorDH-sha384kdf'),
  ecdh('dhSinglePass-cofactorDH-sha512kdf'),
  ecdh('dhSinglePass-stdDH-hkdf-sha256'),
  ecdh('dhSinglePass-stdDH-hkdf-sha384'),
  ecdh('dhSinglePass-stdDH-hkdf-sha512'),
];

export const agreementByOid: ReadonlyMap<string, KeyAgreementInfo> = new Map(
  agreements.map((info) => [info.oid, info]),
);
export const agreementByName: ReadonlyMap<string, KeyAgreementInfo> = new Map(
  agreements.map((info) => [info.name, info]),
);

/** What both sides of a key agreement know. */
export interface KeyInputs {
  /** The shared secret Z (or ZZ). */
  secret: Buffer;
  wrap: KeyWrap;
  /** The wrap's AlgorithmIdentifier, unchanged because it is hashed. */
  wrapEncoded: Buffer;
  /** User keying material. */
  ukm: Buffer | undefined;
}

/** The key encryption key of a key agreement. */
export function deriveKek(info: KeyAgreementInfo, inputs: KeyInputs): Buffer {
  if (info.kdf === 'x942') return deriveX942(inputs);
  const shared = sharedInfo(inputs);
  const { keyOctets } = inputs.wrap;
  if (info.kdf === 'x963') return deriveX963(info.digest, inputs.secret, shared, keyOctets);
  // RFC 8418 section 2.2: the ukm, if present, is the salt, and it is in the SharedInfo too
  const salt = inputs.ukm ?? Buffer.alloc(0);
  return Buffer.from(hkdfSync(info.digest, inputs.secret, salt, shared, keyOctets));
}

/** The bits of the key encryption key, as in suppPubInfo. */
function keyBits(wrap: KeyWrap): Buffer {
  const bits = Buffer.alloc(4);
  bits.writeUInt32BE(wrap.keyOctets * 8);
  return bits;
}

/**
 * KM = H(ZZ || OtherInfo) with SHA-1 (RFC 2631 section 2.1.2); OtherInfo ::= SEQUENCE { keyInfo
 * SEQUENCE { algorithm OID, counter OCTET STRING }, partyAInfo [0] OPTIONAL, suppPubInfo [2] }.
 */
function deriveX942({ secret, wrap, ukm }: KeyInputs): Buffer {
  const partyA = ukm === undefined ? [] : [der.explicit(0, der.octetString(ukm))];
  return counted(wrap.keyOctets, 'sha1', (counter) => [
    secret,
    der.sequence(
      der.sequence(der.oid(wrap.oid), der.octetString(counter)),
      ...partyA,
      der.explicit(2, der.octetString(keyBits(wrap))),
    ),
  ]);
}

/** ECC-CMS-SharedInfo ::= SEQUENCE { keyInfo, entityUInfo [0] OPTIONAL, suppPubInfo [2] } (RFC 5753 section 7.2). */
function sharedInfo({ wrap, wrapEncoded, ukm }: KeyInputs): Buffer {
  const entity = ukm === undefined ? [] : [der.explicit(0, der.octetString(ukm))];
  return der.sequence(wrapEncoded, ...entity, der.explicit(2, der.octetString(keyBits(wrap))));
}

/** ANSI-X9.63-KDF (SEC 1 section 3.6.1). */
function deriveX963(digest: string, secret: Buffer, shared: Buffer, octets: number): Buffer {
  return counted(octets, digest, (counter) => [secret, counter, shared]);
}

function counted(octets: number, digest: string, input: (counter: Buffer) => Buffer[]): Buffer {
  const blocks: Buffer[] = [];
  let length = 0;
  for (let count = 1; length < octets; count++) {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(count);
    const block = hash(digest, Buffer.concat(input(counter)), 'buffer');
    blocks.push(block);
    length += block.length;
  }
  return Buffer.concat(blocks).subarray(0, octets);
}
