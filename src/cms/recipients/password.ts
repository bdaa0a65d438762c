import { createCipheriv, createDecipheriv, pbkdf2Sync } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  Cursor,
  der,
  type Element,
  octetString,
  oids,
  parametersOf,
  readAlgorithm,
  smallInteger,
  tags,
  writeAlgorithm,
} from '../../asn1/index.ts';
import { type Budget, costs } from '../../budget.ts';
import { hmacDigests } from '../../pki/algorithms.ts';
import { type FreshEncryption, type RandomBytes, readContentEncryption } from '../ciphers.ts';
import type { Recipient } from './recipient.ts';

interface Derivation {
  salt: Buffer;
  iterations: number;
  digest: string;
}

/** A CBC cipher for the key, without padding. */
interface KeyCipher {
  name: string;
  keyOctets: number;
  iv: Buffer;
}

/**
 * `PasswordRecipientInfo ::= SEQUENCE { version, keyDerivationAlgorithm [0] OPTIONAL,
 * keyEncryptionAlgorithm, encryptedKey OCTET STRING }` (RFC 5652 section 6.2.4), with PBKDF2 and
 * PWRI-KEK (RFC 3211).
 */
export function readPassword(element: Element): Recipient[] {
  const cursor = new Cursor(element);
  smallInteger(cursor.expect(tags.integer));
  const kdf = cursor.optional(2, 0);
  const derivation = kdf === undefined ? undefined : readDerivation(readAlgorithm(kdf));
  const algorithm = readAlgorithm(cursor.expect(tags.sequence));
  const encryptedKey = octetString(cursor.expect(tags.octetString));
  cursor.done();
  const cipher = readKeyCipher(algorithm);
  const parameters: Record<string, string> = {};
  if (cipher !== undefined) parameters.cipher = cipher.name;
  if (derivation !== undefined) {
    parameters.prf = derivation.digest;
    parameters.iterations = String(derivation.iterations);
  }
  const name = algorithm.oid === oids['pwri-kek'] ? 'pwri-kek' : algorithm.oid;
  return [
    {
      report: {
        kind: 'password',
        identifier: { type: 'none' },
        keyEncryption: { name, oid: algorithm.oid, parameters },
        weak: [],
      },
      find: ({ passwords = [] }, budget) => {
        if (derivation === undefined || cipher === undefined) return undefined;
        // the checksum tells which password it is, and nothing here comes from a private key
        for (const { name, password } of passwords) {
          if (!drawFor(derivation, cipher.keyOctets, budget)) return undefined;
          const key = unwrap(cipher, derive(derivation, password, cipher.keyOctets), encryptedKey);
          if (key !== undefined) return { name, cost: 0, recover: () => key };
        }
        return undefined;
      },
    },
  ];
}

/**
 * Threats S12: 2^31 iterations would block a worker for half an hour, and so would a few in each of a thousand
 * recipients.
 * @returns false for an impossible number
 */
function drawFor({ iterations, digest }: Derivation, octets: number, budget: Budget): boolean {
  if (iterations < 1) return false;
  const blocks = Math.ceil(octets / (digestOctets[digest] ?? 1));
  budget.spend(iterations * blocks * costs.derivation(digest));
  return iterations < 2 ** 31;
}

const digestOctets: Readonly<Record<string, number>> = {
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

/** `PBKDF2-params ::= SEQUENCE { salt OCTET STRING, iterationCount, keyLength OPTIONAL, prf DEFAULT hmacWithSHA1 }` */
function readDerivation(algorithm: AlgorithmIdentifier): Derivation | undefined {
  const parameters = parametersOf(algorithm);
  if (algorithm.oid !== oids.pbkdf2 || parameters === undefined) return undefined;
  const cursor = new Cursor(parameters);
  const salt = octetString(cursor.expect(tags.octetString));
  const iterations = smallInteger(cursor.expect(tags.integer));
  cursor.optional(0, tags.integer);
  const prf = cursor.optional(0, tags.sequence);
  cursor.done();
  const digest = prf === undefined ? 'sha1' : hmacDigests.get(readAlgorithm(prf).oid);
  return digest === undefined ? undefined : { salt, iterations, digest };
}

function readKeyCipher(algorithm: AlgorithmIdentifier): KeyCipher | undefined {
  const parameters = parametersOf(algorithm);
  if (algorithm.oid !== oids['pwri-kek'] || parameters === undefined) return undefined;
  const { info, iv, derivation } = readContentEncryption(readAlgorithm(parameters));
  if (
    derivation !== undefined ||
    info.node === undefined ||
    (info.family !== 'aes' && info.family !== 'des3') ||
    info.mode !== 'cbc'
  ) {
    return undefined;
  }
  return { name: info.node, keyOctets: info.keyBits / 8, iv };
}

function derive({ salt, iterations, digest }: Derivation, password: Buffer, octets: number): Buffer {
  return pbkdf2Sync(password, salt, iterations, octets, digest);
}

function cbc(
  direction: 'encrypt' | 'decrypt',
  name: string,
  key: Buffer,
  iv: Buffer,
  octets: Buffer,
): Buffer {
  const create = direction === 'encrypt' ? createCipheriv : createDecipheriv;
  const cipher = create(name, key, iv).setAutoPadding(false);
  return Buffer.concat([cipher.update(octets), cipher.final()]);
}

/** RFC 3211 section 2.3.2; undefined if the check octets are wrong. */
function unwrap({ name, iv }: KeyCipher, kek: Buffer, wrapped: Buffer): Buffer | undefined {
  const block = iv.length;
  if (wrapped.length < 2 * block || wrapped.length % block !== 0) return undefined;
  const last = wrapped.length - block;
  const lastInner = cbc('decrypt', name, kek, wrapped.subarray(last - block, last), wrapped.subarray(last));
  const inner = cbc('decrypt', name, kek, lastInner, wrapped.subarray(0, last));
  const octets = cbc('decrypt', name, kek, iv, Buffer.concat([inner, lastInner]));
  const length = octets[0] ?? 0;
  let wrong = length < 3 || length > octets.length - 4 ? 1 : 0;
  for (let at = 1; at <= 3; at++) wrong |= (octets[at] ?? 0) ^ (octets[at + 3] ?? 0) ^ 0xff;
  return wrong === 0 ? octets.subarray(4, 4 + length) : undefined;
}

export interface PasswordOptions {
  password: Buffer;
  /** Iterations of PBKDF2 with HMAC-SHA-256. Default: 600,000. */
  iterations?: number;
}

/** A PasswordRecipientInfo with PBKDF2 and AES-256, in DER. */
export function writePassword(fresh: FreshEncryption, options: PasswordOptions, random: RandomBytes): Buffer {
  const { password, iterations = 600_000 } = options;
  const derivation = { salt: random(16), iterations, digest: 'sha256' };
  const iv = random(16);
  const name = 'aes-256-cbc';
  const kek = derive(derivation, password, 32);
  const check = Buffer.from(fresh.key.subarray(0, 3).map((octet) => octet ^ 0xff));
  const used = 4 + fresh.key.length;
  const padding = random(Math.max(2 * 16, Math.ceil(used / 16) * 16) - used);
  const octets = Buffer.concat([Buffer.from([fresh.key.length]), check, fresh.key, padding]);
  const inner = cbc('encrypt', name, kek, iv, octets);
  const wrapped = cbc('encrypt', name, kek, inner.subarray(-16), inner);
  const prf = writeAlgorithm(oids.hmacWithSha256, der.nullValue());
  const parameters = der.sequence(der.octetString(derivation.salt), der.integer(iterations), prf);
  return der.implicit(
    3,
    true,
    der.integer(0),
    der.implicit(0, true, der.oid(oids.pbkdf2), parameters),
    writeAlgorithm(oids['pwri-kek'], writeAlgorithm(oids[name], der.octetString(iv))),
    der.octetString(wrapped),
  );
}
