import { hash } from 'node:crypto';

/**
 * Iterates a digest hundreds of thousands of times, as PKCS#12 does to derive its keys (RFC 7292 appendix B.2):
 * `digest` is applied `rounds` times to `start`, which is a digest itself.
 *
 * node:crypto has no such operation, and calling it costs several times as much as the step itself. A file with 600,000
 * iterations needs seven such runs with SHA-1. Newer files need one, with SHA-256; the rest is PBKDF2. What is hashed
 * comes from a password in the operator's own file.
 */
export function iterated(digest: string, start: Buffer, rounds: number): Buffer {
  const own = ownSteps.get(digest);
  if (own !== undefined && start.length === own.words * 4) return iteratedHere(own, start, rounds);
  let output = start;
  for (let round = 0; round < rounds; round++) output = hash(digest, output, 'buffer');
  return output;
}

/**
 * Digests whose step is implemented here: the number of their words, and the function for the one block that they fill.
 */
const ownSteps = new Map<string, { words: number; compress: (w: Int32Array) => void }>([
  ['sha1', { words: 5, compress: compressSha1 }],
  ['sha256', { words: 8, compress: compressSha256 }],
]);

/** The block is the digest and the padding of a block that holds nothing else (FIPS 180-4, section 5.1.1). */
function iteratedHere(
  { words, compress }: { words: number; compress: (w: Int32Array) => void },
  start: Buffer,
  rounds: number,
): Buffer {
  const w = new Int32Array(80);
  for (let at = 0; at < words; at++) w[at] = start.readInt32BE(at * 4);
  for (let round = 0; round < rounds; round++) {
    w.fill(0, words, 16);
    w[words] = 0x80000000 | 0;
    w[15] = words * 32;
    compress(w);
  }
  const output = Buffer.alloc(words * 4);
  for (let at = 0; at < words; at++) output.writeInt32BE(word(w, at), at * 4);
  return output;
}

/**
 * One block of SHA-1 from its initial state (FIPS 180-4, section 6.1.2). The digest replaces the first words. The loop
 * does five steps at a time, after which each variable has its own place again. Moving them at each step would take
 * twice as long.
 */
function compressSha1(w: Int32Array): void {
  for (let at = 16; at < 80; at++) {
    const mixed = word(w, at - 3) ^ word(w, at - 8) ^ word(w, at - 14) ^ word(w, at - 16);
    w[at] = (mixed << 1) | (mixed >>> 31);
  }
  let a = 0x67452301;
  let b = 0xefcdab89 | 0;
  let c = 0x98badcfe | 0;
  let d = 0x10325476;
  let e = 0xc3d2e1f0 | 0;
  for (let at = 0; at < 20; at += 5) {
    e = (((((a << 5) | (a >>> 27)) + (d ^ (b & (c ^ d))) + e + 0x5a827999) | 0) + word(w, at)) | 0;
    b = (b << 30) | (b >>> 2);
    d = (((((e << 5) | (e >>> 27)) + (c ^ (a & (b ^ c))) + d + 0x5a827999) | 0) + word(w, at + 1)) | 0;
    a = (a << 30) | (a >>> 2);
    c = (((((d << 5) | (d >>> 27)) + (b ^ (e & (a ^ b))) + c + 0x5a827999) | 0) + word(w, at + 2)) | 0;
    e = (e << 30) | (e >>> 2);
    b = (((((c << 5) | (c >>> 27)) + (a ^ (d & (e ^ a))) + b + 0x5a827999) | 0) + word(w, at + 3)) | 0;
    d = (d << 30) | (d >>> 2);
    a = (((((b << 5) | (b >>> 27)) + (e ^ (c & (d ^ e))) + a + 0x5a827999) | 0) + word(w, at + 4)) | 0;
    c = (c << 30) | (c >>> 2);
  }
  for (let at = 20; at < 40; at += 5) {
    e = (((((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + 0x6ed9eba1) | 0) + word(w, at)) | 0;
    b = (b << 30) | (b >>> 2);
    d = (((((e << 5) | (e >>> 27)) + (a ^ b ^ c) + d + 0x6ed9eba1) | 0) + word(w, at + 1)) | 0;
    a = (a << 30) | (a >>> 2);
    c = (((((d << 5) | (d >>> 27)) + (e ^ a ^ b) + c + 0x6ed9eba1) | 0) + word(w, at + 2)) | 0;
    e = (e << 30) | (e >>> 2);
    b = (((((c << 5) | (c >>> 27)) + (d ^ e ^ a) + b + 0x6ed9eba1) | 0) + word(w, at + 3)) | 0;
    d = (d << 30) | (d >>> 2);
    a = (((((b << 5) | (b >>> 27)) + (c ^ d ^ e) + a + 0x6ed9eba1) | 0) + word(w, at + 4)) | 0;
    c = (c << 30) | (c >>> 2);
  }
  for (let at = 40; at < 60; at += 5) {
    e = (((((a << 5) | (a >>> 27)) + ((b & c) | (d & (b | c))) + e + 0x8f1bbcdc) | 0) + word(w, at)) | 0;
    b = (b << 30) | (b >>> 2);
    d = (((((e << 5) | (e >>> 27)) + ((a & b) | (c & (a | b))) + d + 0x8f1bbcdc) | 0) + word(w, at + 1)) | 0;
    a = (a << 30) | (a >>> 2);
    c = (((((d << 5) | (d >>> 27)) + ((e & a) | (b & (e | a))) + c + 0x8f1bbcdc) | 0) + word(w, at + 2)) | 0;
    e = (e << 30) | (e >>> 2);
    b = (((((c << 5) | (c >>> 27)) + ((d & e) | (a & (d | e))) + b + 0x8f1bbcdc) | 0) + word(w, at + 3)) | 0;
    d = (d << 30) | (d >>> 2);
    a = (((((b << 5) | (b >>> 27)) + ((c & d) | (e & (c | d))) + a + 0x8f1bbcdc) | 0) + word(w, at + 4)) | 0;
    c = (c << 30) | (c >>> 2);
  }
  for (let at = 60; at < 80; at += 5) {
    e = (((((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + 0xca62c1d6) | 0) + word(w, at)) | 0;
    b = (b << 30) | (b >>> 2);
    d = (((((e << 5) | (e >>> 27)) + (a ^ b ^ c) + d + 0xca62c1d6) | 0) + word(w, at + 1)) | 0;
    a = (a << 30) | (a >>> 2);
    c = (((((d << 5) | (d >>> 27)) + (e ^ a ^ b) + c + 0xca62c1d6) | 0) + word(w, at + 2)) | 0;
    e = (e << 30) | (e >>> 2);
    b = (((((c << 5) | (c >>> 27)) + (d ^ e ^ a) + b + 0xca62c1d6) | 0) + word(w, at + 3)) | 0;
    d = (d << 30) | (d >>> 2);
    a = (((((b << 5) | (b >>> 27)) + (c ^ d ^ e) + a + 0xca62c1d6) | 0) + word(w, at + 4)) | 0;
    c = (c << 30) | (c >>> 2);
  }
  w[0] = (a + 0x67452301) | 0;
  w[1] = (b + 0xefcdab89) | 0;
  w[2] = (c + 0x98badcfe) | 0;
  w[3] = (d + 0x10325476) | 0;
  w[4] = (e + 0xc3d2e1f0) | 0;
}

/** FIPS 180-4, section 4.2.2: the first bits of the fractional parts of the cube roots of the first 64 primes. */
const roots = Int32Array.from(firstPrimes(64), (prime) => (Math.cbrt(prime) % 1) * 2 ** 32);

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let number = 2; primes.length < count; number++)
    if (primes.every((prime) => number % prime !== 0)) primes.push(number);
  return primes;
}

/** Like `compressSha1`, for SHA-256 (FIPS 180-4, section 6.2.2). */
function compressSha256(w: Int32Array): void {
  for (let at = 16; at < 64; at++) {
    const x = word(w, at - 15);
    const y = word(w, at - 2);
    const s0 = turned(x, 7) ^ turned(x, 18) ^ (x >>> 3);
    const s1 = turned(y, 17) ^ turned(y, 19) ^ (y >>> 10);
    w[at] = (word(w, at - 16) + s0 + word(w, at - 7) + s1) | 0;
  }
  let a = 0x6a09e667;
  let b = 0xbb67ae85 | 0;
  let c = 0x3c6ef372;
  let d = 0xa54ff53a | 0;
  let e = 0x510e527f;
  let f = 0x9b05688c | 0;
  let g = 0x1f83d9ab;
  let h = 0x5be0cd19;
  for (let at = 0; at < 64; at++) {
    const s1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const t1 = (h + s1 + (g ^ (e & (f ^ g))) + word(roots, at) + word(w, at)) | 0;
    const s0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const t2 = (s0 + ((a & b) | (c & (a | b)))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  w[0] = (a + 0x6a09e667) | 0;
  w[1] = (b + 0xbb67ae85) | 0;
  w[2] = (c + 0x3c6ef372) | 0;
  w[3] = (d + 0xa54ff53a) | 0;
  w[4] = (e + 0x510e527f) | 0;
  w[5] = (f + 0x9b05688c) | 0;
  w[6] = (g + 0x1f83d9ab) | 0;
  w[7] = (h + 0x5be0cd19) | 0;
}

function turned(x: number, bits: number): number {
  return (x >>> bits) | (x << (32 - bits));
}

function word(w: Int32Array, at: number): number {
  return w[at] ?? 0;
}
