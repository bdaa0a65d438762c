import {
  createCipheriv,
  createDecipheriv,
  createHash,
  randomBytes as nodeRandomBytes,
  timingSafeEqual,
} from 'node:crypto';
import {
  type AlgorithmIdentifier,
  der,
  oids,
  parametersOf,
  smallInteger,
  tags,
  writeAlgorithm,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { ContentEncryption, RandomBytes } from './ciphers.ts';
import { keyText, rawKey } from './native.ts';
import { Rc2Cbc, rc2EffectiveBits, rc2Version } from './rc2.ts';

/** A key wrap algorithm whose parameters have been read. */
export interface KeyWrap {
  name: string;
  oid: string;
  /** Octets of the key encryption key. */
  keyOctets: number;
  weak: string | undefined;
  wrap(kek: Buffer, key: Buffer, random?: RandomBytes): Buffer;
  /** @throws Error if the checksum is wrong */
  unwrap(kek: Buffer, wrapped: Buffer): Buffer;
  /** AlgorithmIdentifier in DER. */
  encoded: Buffer;
}

/** The initial value of RFC 3394 section 2.2.3.1. */
const aesIv = Buffer.alloc(8, 0xa6);
/** The second IV of RFC 3217 sections 3.1 and 4.1. */
const wrapIv = Buffer.from('4adda22c79e82105', 'hex');

const oidByName: ReadonlyMap<string, string> = new Map(Object.entries(oids));
const aesWraps = new Map([
  [oids['aes-128-wrap'], { bits: 128, pad: false }],
  [oids['aes-192-wrap'], { bits: 192, pad: false }],
  [oids['aes-256-wrap'], { bits: 256, pad: false }],
  [oids['aes-128-wrap-pad'], { bits: 128, pad: true }],
  [oids['aes-192-wrap-pad'], { bits: 192, pad: true }],
  [oids['aes-256-wrap-pad'], { bits: 256, pad: true }],
]);

/**
 * Reads a KeyWrapAlgorithm: AES (RFC 3565, RFC 5649), 3DES and RC2 (RFC 3217, RFC 3370 section 4.3). Undefined for an
 * unknown one.
 */
export function readKeyWrap(algorithm: AlgorithmIdentifier): KeyWrap | undefined {
  const aes = aesWraps.get(algorithm.oid as (typeof oids)['aes-128-wrap']);
  if (aes !== undefined) return aesWrap(algorithm.oid, aes.bits, aes.pad);
  if (algorithm.oid === oids['des-ede3-wrap']) return des3Wrap;
  if (algorithm.oid !== oids['rc2-wrap']) return undefined;
  const parameter = parametersOf(algorithm);
  if (parameter === undefined || parameter.tag !== tags.integer) {
    throw new SealpostError('cms-malformed', 'the parameter of RC2 key wrap is not an RC2ParameterVersion');
  }
  const bits = rc2EffectiveBits(smallInteger(parameter));
  if (bits === undefined) throw new SealpostError('cms-malformed', 'an RC2ParameterVersion out of range');
  return rc2Wrap(bits);
}

/** The wrap for a content cipher: equally strong, and supported by software that supports the cipher. */
export function wrapFor({ info, effectiveBits }: ContentEncryption): KeyWrap {
  if (info.family === 'rc2') return rc2Wrap(effectiveBits ?? 128);
  if (info.family === 'des3' || info.family === 'des') return des3Wrap;
  return keyWrapByName(`aes-${info.keyBits}-wrap`);
}

export function keyWrapByName(name: string): KeyWrap {
  const rc2 = /^rc2-(\d+)-wrap$/.exec(name);
  if (rc2 !== null) return rc2Wrap(Number(rc2[1]));
  const dotted = oidByName.get(name);
  const found = dotted === undefined ? undefined : readKeyWrap({ oid: dotted, parameters: undefined });
  if (found === undefined) throw new SealpostError('cms-unsupported', `there is no key wrap ${name}`);
  return found;
}

function aesWrap(oid: string, bits: number, pad: boolean): KeyWrap {
  const node = pad ? `id-aes${bits}-wrap-pad` : `id-aes${bits}-wrap`;
  const iv = pad ? Buffer.from('a65959a6', 'hex') : aesIv;
  return {
    name: `aes-${bits}-wrap${pad ? '-pad' : ''}`,
    oid,
    keyOctets: bits / 8,
    weak: undefined,
    wrap: (kek, key) => {
      if (!pad) checkLength(`aes-${bits}-wrap`, key, 16);
      return createCipheriv(node, keyText(kek), iv, rawKey).update(key);
    },
    unwrap: (kek, wrapped) => {
      // node has nothing to decipher in no octets, and no error for it
      if (wrapped.length < 16) throw new Error('too short for a wrapped key');
      return createDecipheriv(node, keyText(kek), iv, rawKey).update(wrapped);
    },
    encoded: writeAlgorithm(oid),
  };
}

type Cbc = (direction: 'encrypt' | 'decrypt', kek: Buffer, iv: Buffer, octets: Buffer) => Buffer;

const des3Cbc: Cbc = (direction, kek, iv, octets) => {
  const create = direction === 'encrypt' ? createCipheriv : createDecipheriv;
  const cipher = create('des-ede3-cbc', keyText(kek), iv, rawKey).setAutoPadding(false);
  return Buffer.concat([cipher.update(octets), cipher.final()]);
};

function rc2Cbc(bits: number): Cbc {
  return (direction, kek, iv, octets) =>
    new Rc2Cbc(direction, kek, bits, iv).setAutoPadding(false).update(octets);
}

/** Both wraps of RFC 3217 in one: checksum, CBC, reverse, CBC again. */
function wrapTwice(cbc: Cbc, kek: Buffer, octets: Buffer, iv: Buffer): Buffer {
  const inner = cbc('encrypt', kek, iv, Buffer.concat([octets, checksum(octets)]));
  return cbc('encrypt', kek, wrapIv, Buffer.concat([iv, inner]).reverse());
}

function unwrapTwice(cbc: Cbc, kek: Buffer, wrapped: Buffer): Buffer {
  if (wrapped.length < 24 || wrapped.length % 8 !== 0) throw new Error('bad length');
  const reversed = cbc('decrypt', kek, wrapIv, wrapped).reverse();
  const octets = cbc('decrypt', kek, reversed.subarray(0, 8), reversed.subarray(8));
  const key = octets.subarray(0, -8);
  if (!timingSafeEqual(checksum(key), octets.subarray(-8))) throw new Error('bad checksum');
  return key;
}

/** The CMS key checksum: the first eight octets of SHA-1 (RFC 3217 section 2). */
function checksum(octets: Buffer): Buffer {
  return createHash('sha1').update(octets).digest().subarray(0, 8);
}

/** id-alg-CMS3DESwrap (RFC 3217 section 3). */
export const des3Wrap: KeyWrap = {
  name: 'des-ede3-wrap',
  oid: oids['des-ede3-wrap'],
  keyOctets: 24,
  weak: undefined,
  // The parity of DES keys is set where they are made. Other keys, such as RC2's, must stay as they are.
  wrap: (kek, key, random = nodeRandomBytes) => {
    checkLength('des-ede3-wrap', key, 8);
    return wrapTwice(des3Cbc, kek, key, random(8));
  },
  unwrap: (kek, wrapped) => unwrapTwice(des3Cbc, kek, wrapped),
  encoded: writeAlgorithm(oids['des-ede3-wrap'], der.nullValue()),
};

/** Wraps without padding of their own take whole blocks of 64 bits, so not the five octets of RC2 with 40 bits. */
function checkLength(name: string, key: Buffer, least: number): void {
  if (key.length >= least && key.length % 8 === 0) return;
  throw new SealpostError('encode-recipient', `${name} cannot wrap a content key of ${key.length} octets`, {
    hint: 'choose another content cipher or key wrap',
  });
}

/** id-alg-CMSRC2wrap (RFC 3217 section 4): the length and the key, padded to blocks. */
export function rc2Wrap(effectiveBits: number): KeyWrap {
  const cbc = rc2Cbc(effectiveBits);
  return {
    name: `rc2-${effectiveBits}-wrap`,
    oid: oids['rc2-wrap'],
    keyOctets: 16,
    weak: 'RC2 key wrap',
    wrap: (kek, key, random = nodeRandomBytes) => {
      const padding = random((8 - ((key.length + 1) % 8)) % 8);
      return wrapTwice(cbc, kek, Buffer.concat([Buffer.from([key.length]), key, padding]), random(8));
    },
    unwrap: (kek, wrapped) => {
      const octets = unwrapTwice(cbc, kek, wrapped);
      const length = octets[0] ?? 0;
      if (length > octets.length - 1 || octets.length - 1 - length > 7) throw new Error('bad length');
      return octets.subarray(1, 1 + length);
    },
    encoded: writeAlgorithm(oids['rc2-wrap'], der.integer(rc2Version(effectiveBits))),
  };
}
