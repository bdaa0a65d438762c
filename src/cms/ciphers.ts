import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  getCipherInfo,
  hkdfSync,
  randomBytes as nodeRandomBytes,
} from 'node:crypto';
import {
  type AlgorithmIdentifier,
  Cursor,
  content,
  der,
  oids,
  parametersOf,
  raw,
  readAlgorithm,
  smallInteger,
  tags,
  writeAlgorithm,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { type ContentCipherInfo, contentCipherByName, contentCipherByOid } from './algorithms.ts';
import { CcmEncryptor } from './ccm.ts';
import { keyText, rawKey } from './native.ts';
import { Rc2Cbc, rc2EffectiveBits, rc2Version } from './rc2.ts';

/** Encrypts or decrypts content. The ciphers of node:crypto have this shape. */
export interface ContentCipher {
  update(octets: Uint8Array): Buffer;
  final(): Buffer;
}

export type RandomBytes = (size: number) => Buffer;

/** A content cipher whose parameters have been read: what the verdict reports. */
export interface ContentEncryption {
  info: ContentCipherInfo;
  name: string;
  oid: string;
  /** Bits of the key that is transported. The effective bits of RC2 are separate. */
  keyBits: number;
  /** RC2 only. */
  effectiveBits: number | undefined;
  iv: Buffer;
  /** AEAD only: octets of the tag. */
  tagOctets: number | undefined;
  weak: string | undefined;
  /** RFC 9709: the AlgorithmIdentifier in DER from which the key is derived; undefined if the key is used unchanged. */
  derivation?: Buffer | undefined;
}

/**
 * Reads a ContentEncryptionAlgorithmIdentifier with its parameters (RFC 3370 section 5, RFC 3565, RFC 5084 section 3.2,
 * RFC 8103). If it derives the key (RFC 9709), the inner cipher counts.
 * @throws SealpostError `cms-unsupported` for an unknown algorithm, `cms-malformed` for bad parameters
 */
export function readContentEncryption(algorithm: AlgorithmIdentifier): ContentEncryption {
  if (algorithm.oid !== oids['cek-hkdf-sha256']) return readCipher(algorithm);
  const inner = parametersOf(algorithm);
  if (inner?.tag !== tags.sequence || inner.cls !== 0) throw badParameters('cek-hkdf-sha256');
  // The derivation uses the octets unchanged (RFC 9709 section 2).
  return { ...readCipher(readAlgorithm(inner)), derivation: raw(inner) };
}

function readCipher(algorithm: AlgorithmIdentifier): ContentEncryption {
  const info = contentCipherByOid.get(algorithm.oid);
  if (info === undefined) {
    throw new SealpostError('cms-unsupported', `content encryption algorithm ${algorithm.oid}`);
  }
  const common = { info, name: info.name, oid: info.oid, keyBits: info.keyBits, weak: info.weak };
  const parameters = parametersOf(algorithm);
  if (parameters === undefined) throw badParameters(info.name);
  if (info.mode === 'gcm' || info.mode === 'ccm') {
    // GCMParameters ::= SEQUENCE { aes-nonce OCTET STRING, aes-ICVlen INTEGER DEFAULT 12 }
    const cursor = new Cursor(parameters);
    const iv = content(cursor.expect(tags.octetString));
    const icv = cursor.optional(0, tags.integer);
    cursor.done();
    const tagOctets = icv === undefined ? 12 : smallInteger(icv);
    checkAead(info, iv, tagOctets);
    return { ...common, effectiveBits: undefined, iv, tagOctets };
  }
  if (info.family === 'rc2' && parameters.tag === tags.sequence) {
    // RC2CBCParameter ::= SEQUENCE { rc2ParameterVersion INTEGER, iv OCTET STRING } (RFC 3370 section 5.2)
    const cursor = new Cursor(parameters);
    const effectiveBits = rc2EffectiveBits(smallInteger(cursor.expect(tags.integer)));
    const iv = content(cursor.expect(tags.octetString));
    cursor.done();
    if (effectiveBits === undefined || iv.length !== 8) throw badParameters(info.name);
    return { ...common, effectiveBits, iv, tagOctets: undefined };
  }
  if (info.family === 'cast5' && parameters.tag === tags.sequence) {
    // RFC 2984: SEQUENCE { iv OCTET STRING, keyLength INTEGER }
    const cursor = new Cursor(parameters);
    const iv = content(cursor.expect(tags.octetString));
    if (smallInteger(cursor.expect(tags.integer)) !== 128 || iv.length !== 8) throw badParameters(info.name);
    return { ...common, effectiveBits: undefined, iv, tagOctets: undefined };
  }
  if (parameters.tag !== tags.octetString || parameters.constructed) throw badParameters(info.name);
  const iv = content(parameters);
  if (iv.length !== info.ivOctets) throw badParameters(info.name);
  // RFC 2268 section 6: without a version, there are 32 effective bits
  const effectiveBits = info.family === 'rc2' ? 32 : undefined;
  return { ...common, effectiveBits, iv, tagOctets: info.mode === 'poly1305' ? 16 : undefined };
}

/** Threats S4: short tags and odd nonces are refused. Nonces of 16 octets are what GnuPG writes. */
function checkAead(info: ContentCipherInfo, iv: Buffer, tagOctets: number): void {
  const nonce =
    info.mode === 'ccm' ? iv.length >= 7 && iv.length <= 13 : iv.length === 12 || iv.length === 16;
  const tag = tagOctets >= 12 && tagOctets <= 16 && (info.mode !== 'ccm' || tagOctets % 2 === 0);
  if (!nonce || !tag) throw badParameters(info.name);
}

function badParameters(name: string): SealpostError {
  return new SealpostError('cms-malformed', `the parameters of ${name} are not what its specification says`);
}

/** Key length in octets. */
export function keyOctets(encryption: ContentEncryption): number {
  return encryption.keyBits / 8;
}

/**
 * True if a transported key of this length can be used. AES keys that do not have the size of the OID are used with
 * their actual size: Bouncy Castle wrote such messages, and reads them.
 */
export function keyLengthFits(encryption: ContentEncryption, octets: number): boolean {
  const { family, mode } = encryption.info;
  if (family === 'rc2') return octets >= 1 && octets <= 128;
  if (family === 'aes' && mode === 'cbc') return octets === 16 || octets === 24 || octets === 32;
  if (family === 'des3') return octets === 24 || octets === 16;
  return octets === keyOctets(encryption);
}

const derivationSalt = Buffer.from('The Cryptographic Message Syntax');

/**
 * The key that the cipher runs with: the transported one, or HKDF over it and the algorithm identifier, so that the
 * same key cannot be used with another algorithm (RFC 9709 section 2).
 */
export function cipherKey({ derivation }: ContentEncryption, transported: Buffer): Buffer {
  if (derivation === undefined) return transported;
  return Buffer.from(hkdfSync('sha256', transported, derivationSalt, derivation, transported.length));
}

/** A CBC decryptor for the key, whose length must fit (`keyLengthFits`). */
export function createContentDecipher(encryption: ContentEncryption, key: Buffer): ContentCipher {
  return cbcCipher('decrypt', encryption, key);
}

function cbcCipher(
  direction: 'encrypt' | 'decrypt',
  encryption: ContentEncryption,
  key: Buffer,
): ContentCipher {
  const { info, iv } = encryption;
  const make = direction === 'encrypt' ? createCipheriv : createDecipheriv;
  const create = (name: string, octets: Buffer) => make(name, keyText(octets), iv, rawKey);
  if (info.family === 'rc2') {
    const bits = encryption.effectiveBits ?? key.length * 8;
    const native = bits === key.length * 8 ? nativeRc2(bits) : undefined;
    return native === undefined ? new Rc2Cbc(direction, key, bits, iv) : create(native, key);
  }
  if (info.family === 'aes') return create(`aes-${key.length * 8}-cbc`, key);
  if (info.family === 'des3') {
    return create('des-ede3-cbc', key.length === 16 ? Buffer.concat([key, key.subarray(0, 8)]) : key);
  }
  if (info.family === 'des' && !isAvailable('des-cbc')) {
    // three times the same key is single DES
    return create('des-ede3-cbc', Buffer.concat([key, key, key]));
  }
  if (info.node === undefined || !isAvailable(info.node)) {
    throw new SealpostError('cms-unsupported', `${info.name} is not in this build of OpenSSL`);
  }
  return create(info.node, key);
}

/** The names mean 40, 64 and 128 effective bits. */
function nativeRc2(bits: number): string | undefined {
  const name = bits === 40 ? 'rc2-40-cbc' : bits === 64 ? 'rc2-64-cbc' : bits === 128 ? 'rc2-cbc' : undefined;
  return name !== undefined && isAvailable(name) ? name : undefined;
}

const available = new Map<string, boolean>();

/** Whether OpenSSL can use the cipher now: legacy ciphers need its legacy provider. */
function isAvailable(name: string): boolean {
  const known = available.get(name);
  if (known !== undefined) return known;
  let works = false;
  try {
    const info = getCipherInfo(name);
    if (info !== undefined) {
      createCipheriv(name, Buffer.alloc(info.keyLength, 1), Buffer.alloc(info.ivLength ?? 0));
      works = true;
    }
  } catch {
    works = false;
  }
  available.set(name, works);
  return works;
}

/** The GCM ciphers of node:crypto, with their tag. */
export function gcmName(key: Buffer): CipherGCMTypes {
  return key.length === 16 ? 'aes-128-gcm' : key.length === 24 ? 'aes-192-gcm' : 'aes-256-gcm';
}

/** A new content encryption key, its cipher, and the AlgorithmIdentifier for both. */
export interface FreshEncryption {
  encryption: ContentEncryption;
  key: Buffer;
  /** AlgorithmIdentifier in DER. */
  algorithm: Buffer;
}

export interface FreshOptions {
  /** Required for weak ciphers. */
  allowWeak?: boolean;
  /** Derives the key from the algorithm identifier (RFC 9709). */
  deriveKey?: boolean;
  randomBytes?: RandomBytes;
}

/**
 * Makes a content encryption key.
 * @param name in the registry; for RC2 with its effective key length, as `rc2-40-cbc` (1 to 1024)
 * @throws SealpostError `encode-policy` for a weak cipher without `allowWeak`, `cms-unsupported`
 */
export function freshEncryption(name: string, options: FreshOptions = {}): FreshEncryption {
  const rc2 = /^rc2-(\d{1,4})-cbc$/.exec(name);
  const info = contentCipherByName.get(rc2 === null ? name : 'rc2-cbc');
  if (info === undefined) throw new SealpostError('cms-unsupported', `there is no content cipher ${name}`);
  if (info.weak !== undefined && options.allowWeak !== true) {
    throw new SealpostError('encode-policy', `${name} is weak: ${info.weak}`, {
      hint: 'use aes-256-cbc, or allow weak encryption for this partner in so many words',
    });
  }
  const effectiveBits = info.family === 'rc2' ? Number(rc2?.[1] ?? 128) : undefined;
  if (effectiveBits !== undefined && (effectiveBits < 1 || effectiveBits > 1024)) {
    throw new SealpostError('cms-unsupported', `RC2 with ${effectiveBits} effective bits`);
  }
  const keyBits = effectiveBits === undefined ? info.keyBits : Math.ceil(effectiveBits / 8) * 8;
  const { iv, key } = drawKey(info.ivOctets, keyBits / 8, options.randomBytes);
  const tagOctets = info.mode === 'cbc' ? undefined : 16;
  if (info.family === 'des' || info.family === 'des3') setOddParity(key);
  const encryption = { info, name, oid: info.oid, keyBits, effectiveBits, iv, tagOctets, weak: info.weak };
  const algorithm = writeContentEncryption(encryption);
  if (options.deriveKey !== true) return { encryption, key, algorithm };
  return {
    encryption: { ...encryption, derivation: algorithm },
    key,
    algorithm: writeAlgorithm(oids['cek-hkdf-sha256'], algorithm),
  };
}

/**
 * Key and IV in one draw, since each draw costs more than its octets. A source that the caller gave is asked for one
 * after the other.
 */
function drawKey(
  ivOctets: number,
  octets: number,
  random: RandomBytes | undefined,
): { iv: Buffer; key: Buffer } {
  if (random !== undefined) return { iv: random(ivOctets), key: random(octets) };
  const both = nodeRandomBytes(ivOctets + octets);
  return { iv: both.subarray(0, ivOctets), key: both.subarray(ivOctets) };
}

function writeContentEncryption({ info, iv, effectiveBits, tagOctets }: ContentEncryption): Buffer {
  if (info.mode === 'gcm' || info.mode === 'ccm') {
    const icv = tagOctets === undefined || tagOctets === 12 ? [] : [der.integer(tagOctets)];
    return writeAlgorithm(info.oid, der.sequence(der.octetString(iv), ...icv));
  }
  if (effectiveBits !== undefined) {
    return writeAlgorithm(
      oids['rc2-cbc'],
      der.sequence(der.integer(rc2Version(effectiveBits)), der.octetString(iv)),
    );
  }
  if (info.family === 'cast5') {
    return writeAlgorithm(info.oid, der.sequence(der.octetString(iv), der.integer(128)));
  }
  return writeAlgorithm(info.oid, der.octetString(iv));
}

/** An encryptor. AEAD ciphers have a tag after `final`. */
export interface ContentEncryptor extends ContentCipher {
  authTag(): Buffer | undefined;
}

/** An encryptor for the result of `freshEncryption`. CCM cannot stream: all of its output comes with `final`. */
export function createContentCipher({ encryption, key: transported }: FreshEncryption): ContentEncryptor {
  const key = cipherKey(encryption, transported);
  const { info, iv, tagOctets: authTagLength = 16 } = encryption;
  if (info.mode === 'ccm') return new CcmEncryptor(key, iv, authTagLength);
  if (info.mode === 'cbc') {
    const cipher = cbcCipher('encrypt', encryption, key);
    return {
      update: (octets) => cipher.update(octets),
      final: () => cipher.final(),
      authTag: () => undefined,
    };
  }
  const cipher =
    info.mode === 'gcm'
      ? createCipheriv(gcmName(key), keyText(key), iv, { ...rawKey, authTagLength })
      : createCipheriv('chacha20-poly1305', keyText(key), iv, { ...rawKey, authTagLength });
  return {
    update: (octets) => cipher.update(octets),
    final: () => cipher.final(),
    authTag: () => cipher.getAuthTag(),
  };
}

/** DES keys have odd parity (FIPS 46-3), which some implementations check. */
export function setOddParity(key: Buffer): void {
  for (let at = 0; at < key.length; at++) {
    const octet = key[at] ?? 0;
    let parity = octet >> 1;
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    key[at] = (octet & 0xfe) | (~parity & 1);
  }
}
