import { SealpostError } from '../errors.ts';

/** PITABLE of RFC 2268 section 2: a permutation of the octets made from the digits of pi. */
const piTable: Uint8Array = Buffer.from(
  'd978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32' +
    'bd8f40eb86b77b0bf09521225c6b4e8254d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626' +
    '6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed708e8eade8052eef784aa72ac354d6a2a' +
    '961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731' +
    '2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a90d38341bab33ffb0bb480c5fb9b1cd2e' +
    'c5f3db47e5a59c770aa62068fe7fc1ad',
  'hex',
);

/** The table of RFC 2268 section 6: effective key bits to RC2ParameterVersion, for fewer than 256 bits. */
const versionTable: Uint8Array = Buffer.from(
  'bd56eaf2a2f1ac2ab093d19c1b33fdd03004b6dc7ddf324bf7cb459b31bb215a419fe1d94a4d9edaa0682cc3275f8036' +
    '3eeefb951afecea834a913f0a63fd80c7824af2352c16717f56690e7e807b86048e61e53f392a4728c08156e860084fa' +
    'f47f8a4219f6dbcd148d5012ba3c064eecb33511a1888e2b9499b77174d3e4bf3ade960ebc0aed77fc376b03798962c6' +
    'd7c0d27c6a8b22a35b055d0275d561e3188f5551ad1f0b5e85e5c25763ca3d6cb4c5cc70b291590d4720c84f58e001e2' +
    '1638c46f3b0f6546be7e2d7b82f940b51d73f8eb26c787972554b128aa989da5646d7ad4108144ef49d6ae2edd765c2f' +
    'a71cc909699a83cf2939b9e94cff43ab',
  'hex',
);

/** The rc2ParameterVersion that stands for a number of effective key bits (RFC 2268 section 6). */
export function rc2Version(effectiveBits: number): number {
  return effectiveBits < 256 ? (versionTable[effectiveBits] ?? 0) : effectiveBits;
}

/** The effective key bits that an rc2ParameterVersion stands for; undefined if it is out of range. */
export function rc2EffectiveBits(version: number): number | undefined {
  const bits = version < 256 ? versionTable.indexOf(version) : version;
  return bits >= 1 && bits <= 1024 ? bits : undefined;
}

/** Key expansion: 64 words of 16 bits (RFC 2268 section 2). */
function expandKey(key: Uint8Array, effectiveBits: number): Uint16Array {
  const octets = new Uint8Array(128);
  octets.set(key);
  const pi = (index: number): number => piTable[index & 0xff] ?? 0;
  const at = (index: number): number => octets[index] ?? 0;
  const length = key.length;
  for (let i = length; i < 128; i++) octets[i] = pi(at(i - 1) + at(i - length));
  const effectiveOctets = Math.ceil(effectiveBits / 8);
  const mask = 0xff >> (8 * effectiveOctets - effectiveBits);
  octets[128 - effectiveOctets] = pi(at(128 - effectiveOctets) & mask);
  for (let i = 127 - effectiveOctets; i >= 0; i--) octets[i] = pi(at(i + 1) ^ at(i + effectiveOctets));
  const words = new Uint16Array(64);
  for (let i = 0; i < 64; i++) words[i] = at(2 * i) | (at(2 * i + 1) << 8);
  return words;
}

/*
 * The block functions assert that their typed arrays are full, because a check at each word costs a third of the speed,
 * and the arrays are made here with fixed lengths.
 */

/** One block of eight octets as four little-endian words; changed in place (RFC 2268 section 3). */
function encryptBlock(k: Uint16Array, block: Uint16Array): void {
  let r0 = block[0] as number;
  let r1 = block[1] as number;
  let r2 = block[2] as number;
  let r3 = block[3] as number;
  for (let round = 0, j = 0; round < 16; round++, j += 4) {
    r0 = (r0 + (k[j] as number) + (r3 & r2) + (~r3 & r1)) & 0xffff;
    r0 = ((r0 << 1) | (r0 >> 15)) & 0xffff;
    r1 = (r1 + (k[j + 1] as number) + (r0 & r3) + (~r0 & r2)) & 0xffff;
    r1 = ((r1 << 2) | (r1 >> 14)) & 0xffff;
    r2 = (r2 + (k[j + 2] as number) + (r1 & r0) + (~r1 & r3)) & 0xffff;
    r2 = ((r2 << 3) | (r2 >> 13)) & 0xffff;
    r3 = (r3 + (k[j + 3] as number) + (r2 & r1) + (~r2 & r0)) & 0xffff;
    r3 = ((r3 << 5) | (r3 >> 11)) & 0xffff;
    if (round === 4 || round === 10) {
      r0 = (r0 + (k[r3 & 63] as number)) & 0xffff;
      r1 = (r1 + (k[r0 & 63] as number)) & 0xffff;
      r2 = (r2 + (k[r1 & 63] as number)) & 0xffff;
      r3 = (r3 + (k[r2 & 63] as number)) & 0xffff;
    }
  }
  block[0] = r0;
  block[1] = r1;
  block[2] = r2;
  block[3] = r3;
}

/** The inverse (RFC 2268 section 4). */
function decryptBlock(k: Uint16Array, block: Uint16Array): void {
  let r0 = block[0] as number;
  let r1 = block[1] as number;
  let r2 = block[2] as number;
  let r3 = block[3] as number;
  for (let round = 15, j = 60; round >= 0; round--, j -= 4) {
    r3 = ((r3 >> 5) | (r3 << 11)) & 0xffff;
    r3 = (r3 - (k[j + 3] as number) - (r2 & r1) - (~r2 & r0)) & 0xffff;
    r2 = ((r2 >> 3) | (r2 << 13)) & 0xffff;
    r2 = (r2 - (k[j + 2] as number) - (r1 & r0) - (~r1 & r3)) & 0xffff;
    r1 = ((r1 >> 2) | (r1 << 14)) & 0xffff;
    r1 = (r1 - (k[j + 1] as number) - (r0 & r3) - (~r0 & r2)) & 0xffff;
    r0 = ((r0 >> 1) | (r0 << 15)) & 0xffff;
    r0 = (r0 - (k[j] as number) - (r3 & r2) - (~r3 & r1)) & 0xffff;
    if (round === 5 || round === 11) {
      r3 = (r3 - (k[r2 & 63] as number)) & 0xffff;
      r2 = (r2 - (k[r1 & 63] as number)) & 0xffff;
      r1 = (r1 - (k[r0 & 63] as number)) & 0xffff;
      r0 = (r0 - (k[r3 & 63] as number)) & 0xffff;
    }
  }
  block[0] = r0;
  block[1] = r1;
  block[2] = r2;
  block[3] = r3;
}

/**
 * RC2 in CBC mode with any effective key length (RFC 2268), in the shape of node:crypto's ciphers. OpenSSL has only 40,
 * 64 and 128 bits, and those only with its legacy provider.
 */
export class Rc2Cbc {
  readonly #words: Uint16Array;
  readonly #decrypt: boolean;
  readonly #chain = new Uint16Array(4);
  readonly #block = new Uint16Array(4);
  #padding = true;
  #rest: Buffer = Buffer.alloc(0);

  /**
   * @param key 1 to 128 octets
   * @param effectiveBits 1 to 1024
   * @param iv 8 octets
   */
  constructor(direction: 'encrypt' | 'decrypt', key: Uint8Array, effectiveBits: number, iv: Uint8Array) {
    if (key.length < 1 || key.length > 128 || effectiveBits < 1 || effectiveBits > 1024 || iv.length !== 8) {
      throw new SealpostError('cms-malformed', 'an RC2 key of 0 or over 128 octets, or an IV that is not 8');
    }
    this.#words = expandKey(key, effectiveBits);
    this.#decrypt = direction === 'decrypt';
    for (let i = 0; i < 4; i++) this.#chain[i] = (iv[2 * i] ?? 0) | ((iv[2 * i + 1] ?? 0) << 8);
  }

  /** With false, the octets must fill whole blocks, and no padding is added or removed. */
  setAutoPadding(on: boolean): this {
    this.#padding = on;
    return this;
  }

  /** Takes octets and returns those of complete blocks (when decrypting, all but the last one). */
  update(octets: Uint8Array): Buffer {
    const source = this.#rest.length === 0 ? octets : Buffer.concat([this.#rest, octets]);
    let usable = source.length - (source.length % 8);
    // the last block may contain the padding
    if (this.#decrypt && this.#padding && usable === source.length && usable > 0) usable -= 8;
    this.#rest = Buffer.from(source.subarray(usable));
    const result = Buffer.allocUnsafe(usable);
    if (this.#decrypt) this.#decryptBlocks(source, result);
    else this.#encryptBlocks(source, result);
    return result;
  }

  /** The last octets. Errors: an Error if they do not fill a block or the padding is wrong. */
  final(): Buffer {
    if (!this.#padding) {
      if (this.#rest.length > 0) throw new Error('wrong final block length');
      return Buffer.alloc(0);
    }
    if (!this.#decrypt) {
      const padding = 8 - this.#rest.length;
      const last = Buffer.concat([this.#rest, Buffer.alloc(padding, padding)]);
      this.#encryptBlocks(last, last);
      return last;
    }
    if (this.#rest.length !== 8) throw new Error('wrong final block length');
    const last = Buffer.alloc(8);
    this.#decryptBlocks(this.#rest, last);
    const padding = last[7] ?? 0;
    let wrong = padding < 1 || padding > 8 ? 1 : 0;
    for (let i = 0; i < 8; i++) if (i >= 8 - padding) wrong |= (last[i] ?? 0) ^ padding;
    if (wrong !== 0) throw new Error('bad decrypt');
    return last.subarray(0, 8 - padding);
  }

  #encryptBlocks(source: Uint8Array, result: Uint8Array): void {
    const chain = this.#chain;
    for (let at = 0; at < result.length; at += 8) {
      for (let i = 0; i < 4; i++) {
        const word = (source[at + 2 * i] as number) | ((source[at + 2 * i + 1] as number) << 8);
        chain[i] = (chain[i] as number) ^ word;
      }
      encryptBlock(this.#words, chain);
      for (let i = 0; i < 4; i++) {
        const word = chain[i] as number;
        result[at + 2 * i] = word & 0xff;
        result[at + 2 * i + 1] = word >> 8;
      }
    }
  }

  #decryptBlocks(source: Uint8Array, result: Uint8Array): void {
    const chain = this.#chain;
    const block = this.#block;
    for (let at = 0; at < result.length; at += 8) {
      for (let i = 0; i < 4; i++) {
        block[i] = (source[at + 2 * i] as number) | ((source[at + 2 * i + 1] as number) << 8);
      }
      const c0 = block[0] as number;
      const c1 = block[1] as number;
      const c2 = block[2] as number;
      const c3 = block[3] as number;
      decryptBlock(this.#words, block);
      for (let i = 0; i < 4; i++) {
        const word = (block[i] as number) ^ (chain[i] as number);
        result[at + 2 * i] = word & 0xff;
        result[at + 2 * i + 1] = word >> 8;
      }
      chain[0] = c0;
      chain[1] = c1;
      chain[2] = c2;
      chain[3] = c3;
    }
  }
}
