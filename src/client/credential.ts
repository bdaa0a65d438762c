/**
 * Tokens and passwords of programs: 256 random bits that we make, so one SHA-256 is enough to store them. A guess has
 * no chance, however fast it is checked.
 *
 *     sealpost_ id (10) _ secret (43) checksum (6), in base62
 *
 * The prefix and the checksum let scanners of source code find a token, and tell it from text that only looks like one.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const prefix = 'sealpost_';
const form = /^sealpost_([0-9A-Za-z]{10})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

function base62(value: bigint, length: number): string {
  let text = '';
  for (let left = value; text.length < length; left /= 62n) text = digits.charAt(Number(left % 62n)) + text;
  return text;
}

const numberOf = (octets: Buffer) => BigInt(`0x${octets.toString('hex')}`);

function checksum(text: string): string {
  return base62(BigInt(crc32(text)), 6);
}

export interface NewCredential {
  /** The name of the credential in lists and in the log. It is not secret. */
  id: string;
  /** The whole text, shown once. */
  text: string;
  /** SHA-256 of the text, in hex. */
  hash: string;
}

export function makeCredential(): NewCredential {
  const id = base62(numberOf(randomBytes(8)), 10);
  const body = `${prefix}${id}_${base62(numberOf(randomBytes(32)), 43)}`;
  const text = body + checksum(body);
  return { id, text, hash: hashOf(text) };
}

/** The id that a credential contains; undefined if it is not one of ours, or was cut or mistyped. */
export function credentialId(text: string): string | undefined {
  const [, id, secret, sum] = form.exec(text) ?? [];
  if (id === undefined || secret === undefined) return undefined;
  return sum === checksum(`${prefix}${id}_${secret}`) ? id : undefined;
}

/** Whether the text has that hash. It always hashes and compares, so a wrong text takes as long as a right one. */
export function isCredential(text: string, hash: string): boolean {
  const own = Buffer.from(hashOf(text), 'hex');
  const other = Buffer.from(hash, 'hex');
  return other.length === own.length && timingSafeEqual(own, other);
}

/** The hash that is compared if there is nobody to compare with. */
export const noHash = '0'.repeat(64);

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
