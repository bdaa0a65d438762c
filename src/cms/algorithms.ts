/**
 * Ciphers for content: what each is called here, its object identifier, sizes, name in node:crypto and strength, and
 * the names under which settings offer it. Pure data for every room: settings, presets and `require` read these rows,
 * and nothing else decides by OIDs or names of its own. To add a cipher of a known mode, add a row here.
 */
import { type OidName, oids } from '../asn1/oids.ts';
import { byName, byOid } from '../pki/algorithms.ts';

export {
  type DigestInfo,
  digestByName,
  digestByOid,
  digests,
  type SignatureInfo,
  type SignatureScheme,
  signatureByOid,
  signatures,
} from '../pki/algorithms.ts';

/**
 * `strong`: keys of 128 bits or more, and a stream cipher or blocks of 128 bits. `legacy`: not broken, but not meant
 * for new mail. `weak`: what it encrypts does not stay secret; sending with it needs `allowWeak`.
 */
export type CipherStrength = 'strong' | 'legacy' | 'weak';

/** A symmetric cipher for content (RFC 3370, 3565, 5084, 8103). */
export interface ContentCipherInfo {
  name: string;
  oid: string;
  mode: 'cbc' | 'gcm' | 'ccm' | 'poly1305';
  family: 'aes' | 'des3' | 'des' | 'rc2' | 'chacha20' | 'camellia' | 'cast5';
  /** Bits of the key that is transported. */
  keyBits: number;
  /** Octets of the initialization vector or nonce. */
  ivOctets: number;
  /** Name in node:crypto; undefined if our own code does it. */
  node: string | undefined;
  /** It authenticates what it encrypts, so it makes AuthEnvelopedData (RFC 5083). */
  aead: boolean;
  strength: CipherStrength;
  /** If it is weak: why, in words for the verdict. */
  weak: string | undefined;
  /** The names under which settings offer it for outbound mail; empty if it is only read. */
  settable: readonly string[];
}

type Row<Settable extends readonly string[]> = Omit<ContentCipherInfo, 'settable'> & { settable: Settable };

function cbc<const Settable extends readonly string[]>(
  cipher: Pick<ContentCipherInfo, 'name' | 'oid' | 'family' | 'keyBits' | 'ivOctets'> &
    Partial<Pick<ContentCipherInfo, 'strength' | 'weak' | 'node'>> & { settable: Settable },
): Row<Settable> {
  return { mode: 'cbc', aead: false, strength: 'strong', node: cipher.name, weak: undefined, ...cipher };
}

function aesCbc<const Name extends OidName>(name: Name, keyBits: number): Row<readonly [Name]> {
  return cbc({ name, oid: oids[name], family: 'aes', keyBits, ivOctets: 16, settable: [name] });
}

function camellia(keyBits: number, last: number): Row<readonly []> {
  const name = `camellia-${keyBits}-cbc`;
  const oid = `1.2.392.200011.61.1.1.1.${last}`;
  return cbc({ name, oid, family: 'camellia', keyBits, ivOctets: 16, settable: [] });
}

function aead<const Name extends OidName>(
  name: Name,
  mode: 'gcm' | 'ccm' | 'poly1305',
  keyBits: number,
): Row<readonly [Name]> {
  const family = mode === 'poly1305' ? 'chacha20' : 'aes';
  return {
    name,
    oid: oids[name],
    mode,
    family,
    keyBits,
    ivOctets: 12,
    node: name,
    aead: true,
    strength: 'strong',
    weak: undefined,
    settable: [name],
  };
}

/** In the order in which settings list them. */
const cipherRows = [
  aesCbc('aes-256-cbc', 256),
  aesCbc('aes-192-cbc', 192),
  aesCbc('aes-128-cbc', 128),
  aead('aes-256-gcm', 'gcm', 256),
  aead('aes-192-gcm', 'gcm', 192),
  aead('aes-128-gcm', 'gcm', 128),
  aead('aes-256-ccm', 'ccm', 256),
  aead('aes-192-ccm', 'ccm', 192),
  aead('aes-128-ccm', 'ccm', 128),
  aead('chacha20-poly1305', 'poly1305', 256),
  cbc({
    name: 'des-ede3-cbc',
    oid: oids['des-ede3-cbc'],
    family: 'des3',
    keyBits: 192,
    ivOctets: 8,
    strength: 'legacy',
    settable: ['des-ede3-cbc'],
  }),
  cbc({
    name: 'des-cbc',
    oid: oids['des-cbc'],
    family: 'des',
    keyBits: 64,
    ivOctets: 8,
    strength: 'weak',
    weak: 'DES has keys of 56 bits',
    settable: ['des-cbc'],
  }),
  // RC2 keys have any length; the default is 128.
  cbc({
    name: 'rc2-cbc',
    oid: oids['rc2-cbc'],
    family: 'rc2',
    keyBits: 128,
    ivOctets: 8,
    node: undefined,
    strength: 'weak',
    weak: 'RC2 is broken in practice: 64-bit blocks and often short keys',
    settable: ['rc2-128-cbc', 'rc2-64-cbc', 'rc2-40-cbc'],
  }),
  // RFC 3657, RFC 2984: read if OpenSSL supports them
  camellia(128, 2),
  camellia(192, 3),
  camellia(256, 4),
  cbc({
    name: 'cast5-cbc',
    oid: '1.2.840.113533.7.66.10',
    family: 'cast5',
    keyBits: 128,
    ivOctets: 8,
    strength: 'weak',
    weak: 'CAST5 has blocks of 64 bits',
    settable: [],
  }),
];

export const contentCiphers: readonly ContentCipherInfo[] = cipherRows;

/** A name under which settings choose a content cipher. */
export type ContentEncryption = (typeof cipherRows)[number]['settable'][number];

export const contentEncryptions: readonly ContentEncryption[] = cipherRows.flatMap(
  ({ settable }): readonly ContentEncryption[] => settable,
);

export const contentCipherByOid: ReadonlyMap<string, ContentCipherInfo> = byOid(contentCiphers);
/** By its own name, as in the verdict. */
export const contentCipherByName: ReadonlyMap<string, ContentCipherInfo> = byName(contentCiphers);

const bySetting = new Map(
  contentCiphers.flatMap((info) => info.settable.map((name) => [name, info] as const)),
);

/** By its own name or that of a setting. */
export function contentCipherOf(name: string): ContentCipherInfo | undefined {
  return contentCipherByName.get(name) ?? bySetting.get(name);
}

/** How a content encryption key is transported to an RSA key (RFC 3370 section 4.2, RFC 3560). */
export interface KeyTransportInfo {
  name: 'rsa' | 'rsa-oaep';
  oid: string;
}

export const keyTransportByOid: ReadonlyMap<string, KeyTransportInfo> = byOid([
  { name: 'rsa', oid: oids.rsaEncryption },
  { name: 'rsa-oaep', oid: oids.rsaesOaep },
]);
