/** Calls node:crypto in ways that add little to the cost of the operation itself. */
import * as crypto from 'node:crypto';

/**
 * How the ciphers here receive their keys: as text with one character per octet. With a Buffer, node goes through two
 * exceptions to find out that it is no key object. A key object for one message is two native objects, which outlive
 * every young collection. Text has neither problem.
 */
export const rawKey = { encoding: 'latin1' } as const;

/** The octets of a key as such text. */
export function keyText(octets: Buffer): string {
  return octets.toString('latin1');
}

/**
 * Runs an operation of node:crypto that takes an options object. Node goes through two exceptions to find out that the
 * options are no key object; without stack traces, these cost 10 us less. An error that the operation throws has no
 * trace either.
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
 * RSA PKCS#1 v1.5 (RFC 8017 section 7.2.2) with implicit rejection: for bad padding, OpenSSL 3.2 and later return
 * random octets instead of an error. With a key object, node needs no exceptions, and reads the padding from it as from
 * other options. So the padding is set on a copy of the key object, which is made once.
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
