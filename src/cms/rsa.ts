import * as crypto from 'node:crypto';

/*
 * The RSA operations of node:crypto that take options. Node finds out by two exceptions that the options
 * are no key object; without stack traces these cost 10 us less, a third of a public key operation.
 */

export function privateDecrypt(options: crypto.RsaPrivateKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.privateDecrypt(options, octets));
}

export function publicEncrypt(options: crypto.RsaPublicKey | crypto.RsaPrivateKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.publicEncrypt(options, octets));
}

export function publicDecrypt(options: crypto.RsaPublicKey, octets: Buffer): Buffer {
  return withoutStackTraces(() => crypto.publicDecrypt(options, octets));
}

function withoutStackTraces<T>(run: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
