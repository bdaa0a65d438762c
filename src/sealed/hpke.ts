/**
 * HPKE in base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, one message for each
 * encapsulation. Whoever has the public key can seal; only who has the private key can open.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { SealpostError } from '../errors.ts';

/** The ciphers of RFC 9180 section 7.3 that are known here; the first one is used. */
const aeads = {
  'aes-256-gcm': { id: 2, key: 32 },
  'aes-128-gcm': { id: 1, key: 16 },
} as const;
export type Aead = keyof typeof aeads;

const kem = Buffer.concat([Buffer.from('KEM'), uint16(0x20)]);
const nonceSize = 12;
const tagSize = 16;
/** Octets of a public key, and of an encapsulation. */
export const keySize = 32;
/** DER before the 32 octets of a key (RFC 8410). */
const pkcs8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const spki = Buffer.from('302a300506032b656e032100', 'hex');

function uint16(value: number): Buffer {
  const octets = Buffer.alloc(2);
  octets.writeUInt16BE(value);
  return octets;
}

/** @param octets 32 octets, of which X25519 makes a scalar */
export function privateKeyOf(octets: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([pkcs8, octets]), format: 'der', type: 'pkcs8' });
}

export function publicKeyOf(octets: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([spki, octets]), format: 'der', type: 'spki' });
}

/** The 32 octets of a public key, or of that of a private key. */
export function publicOctets(key: KeyObject): Buffer {
  const own = key.type === 'private' ? createPublicKey(key) : key;
  return own.export({ format: 'der', type: 'spki' }).subarray(spki.length);
}

function hmac(key: Buffer, ...parts: Buffer[]): Buffer {
  const hash = createHmac('sha256', key);
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const version = Buffer.from('HPKE-v1');

function labeledExtract(suite: Buffer, salt: Buffer, label: string, octets: Buffer): Buffer {
  return hmac(salt, version, suite, Buffer.from(label), octets);
}

/** RFC 5869 section 2.3, for at most two blocks. */
function labeledExpand(suite: Buffer, secret: Buffer, label: string, info: Buffer, length: number): Buffer {
  const text = Buffer.concat([uint16(length), version, suite, Buffer.from(label), info]);
  let block: Buffer = Buffer.alloc(0);
  let out: Buffer = Buffer.alloc(0);
  for (let count = 1; out.length < length; count += 1) {
    block = hmac(secret, block, text, Buffer.from([count]));
    out = Buffer.concat([out, block]);
  }
  return out.subarray(0, length);
}

/** RFC 9180 section 4.1 (ExtractAndExpand) and 5.1 (KeySchedule, mode base). */
function schedule(shared: Buffer, context: Buffer, info: Buffer, aead: Aead): { key: Buffer; nonce: Buffer } {
  const prk = labeledExtract(kem, Buffer.alloc(0), 'eae_prk', shared);
  const secret = labeledExpand(kem, prk, 'shared_secret', context, 32);
  const { id, key: keyLength } = aeads[aead];
  const suite = Buffer.concat([Buffer.from('HPKE'), uint16(0x20), uint16(1), uint16(id)]);
  const none = Buffer.alloc(0);
  const ids = labeledExtract(suite, none, 'psk_id_hash', none);
  const infos = labeledExtract(suite, none, 'info_hash', info);
  const whole = Buffer.concat([Buffer.from([0]), ids, infos]);
  const base = labeledExtract(suite, secret, 'secret', none);
  return {
    key: labeledExpand(suite, base, 'key', whole, keyLength),
    nonce: labeledExpand(suite, base, 'base_nonce', whole, nonceSize),
  };
}

export interface Parameters {
  /** What it is for. */
  info: Buffer;
  /** What is bound to it and not secret. */
  aad: Buffer;
  aead?: Aead;
}

/**
 * Seals for a public key: encapsulation, ciphertext, tag.
 *
 * @param ephemeral for the tests
 */
export function seal(
  recipient: KeyObject,
  plaintext: readonly Buffer[],
  { info, aad, aead = 'aes-256-gcm' }: Parameters,
  ephemeral: KeyObject = generateKeyPairSync('x25519').privateKey,
): Buffer {
  const encapsulated = publicOctets(ephemeral);
  const shared = diffieHellman({ privateKey: ephemeral, publicKey: recipient });
  const context = Buffer.concat([encapsulated, publicOctets(recipient)]);
  const { key, nonce } = schedule(shared, context, info, aead);
  const cipher = createCipheriv(aead, key, nonce, { authTagLength: tagSize }).setAAD(aad);
  const pieces = plaintext.map((piece) => cipher.update(piece));
  return Buffer.concat([encapsulated, ...pieces, cipher.final(), cipher.getAuthTag()]);
}

/** Opens what was sealed for a key. Errors: `request-invalid`, the same for whatever is wrong. */
export function open(
  recipient: KeyObject,
  sealed: Buffer,
  { info, aad, aead = 'aes-256-gcm' }: Parameters,
): Buffer {
  try {
    if (sealed.length < keySize + tagSize) throw new Error('too short');
    const encapsulated = sealed.subarray(0, keySize);
    // A point of small order makes the shared secret zero, which OpenSSL refuses (RFC 9180 section 7.1.4).
    const shared = diffieHellman({ privateKey: recipient, publicKey: publicKeyOf(encapsulated) });
    const context = Buffer.concat([encapsulated, publicOctets(recipient)]);
    const { key, nonce } = schedule(shared, context, info, aead);
    const decipher = createDecipheriv(aead, key, nonce, { authTagLength: tagSize }).setAAD(aad);
    decipher.setAuthTag(sealed.subarray(-tagSize));
    const plain = decipher.update(sealed.subarray(keySize, -tagSize));
    return Buffer.concat([plain, decipher.final()]);
  } catch (cause) {
    throw new SealpostError('request-invalid', 'the job was not sealed for this queue and client', {
      hint: 'give the program the key and the name that sealpost clients queue prints',
      cause,
    });
  }
}
