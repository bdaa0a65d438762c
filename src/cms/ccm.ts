import { type CipherCCMTypes, createCipheriv, createDecipheriv } from 'node:crypto';
import { SealpostError } from '../errors.ts';

/**
 * Most content that CCM can buffer. All of it is needed, because the first block contains the length (RFC 3610 section
 * 2.2).
 */
const largestCcm = 64 << 20;

/** The parameters of CCM: the nonce, and the length of the tag in octets (default 16). */
interface CcmParameters {
  readonly iv: Buffer;
  readonly tagOctets: number | undefined;
}

/** CCM needs the length first, so the content is buffered until it is complete. */
export class CcmDecryptor {
  readonly #parameters: CcmParameters;
  readonly #key: Buffer;
  readonly #parts: Buffer[] = [];
  #length = 0;

  constructor(parameters: CcmParameters, key: Buffer) {
    this.#parameters = parameters;
    this.#key = key;
  }

  update(octets: Buffer): Buffer {
    this.#length += octets.length;
    if (this.#length > largestCcm) {
      throw new SealpostError('cms-limit', `more than ${largestCcm} octets encrypted with AES-CCM`);
    }
    this.#parts.push(octets);
    return Buffer.alloc(0);
  }

  final(tag: Buffer, aad: Buffer | undefined): Buffer {
    const { iv, tagOctets } = this.#parameters;
    const authTagLength = tagOctets ?? 16;
    const decipher = createDecipheriv(ccmName(this.#key), this.#key, iv, { authTagLength });
    decipher.setAuthTag(tag);
    if (aad !== undefined) decipher.setAAD(aad, { plaintextLength: this.#length });
    const octets = decipher.update(Buffer.concat(this.#parts));
    decipher.final();
    return octets;
  }
}

/** With a nonce of 12 octets, the length has the remaining three of the first block (RFC 3610 section 2.2). */
const largestCcmWritten = 2 ** 24 - 1;

/**
 * Encrypts with AES-CCM, for partners that require it. The content is buffered until it is complete.
 *
 * Errors: `cms-limit` above 16 MiB less one octet.
 */
export class CcmEncryptor {
  readonly #key: Buffer;
  readonly #iv: Buffer;
  readonly #authTagLength: number;
  readonly #parts: Buffer[] = [];
  #length = 0;
  #tag: Buffer | undefined;

  constructor(key: Buffer, iv: Buffer, authTagLength: number) {
    this.#key = key;
    this.#iv = iv;
    this.#authTagLength = authTagLength;
  }

  update(octets: Buffer): Buffer {
    this.#length += octets.length;
    if (this.#length > largestCcmWritten) {
      throw new SealpostError('cms-limit', `AES-CCM takes at most ${largestCcmWritten} octets of content`, {
        hint: 'agree on aes-256-gcm with this partner, which has no such limit',
      });
    }
    // the writer may reuse its memory
    this.#parts.push(Buffer.from(octets));
    return Buffer.alloc(0);
  }

  final(): Buffer {
    const cipher = createCipheriv(ccmName(this.#key), this.#key, this.#iv, {
      authTagLength: this.#authTagLength,
    });
    const octets = cipher.update(Buffer.concat(this.#parts));
    cipher.final();
    this.#tag = cipher.getAuthTag();
    return octets;
  }

  authTag(): Buffer | undefined {
    return this.#tag;
  }
}

function ccmName(key: Buffer): CipherCCMTypes {
  return key.length === 16 ? 'aes-128-ccm' : key.length === 24 ? 'aes-192-ccm' : 'aes-256-ccm';
}
