import { createCipheriv, createDecipheriv, type DecipherGCM } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import { CcmDecryptor } from './ccm.ts';
import { type ContentEncryption, gcmName } from './ciphers.ts';
import { keyText, rawKey } from './native.ts';

/** Authenticated decryption. What `update` returns is not yet authenticated. */
export interface AeadDecryptor {
  update(octets: Buffer): Buffer;
  /**
   * Checks the tag, and returns the last octets.
   * @param aad the additional authenticated data: the attributes that follow the content
   * @throws Error if the tag is wrong
   */
  final(tag: Buffer, aad: Buffer | undefined): Buffer;
}

/** A decryptor for AES-GCM, AES-CCM or ChaCha20-Poly1305 (RFC 5084, RFC 8103). */
export function createAeadDecryptor(encryption: ContentEncryption, key: Buffer): AeadDecryptor {
  const { mode } = encryption.info;
  if (mode === 'ccm') return new CcmDecryptor(encryption, key);
  const authTagLength = encryption.tagOctets ?? 16;
  const secret = keyText(key);
  const options = { ...rawKey, authTagLength };
  if (mode === 'poly1305') {
    const decipher = createDecipheriv('chacha20-poly1305', secret, encryption.iv, options);
    return {
      update: (octets) => decipher.update(octets),
      final: (tag, aad) => {
        if (aad !== undefined) {
          throw new SealpostError('cms-unsupported', 'ChaCha20-Poly1305 with authenticated attributes');
        }
        decipher.setAuthTag(tag);
        return decipher.final();
      },
    };
  }
  return new GcmDecryptor(createDecipheriv(gcmName(key), secret, encryption.iv, options), key, encryption.iv);
}

/**
 * AuthEnvelopedData puts the authenticated attributes after the content, but GCM needs them before it. GHASH is linear,
 * so the tag of the content alone can be derived from the tag of both, and OpenSSL streams the content and checks that
 * one.
 */
class GcmDecryptor implements AeadDecryptor {
  readonly #decipher: DecipherGCM;
  readonly #key: Buffer;
  readonly #iv: Buffer;
  #length = 0;

  constructor(decipher: DecipherGCM, key: Buffer, iv: Buffer) {
    this.#decipher = decipher;
    this.#key = key;
    this.#iv = iv;
  }

  update(octets: Buffer): Buffer {
    this.#length += octets.length;
    return this.#decipher.update(octets);
  }

  final(tag: Buffer, aad: Buffer | undefined): Buffer {
    this.#decipher.setAuthTag(aad === undefined ? tag : this.#withoutAad(tag, aad));
    return this.#decipher.final();
  }

  /**
   * tag xor A·H^(blocks+1) xor length(aad)·H (NIST SP 800-38D section 6.4), where A is the hash of the attributes.
   * OpenSSL does the hashing: under this key and nonce, the attributes alone give the tag (A xor length)·H xor E(J0),
   * and empty input gives E(J0). That leaves a few dozen multiplications to do here, however long the attributes are.
   */
  #withoutAad(tag: Buffer, aad: Buffer): Buffer {
    const ecb = createCipheriv(`aes-${this.#key.length * 8}-ecb`, this.#key, null).setAutoPadding(false);
    const h = toField(ecb.update(Buffer.alloc(16)));
    const length = multiply(BigInt(aad.length * 8) << 64n, h);
    const hash = this.#tagOf(aad) ^ this.#tagOf(Buffer.alloc(0)) ^ length;
    const masked = multiply(hash, power(h, Math.ceil(this.#length / 16))) ^ length;
    const mask = Buffer.from(masked.toString(16).padStart(32, '0'), 'hex');
    return Buffer.from(tag.map((octet, at) => octet ^ (mask[at] ?? 0)));
  }

  /** The tag of attributes without content. */
  #tagOf(aad: Buffer): bigint {
    const cipher = createCipheriv(gcmName(this.#key), this.#key, this.#iv);
    cipher.setAAD(aad);
    cipher.final();
    return toField(cipher.getAuthTag());
  }
}

function toField(block: Buffer): bigint {
  return BigInt(`0x${block.toString('hex')}`);
}

/** Multiplication in GF(2^128) as in GCM: the first bit is the coefficient of x^0 (SP 800-38D section 6.3). */
function multiply(a: bigint, b: bigint): bigint {
  let product = 0n;
  let factor = b;
  for (let bit = 127n; bit >= 0n; bit--) {
    if (((a >> bit) & 1n) === 1n) product ^= factor;
    factor = (factor & 1n) === 1n ? (factor >> 1n) ^ (0xe1n << 120n) : factor >> 1n;
  }
  return product;
}

function power(base: bigint, exponent: number): bigint {
  let result = 1n << 127n;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

/** The tag after the last encrypted octet, as software writes it that puts AEAD into EnvelopedData. */
export class AppendedTag {
  readonly #decryptor: AeadDecryptor;
  readonly #tagOctets: number;
  #held: Buffer = Buffer.alloc(0);

  constructor(decryptor: AeadDecryptor, tagOctets: number) {
    this.#decryptor = decryptor;
    this.#tagOctets = tagOctets;
  }

  update(octets: Buffer): Buffer {
    const all = this.#held.length === 0 ? octets : Buffer.concat([this.#held, octets]);
    const usable = Math.max(0, all.length - this.#tagOctets);
    this.#held = Buffer.from(all.subarray(usable));
    return this.#decryptor.update(all.subarray(0, usable));
  }

  final(): Buffer {
    return this.#decryptor.final(this.#held, undefined);
  }
}
