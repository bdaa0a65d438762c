import * as crypto from 'node:crypto';
import { withoutStackTraces } from './stackless.ts';

/* The RSA operations of node:crypto that take options, a third faster than they are there. */

export function privateDecrypt(options: crypto.RsaPrivateKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.privateDecrypt(options, octets));
}

export function publicEncrypt(options: crypto.RsaPublicKey | crypto.RsaPrivateKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.publicEncrypt(options, octets));
}

export function publicDecrypt(options: crypto.RsaPublicKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.publicDecrypt(options, octets));
}
