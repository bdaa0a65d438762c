import { createDecipheriv, createHmac, getCipherInfo, hash, pbkdf2Sync } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  Cursor,
  type Element,
  octetString,
  oids,
  parse,
  readAlgorithm,
  smallInteger,
  tags,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { hmacDigests } from './algorithms.ts';
import { iterated } from './iterated-digest.ts';

/** Iterations above which a file is taken for an attack or a mistake. Common programs use 2,048 to 1,000,000. */
const mostIterations = 10_000_000;

const cast5 = '1.2.840.113533.7.66.10';
const pbes2 = '1.2.840.113549.1.5.13';
const pbmac1 = '1.2.840.113549.1.5.14';

/** A password in the two forms of PKCS#12: for its own key derivation and for PBKDF2. */
export interface Password {
  /** BMPString with its terminator; empty for no password. */
  bmp: Buffer;
  utf8: Buffer;
}

/** The forms to try in turn. Programs differ on whether an empty password has a terminator. */
export function passwordForms(password: string | undefined): Password[] {
  const utf8 = Buffer.from(password ?? '', 'utf8');
  const withTerminator = { bmp: Buffer.from(`${password ?? ''}\0`, 'utf16le').swap16(), utf8 };
  return utf8.length > 0 ? [withTerminator] : [withTerminator, { bmp: Buffer.alloc(0), utf8 }];
}

/** The ciphers of RFC 7292 appendix C: Node's name, key octets. */
const pkcs12Ciphers = new Map<string, { cipher: string; keyLength: number }>([
  ['1.2.840.113549.1.12.1.3', { cipher: 'des-ede3-cbc', keyLength: 24 }],
  ['1.2.840.113549.1.12.1.4', { cipher: 'des-ede-cbc', keyLength: 16 }],
  ['1.2.840.113549.1.12.1.5', { cipher: 'rc2-cbc', keyLength: 16 }],
  ['1.2.840.113549.1.12.1.6', { cipher: 'rc2-40-cbc', keyLength: 5 }],
]);

const pbes2Ciphers = new Map<string, { cipher: string; keyLength: number }>([
  [oids['aes-128-cbc'], { cipher: 'aes-128-cbc', keyLength: 16 }],
  [oids['aes-192-cbc'], { cipher: 'aes-192-cbc', keyLength: 24 }],
  [oids['aes-256-cbc'], { cipher: 'aes-256-cbc', keyLength: 32 }],
  [oids['des-ede3-cbc'], { cipher: 'des-ede3-cbc', keyLength: 24 }],
  // RFC 3657
  ['1.2.392.200011.61.1.1.1.2', { cipher: 'camellia-128-cbc', keyLength: 16 }],
  ['1.2.392.200011.61.1.1.1.3', { cipher: 'camellia-192-cbc', keyLength: 24 }],
  ['1.2.392.200011.61.1.1.1.4', { cipher: 'camellia-256-cbc', keyLength: 32 }],
  // RFC 2984; no program is known to write other key lengths
  [cast5, { cipher: 'cast5-cbc', keyLength: 16 }],
]);

/**
 * Decrypts octets by a password: the schemes of RFC 7292 appendix C (SHA-1 with Triple DES or RC2), and PBES2 (RFC
 * 8018) with PBKDF2 and AES, Triple DES, Camellia or CAST5.
 * @throws Error of node:crypto if the password is wrong; SealpostError `key-malformed`
 */
export function decryptWithPassword(
  algorithm: AlgorithmIdentifier,
  data: Buffer,
  password: Password,
): Buffer {
  const parameters = new Cursor(parse(algorithm.parameters ?? Buffer.alloc(0)));
  if (algorithm.oid === pbes2) {
    const kdf = readAlgorithm(parameters.expect(tags.sequence));
    const scheme = readAlgorithm(parameters.expect(tags.sequence));
    const found = pbes2Ciphers.get(scheme.oid);
    if (found === undefined) throw unsupported(`cipher ${scheme.oid}`);
    const iv = readIv(scheme);
    return decrypt(found.cipher, pbkdf2(kdf, password, found.keyLength), iv, data);
  }
  const found = pkcs12Ciphers.get(algorithm.oid);
  if (found === undefined) throw unsupported(`encryption scheme ${algorithm.oid}`);
  const salt = octetString(parameters.expect(tags.octetString));
  const rounds = iterations(parameters.expect(tags.integer));
  const key = pkcs12Key('sha1', 1, password.bmp, salt, rounds, found.keyLength);
  const iv = pkcs12Key('sha1', 2, password.bmp, salt, rounds, 8);
  return found.cipher === 'des-ede-cbc'
    ? // Node has Triple DES with three keys only; the third is the first.
      decrypt('des-ede3-cbc', Buffer.concat([key, key.subarray(0, 8)]), iv, data)
    : decrypt(found.cipher, key, iv, data);
}

/**
 * The IV alone; for CAST5 also `CAST5CBCParameters ::= SEQUENCE { iv OCTET STRING, keyLength INTEGER }` (RFC 2984),
 * which OpenSSL does not write.
 */
function readIv(scheme: AlgorithmIdentifier): Buffer {
  const parameters = parse(scheme.parameters ?? Buffer.alloc(0));
  if (scheme.oid !== cast5 || !parameters.constructed) return octetString(parameters);
  const cursor = new Cursor(parameters);
  const iv = octetString(cursor.expect(tags.octetString));
  const bits = smallInteger(cursor.expect(tags.integer));
  if (bits !== 128) throw unsupported(`CAST5 key of ${bits} bits`);
  return iv;
}

function decrypt(cipher: string, key: Buffer, iv: Buffer, data: Buffer): Buffer {
  if (getCipherInfo(cipher) === undefined) {
    throw new SealpostError('key-malformed', `the file is encrypted with ${cipher}, which is turned off`, {
      hint: 'start node with --openssl-legacy-provider, or export the file again with a current program',
    });
  }
  const decipher = createDecipheriv(cipher, key, iv);
  return Buffer.concat([decipher.update(data), decipher.final()]);
}

/** The MAC of a PKCS#12 file: HMAC with its own key derivation (RFC 7292), or PBMAC1 (RFC 9579). */
export function passwordMac(
  algorithm: AlgorithmIdentifier,
  salt: Buffer,
  rounds: number,
  data: Buffer,
  password: Password,
): Buffer {
  if (algorithm.oid === pbmac1) {
    const parameters = new Cursor(parse(algorithm.parameters ?? Buffer.alloc(0)));
    const kdf = readAlgorithm(parameters.expect(tags.sequence));
    const digest = prf(readAlgorithm(parameters.expect(tags.sequence)).oid);
    const length = hash(digest, '', 'buffer').length;
    return createHmac(digest, pbkdf2(kdf, password, length, 'length-required'))
      .update(data)
      .digest();
  }
  const digest = digests.get(algorithm.oid);
  if (digest === undefined) throw unsupported(`MAC algorithm ${algorithm.oid}`);
  const length = hash(digest, '', 'buffer').length;
  return createHmac(digest, pkcs12Key(digest, 3, password.bmp, salt, rounds, length))
    .update(data)
    .digest();
}

const digests = new Map<string, string>(
  (['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const).map((name) => [oids[name], name]),
);

function prf(type: string): string {
  const digest = hmacDigests.get(type);
  if (digest === undefined) throw unsupported(`pseudorandom function ${type}`);
  return digest;
}

/** `PBKDF2-params ::= SEQUENCE { salt, iterationCount, keyLength OPTIONAL, prf DEFAULT hmacWithSHA1 }` */
function pbkdf2(
  algorithm: AlgorithmIdentifier,
  password: Password,
  keyLength: number,
  stated: 'length-optional' | 'length-required' = 'length-optional',
): Buffer {
  if (algorithm.oid !== oids.pbkdf2) throw unsupported(`key derivation ${algorithm.oid}`);
  const cursor = new Cursor(parse(algorithm.parameters ?? Buffer.alloc(0)));
  const salt = octetString(cursor.expect(tags.octetString));
  const rounds = iterations(cursor.expect(tags.integer));
  const length = cursor.optional(0, tags.integer);
  const digest = cursor.optional(0, tags.sequence);
  // RFC 9579 section 4: without it, the length of a PBMAC1 key would be a guess
  if (length === undefined && stated === 'length-required')
    throw unsupported('MAC without the length of its key');
  if (length !== undefined && smallInteger(length) !== keyLength) throw unsupported('key length');
  return pbkdf2Sync(
    password.utf8,
    salt,
    rounds,
    keyLength,
    digest === undefined ? 'sha1' : prf(readAlgorithm(digest).oid),
  );
}

export function iterations(element: Element): number {
  const count = smallInteger(element);
  if (count < 1 || count > mostIterations) throw unsupported(`count of ${count} iterations`);
  return count;
}

/**
 * The key derivation of RFC 7292 appendix B.2.
 * @param id 1 for a key, 2 for an initialisation vector, 3 for a MAC key
 */
function pkcs12Key(
  digest: string,
  id: 1 | 2 | 3,
  password: Buffer,
  salt: Buffer,
  rounds: number,
  length: number,
): Buffer {
  const block = digest === 'sha384' || digest === 'sha512' ? 128 : 64;
  const input = Buffer.concat([fill(salt, block), fill(password, block)]);
  const diversifier = Buffer.alloc(block, id);
  const parts: Buffer[] = [];
  for (let made = 0; made < length; ) {
    const output = iterated(digest, hash(digest, Buffer.concat([diversifier, input]), 'buffer'), rounds - 1);
    parts.push(output);
    made += output.length;
    addToBlocks(input, fill(output, block).subarray(0, block), block);
  }
  return Buffer.concat(parts).subarray(0, length);
}

/** `octets`, repeated up to a whole number of blocks. */
function fill(octets: Buffer, block: number): Buffer {
  if (octets.length === 0) return Buffer.alloc(0);
  return Buffer.alloc(Math.ceil(octets.length / block) * block, octets);
}

/** Adds `addend` and one to each block of `input`, as big-endian numbers. */
function addToBlocks(input: Buffer, addend: Buffer, block: number): void {
  for (let start = 0; start < input.length; start += block) {
    let carry = 1;
    for (let index = block - 1; index >= 0; index--) {
      const sum = (input[start + index] ?? 0) + (addend[index] ?? 0) + carry;
      input[start + index] = sum & 0xff;
      carry = sum >> 8;
    }
  }
}

function unsupported(what: string): SealpostError {
  return new SealpostError('key-malformed', `the PKCS#12 file uses a ${what} that is not supported`, {
    hint: 'write it anew, for example with openssl pkcs12 -export',
  });
}
