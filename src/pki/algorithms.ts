/**
 * Digests and signature algorithms: their names, object identifiers and names in node:crypto, why they are weak, and
 * which settings offer them. Pure data for every room.
 */
import { type OidName, oids } from '../asn1/oids.ts';

/** What settings choose a digest for: signatures, RSAES-OAEP, and the key derivation of ECDH, X25519 and X448. */
export type DigestUse = 'signature' | 'oaep' | 'key-agreement';

/** A digest (RFC 3370, 5754, 8702). */
export interface DigestInfo {
  name: string;
  oid: string;
  /** Name in node:crypto. */
  node: string;
  octets: number;
  /** If it is weak: why, in words for the verdict. */
  weak: string | undefined;
  /** The uses for which settings offer it. */
  settable: readonly DigestUse[];
}

function digest<const Name extends OidName, const Uses extends readonly DigestUse[] = readonly []>(
  name: Name,
  octets: number,
  { settable, weak }: { settable?: Uses; weak?: string } = {},
) {
  return { name, oid: oids[name], node: name, octets, weak, settable: settable ?? ([] as const) };
}

const everywhere = ['signature', 'oaep', 'key-agreement'] as const;

/** Preferred ones first, in the order of the settings. */
const digestRows = [
  digest('sha256', 32, { settable: everywhere }),
  digest('sha384', 48, { settable: everywhere }),
  digest('sha512', 64, { settable: everywhere }),
  digest('sha224', 28, { settable: ['key-agreement'] }),
  digest('sha512-224', 28),
  digest('sha512-256', 32),
  digest('sha3-224', 28),
  digest('sha3-256', 32),
  digest('sha3-384', 48),
  digest('sha3-512', 64),
  digest('shake128', 32),
  digest('shake256', 64),
  digest('sha1', 20, { settable: everywhere, weak: 'SHA-1 is open to collisions' }),
  digest('md5', 16, { weak: 'MD5 is broken' }),
  digest('ripemd160', 20, { weak: 'RIPEMD-160 has 160 bits only' }),
];
type DigestRow = (typeof digestRows)[number];

export const digests: readonly DigestInfo[] = digestRows;

/** Names of digests that the settings offer for a use. */
export type DigestFor<Use extends DigestUse> = DigestRow extends infer Row
  ? Row extends { readonly name: infer Name; readonly settable: readonly (infer Uses)[] }
    ? Use extends Uses
      ? Name
      : never
    : never
  : never;

export function digestsFor<Use extends DigestUse>(use: Use): readonly DigestFor<Use>[] {
  return digestRows
    .filter(({ settable }) => (settable as readonly DigestUse[]).includes(use))
    .map(({ name }) => name as DigestFor<Use>);
}

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

/** Digests of the HMACs that PBKDF2 may name, by object identifier (RFC 8018 appendix B.1). */
export const hmacDigests: ReadonlyMap<string, string> = new Map([
  [oids.hmacWithSha1, 'sha1'],
  [oids.hmacWithSha224, 'sha224'],
  [oids.hmacWithSha256, 'sha256'],
  [oids.hmacWithSha384, 'sha384'],
  [oids.hmacWithSha512, 'sha512'],
]);

export function byOid<T extends { oid: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((entry) => [entry.oid, entry]));
}

export function byName<T extends { name: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((entry) => [entry.name, entry]));
}

export const signatureByOid: ReadonlyMap<string, SignatureInfo> = byOid(signatures);
export const digestByName: ReadonlyMap<string, DigestInfo> = byName(digests);

const digestsByOid = byOid(digests);

/** id-shake256-len (RFC 8419 section 2.3). The length beside it is that of Ed448, 512 bits. Bouncy Castle writes it. */
const shake256Len = '2.16.840.1.101.3.4.2.18';

/**
 * The digest that an OID names. Some signers write the OID of a signature algorithm (sha1WithRSAEncryption) in place of
 * a digest. Their intent is clear, so it is accepted.
 */
export function digestByOid(oid: string): DigestInfo | undefined {
  const found = digestsByOid.get(oid);
  if (found !== undefined) return found;
  if (oid === shake256Len) return digestByName.get('shake256');
  const implied = signatureByOid.get(oid)?.digest;
  return implied === undefined ? undefined : digestByName.get(implied);
}
