/** Calls node:crypto in ways that add little cost to the operation itself. */
import * as crypto from 'node:crypto';

/**
 * How the ciphers here are given their keys: as text of one character an octet. Given a Buffer, node finds out by
 * two exceptions that it is no key object; a key object made for one message is two native objects, which outlive
 * every young collection. Text is neither.
 */
export const rawKey = { encoding: 'latin1' } as const;

/** The octets of a key as that text. */
export function keyText(octets: Buffer): string {
  return octets.toString('latin1');
}

/**
 * Runs an operation of node:crypto that takes an options object. Node finds out by two exceptions that the
 * options are no key object; without stack traces these cost 10 us less. What it throws has no trace either.
 */
export function withoutStackTraces<T>(run: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

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
