import { type OidName, oids } from '../asn1/oids.ts';

/*
 * The one registry of algorithms: what a name means here, its object identifier, sizes, its name in
 * node:crypto, and why it is weak. Nothing else in this room decides by an OID of its own.
 */

/** A symmetric cipher for content (RFC 3370, 3565, 5084, 8103). */
export interface ContentCipherInfo {
  name: string;
  oid: string;
  mode: 'cbc' | 'gcm' | 'ccm' | 'poly1305';
  family: 'aes' | 'des3' | 'des' | 'rc2' | 'chacha20' | 'camellia' | 'cast5';
  /** Bits of the key as it is transported. */
  keyBits: number;
  /** Octets of the initialization vector or nonce. */
  ivOctets: number;
  /** Name in node:crypto; undefined where own code is needed. */
  node: string | undefined;
  /** Why it is weak, in words for the verdict. */
  weak: string | undefined;
}

function cbc(
  name: string,
  oid: string,
  family: ContentCipherInfo['family'],
  keyBits: number,
  ivOctets: number,
  weak?: string,
): ContentCipherInfo {
  return { name, oid, mode: 'cbc', family, keyBits, ivOctets, node: name, weak };
}

function aead(name: OidName, mode: 'gcm' | 'ccm' | 'poly1305', keyBits: number): ContentCipherInfo {
  const family = mode === 'poly1305' ? 'chacha20' : 'aes';
  return { name, oid: oids[name], mode, family, keyBits, ivOctets: 12, node: name, weak: undefined };
}

const rc2Weak = 'RC2 is broken in practice: 64-bit blocks and often short keys';

export const contentCiphers: readonly ContentCipherInfo[] = [
  cbc('aes-128-cbc', oids['aes-128-cbc'], 'aes', 128, 16),
  cbc('aes-192-cbc', oids['aes-192-cbc'], 'aes', 192, 16),
  cbc('aes-256-cbc', oids['aes-256-cbc'], 'aes', 256, 16),
  cbc('des-ede3-cbc', oids['des-ede3-cbc'], 'des3', 192, 8),
  cbc('des-cbc', oids['des-cbc'], 'des', 64, 8, 'DES has keys of 56 bits'),
  // Keys of RC2 have any length; 128 is what is made when none is asked for.
  { ...cbc('rc2-cbc', oids['rc2-cbc'], 'rc2', 128, 8, rc2Weak), node: undefined },
  // RFC 3657, RFC 2984: read where OpenSSL has them
  cbc('camellia-128-cbc', '1.2.392.200011.61.1.1.1.2', 'camellia', 128, 16),
  cbc('camellia-192-cbc', '1.2.392.200011.61.1.1.1.3', 'camellia', 192, 16),
  cbc('camellia-256-cbc', '1.2.392.200011.61.1.1.1.4', 'camellia', 256, 16),
  cbc('cast5-cbc', '1.2.840.113533.7.66.10', 'cast5', 128, 8, 'CAST5 has blocks of 64 bits'),
  aead('aes-128-gcm', 'gcm', 128),
  aead('aes-192-gcm', 'gcm', 192),
  aead('aes-256-gcm', 'gcm', 256),
  aead('aes-128-ccm', 'ccm', 128),
  aead('aes-192-ccm', 'ccm', 192),
  aead('aes-256-ccm', 'ccm', 256),
  aead('chacha20-poly1305', 'poly1305', 256),
];

/** A digest (RFC 3370, 5754, 8702). */
export interface DigestInfo {
  name: string;
  oid: string;
  /** Name in node:crypto. */
  node: string;
  octets: number;
  weak: string | undefined;
}

function digest(name: OidName, octets: number, weak?: string): DigestInfo {
  return { name, oid: oids[name], node: name, octets, weak };
}

export const digests: readonly DigestInfo[] = [
  digest('sha256', 32),
  digest('sha384', 48),
  digest('sha512', 64),
  digest('sha224', 28),
  digest('sha512-224', 28),
  digest('sha512-256', 32),
  digest('sha3-224', 28),
  digest('sha3-256', 32),
  digest('sha3-384', 48),
  digest('sha3-512', 64),
  digest('shake128', 32),
  digest('shake256', 64),
  digest('sha1', 20, 'SHA-1 is open to collisions'),
  digest('md5', 16, 'MD5 is broken'),
  digest('ripemd160', 20, 'RIPEMD-160 has 160 bits only'),
];

export type SignatureScheme = 'rsa' | 'rsa-pss' | 'dsa' | 'ecdsa' | 'eddsa' | 'ml-dsa';

/** A signature algorithm; `digest` is undefined where digestAlgorithm or the parameters name it. */
export interface SignatureInfo {
  name: string;
  oid: string;
  scheme: SignatureScheme;
  digest: string | undefined;
}

function signature(name: OidName, scheme: SignatureScheme, digestName?: string): SignatureInfo {
  return { name, oid: oids[name], scheme, digest: digestName };
}

export const signatures: readonly SignatureInfo[] = [
  signature('rsaEncryption', 'rsa'),
  signature('md5WithRSAEncryption', 'rsa', 'md5'),
  signature('sha1WithRSAEncryption', 'rsa', 'sha1'),
  signature('sha1WithRSASignature', 'rsa', 'sha1'),
  signature('sha224WithRSAEncryption', 'rsa', 'sha224'),
  signature('sha256WithRSAEncryption', 'rsa', 'sha256'),
  signature('sha384WithRSAEncryption', 'rsa', 'sha384'),
  signature('sha512WithRSAEncryption', 'rsa', 'sha512'),
  signature('sha512-224WithRSAEncryption', 'rsa', 'sha512-224'),
  signature('sha512-256WithRSAEncryption', 'rsa', 'sha512-256'),
  signature('rsa-with-sha3-224', 'rsa', 'sha3-224'),
  signature('rsa-with-sha3-256', 'rsa', 'sha3-256'),
  signature('rsa-with-sha3-384', 'rsa', 'sha3-384'),
  signature('rsa-with-sha3-512', 'rsa', 'sha3-512'),
  signature('rsassaPss', 'rsa-pss'),
  signature('dsa', 'dsa'),
  signature('dsaWithSha1', 'dsa', 'sha1'),
  signature('dsaWithSha224', 'dsa', 'sha224'),
  signature('dsaWithSha256', 'dsa', 'sha256'),
  signature('dsaWithSha384', 'dsa', 'sha384'),
  signature('dsaWithSha512', 'dsa', 'sha512'),
  signature('ecPublicKey', 'ecdsa'),
  signature('ecdsaWithSha1', 'ecdsa', 'sha1'),
  signature('ecdsaWithSha224', 'ecdsa', 'sha224'),
  signature('ecdsaWithSha256', 'ecdsa', 'sha256'),
  signature('ecdsaWithSha384', 'ecdsa', 'sha384'),
  signature('ecdsaWithSha512', 'ecdsa', 'sha512'),
  signature('ecdsa-with-sha3-224', 'ecdsa', 'sha3-224'),
  signature('ecdsa-with-sha3-256', 'ecdsa', 'sha3-256'),
  signature('ecdsa-with-sha3-384', 'ecdsa', 'sha3-384'),
  signature('ecdsa-with-sha3-512', 'ecdsa', 'sha3-512'),
  signature('ed25519', 'eddsa'),
  signature('ed448', 'eddsa'),
  signature('ml-dsa-44', 'ml-dsa'),
  signature('ml-dsa-65', 'ml-dsa'),
  signature('ml-dsa-87', 'ml-dsa'),
];

/** How a content encryption key is transported to an RSA key (RFC 3370 section 4.2, RFC 3560). */
export interface KeyTransportInfo {
  name: 'rsa' | 'rsa-oaep';
  oid: string;
}

export const keyTransports: readonly KeyTransportInfo[] = [
  { name: 'rsa', oid: oids.rsaEncryption },
  { name: 'rsa-oaep', oid: oids.rsaesOaep },
];

function byOid<T extends { oid: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((entry) => [entry.oid, entry]));
}

function byName<T extends { name: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((entry) => [entry.name, entry]));
}

export const contentCipherByOid: ReadonlyMap<string, ContentCipherInfo> = byOid(contentCiphers);
export const contentCipherByName: ReadonlyMap<string, ContentCipherInfo> = byName(contentCiphers);
export const signatureByOid: ReadonlyMap<string, SignatureInfo> = byOid(signatures);
export const keyTransportByOid: ReadonlyMap<string, KeyTransportInfo> = byOid(keyTransports);
export const digestByName: ReadonlyMap<string, DigestInfo> = byName(digests);

const digestsByOid = byOid(digests);

/** id-shake256-len (RFC 8419 section 2.3): the length beside it is that of Ed448, 512 bits. Bouncy Castle writes it. */
const shake256Len = '2.16.840.1.101.3.4.2.18';

/**
 * The digest that an OID names. Some signers write a signature OID (sha1WithRSAEncryption) where
 * a digest should be; what they mean is clear, so that is read too.
 */
export function digestByOid(oid: string): DigestInfo | undefined {
  const found = digestsByOid.get(oid);
  if (found !== undefined) return found;
  if (oid === shake256Len) return digestByName.get('shake256');
  const implied = signatureByOid.get(oid)?.digest;
  return implied === undefined ? undefined : digestByName.get(implied);
}
