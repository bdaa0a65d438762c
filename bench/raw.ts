/** The raw limits of this machine, one core: what no decoder can be faster than. */
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { readFileSync } from 'node:fs';

export function perSecond(seconds: number, run: () => void): number {
  run();
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < seconds * 1000) {
    run();
    count += 1;
  }
  return (count * 1000) / (performance.now() - start);
}

/** RSA private key operations a second, PKCS#1 v1.5, the key object made once. */
export function privateOperations(keyFile: string, seconds: number): number {
  const key = createPrivateKey(readFileSync(keyFile));
  const padding = constants.RSA_PKCS1_PADDING;
  const encrypted = publicEncrypt({ key: readFileSync(keyFile), padding }, randomBytes(32));
  return perSecond(seconds, () => privateDecrypt({ key, padding }, encrypted));
}

/** MB/s of one cipher in pieces of 64 KiB. */
export function cipherRate(
  name: 'aes-256-cbc' | 'des-ede3-cbc',
  seconds: number,
): { decrypt: number; encrypt: number } {
  const keyOctets = name === 'aes-256-cbc' ? 32 : 24;
  const iv = randomBytes(name === 'aes-256-cbc' ? 16 : 8);
  const piece = randomBytes(64 * 1024);
  const decipher = createDecipheriv(name, randomBytes(keyOctets), iv).setAutoPadding(false);
  const cipher = createCipheriv(name, randomBytes(keyOctets), iv).setAutoPadding(false);
  const mb = piece.length / 1e6;
  return {
    decrypt: perSecond(seconds, () => decipher.update(piece)) * mb,
    encrypt: perSecond(seconds, () => cipher.update(piece)) * mb,
  };
}
