import * as crypto from 'node:crypto';
import { withoutStackTraces } from './stackless.ts';

/* The RSA operations of node:crypto that take options, a third faster than they are there. */

export function privateDecrypt(options: crypto.RsaPrivateKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.privateDecrypt(options, octets));
}

const withPadding = new WeakMap<crypto.KeyObject, crypto.KeyObject>();

/**
 * RSA PKCS#1 v1.5 (RFC 8017 section 7.2.2) with implicit rejection: OpenSSL 3.2 and later give random octets for a
 * bad padding, not an error. Given a key object, node needs no exceptions, and takes the padding from it like from
 * other options; so that one is set in a copy of it that is made once.
 */
export function pkcs1Decrypt(key: crypto.KeyObject, octets: Buffer): Buffer {
  let own = withPadding.get(key);
  if (own === undefined) {
    own = Object.defineProperty(structuredClone(key), 'padding', {
      value: crypto.constants.RSA_PKCS1_PADDING,
    });
    withPadding.set(key, own);
  }
  return crypto.privateDecrypt(own, octets);
}

export function publicEncrypt(options: crypto.RsaPublicKey | crypto.RsaPrivateKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.publicEncrypt(options, octets));
}

export function publicDecrypt(options: crypto.RsaPublicKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.publicDecrypt(options, octets));
}
