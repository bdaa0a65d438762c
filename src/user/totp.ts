/**
 * Codes of authenticator apps: TOTP with SHA-1, six digits and 30 seconds (RFC 6238, RFC 4226), which all apps support.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** Seconds. */
const period = 30;

/** A new secret of 160 bits, in base32 (RFC 4648 section 6). */
export function newTotpSecret(): string {
  const bits = [...randomBytes(20)].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? []).map((five) => alphabet.charAt(Number.parseInt(five, 2))).join('');
}

function octetsOf(secret: string): Buffer {
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((eight) => Number.parseInt(eight, 2)));
}

/** RFC 4226 section 5.3. */
function codeOf(key: Buffer, counter: number, digits: number): string {
  const moving = Buffer.alloc(8);
  moving.writeBigUInt64BE(BigInt(counter));
  const mac = createHmac('sha1', key).update(moving).digest();
  const offset = (mac.at(-1) ?? 0) & 0x0f;
  const number = mac.readUInt32BE(offset) & 0x7fffffff;
  return String(number % 10 ** digits).padStart(digits, '0');
}

/**
 * The code at a time.
 *
 * @param secret in base32
 * @param at milliseconds since the epoch
 */
export function totpAt(secret: string, at: number, digits = 6): string {
  return codeOf(octetsOf(secret), Math.floor(at / 1000 / period), digits);
}

/**
 * The time step of a code, the current one or one beside it; undefined if it matches none. It always compares all of
 * them.
 */
export function totpStep(secret: string, code: string, now: number): number | undefined {
  const key = octetsOf(secret);
  const current = Math.floor(now / 1000 / period);
  const given = Buffer.from(code.replaceAll(' ', '').padEnd(6).slice(0, 12));
  let found: number | undefined;
  for (const step of [current - 1, current, current + 1]) {
    const own = Buffer.from(codeOf(key, step, 6));
    if (own.length === given.length && timingSafeEqual(own, given)) found = step;
  }
  return found;
}

/** The URI that an authenticator app reads. */
export function totpUri(secret: string, name: string): string {
  return `otpauth://totp/Sealpost:${encodeURIComponent(name)}?secret=${secret}&issuer=Sealpost`;
}
