import { hash } from 'node:crypto';

/**
 * A digest of a digest of a digest, hundreds of thousands of times, as PKCS#12 derives its keys (RFC 7292 appendix B.2):
 * `digest` applied `rounds` times to `start`, which is one itself.
 *
 * node:crypto has no such operation, and for SHA-1 the call of it takes several times what the step takes. A file of
 * 600,000 iterations needs seven such rows. What is hashed is made of a password in the operator's own file.
 */
export function iterated(digest: string, start: Buffer, rounds: number): Buffer {
  if (digest === 'sha1' && start.length === 20) return iteratedSha1(start, rounds);
  let output = start;
  for (let round = 0; round < rounds; round++) output = hash(digest, output, 'buffer');
  return output;
}

/** Octets in one step: five words, and the padding of a block that holds nothing else (FIPS 180-4, section 5.1.1). */
const words = 5;

function iteratedSha1(start: Buffer, rounds: number): Buffer {
  const w = new Int32Array(80);
  for (let at = 0; at < words; at++) w[at] = start.readInt32BE(at * 4);
  for (let round = 0; round < rounds; round++) {
    w.fill(0, words, 16);
    w[words] = 0x80000000 | 0;
    w[15] = words * 32;
    compress(w);
  }
  const output = Buffer.alloc(words * 4);
  for (let at = 0; at < words; at++) output.writeInt32BE(w[at] ?? 0, at * 4);
  return output;
}

/** One block of SHA-1 from its first state (FIPS 180-4, section 6.1.2); the digest replaces the first words. */
function compress(w: Int32Array): void {
  for (let at = 16; at < 80; at++) {
    const mixed = (w[at - 3] ?? 0) ^ (w[at - 8] ?? 0) ^ (w[at - 14] ?? 0) ^ (w[at - 16] ?? 0);
    w[at] = (mixed << 1) | (mixed >>> 31);
  }
  let a = 0x67452301;
  let b = 0xefcdab89 | 0;
  let c = 0x98badcfe | 0;
  let d = 0x10325476;
  let e = 0xc3d2e1f0 | 0;
  for (let at = 0; at < 80; at++) {
    let f: number;
    if (at < 20) f = ((b & c) | (~b & d)) + 0x5a827999;
    else if (at < 40) f = (b ^ c ^ d) + 0x6ed9eba1;
    else if (at < 60) f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    else f = (b ^ c ^ d) + 0xca62c1d6;
    const next = (((a << 5) | (a >>> 27)) + f + e + (w[at] ?? 0)) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = next;
  }
  w[0] = (a + 0x67452301) | 0;
  w[1] = (b + 0xefcdab89) | 0;
  w[2] = (c + 0x98badcfe) | 0;
  w[3] = (d + 0x10325476) | 0;
  w[4] = (e + 0xc3d2e1f0) | 0;
}
