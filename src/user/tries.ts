/**
 * Limits on tries. None of them depends on a name alone: whoever only knows a name must not be able to lock its owner
 * out. So strangers are limited by address, and a browser in which somebody has logged in before is counted separately.
 * Wrong codes after the right password are limited by person, since whoever gets that far is not a stranger.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import { run, script } from '../redis/index.ts';

export interface TriesParts {
  redis: Redis;
  prefix: string;
}

/** How many tries are allowed in how many milliseconds. */
const limits = {
  address: [10, 600_000],
  device: [10, 600_000],
  code: [10, 3_600_000],
  // Returns from the provider. It may fail for a while, which is no reason to shut an office out.
  provider: [60, 600_000],
  // Passkeys that somebody is about to use: each challenge is remembered for a while.
  challenge: [60, 600_000],
} as const;
type Kind = keyof typeof limits;

/** name, most, milliseconds. Counts a try; returns 0 if there were too many. */
const take = script(`
local key = string.sub(KEYS[1], 1, -3) .. ':tries:' .. ARGV[1]
local tries = redis.call('INCR', key)
if tries == 1 or redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[3]) end
if tries > tonumber(ARGV[2]) then return 0 end
return 1`);

/** name. Takes a try back that was right; never more than was counted. */
const back = script(`
local key = string.sub(KEYS[1], 1, -3) .. ':tries:' .. ARGV[1]
if tonumber(redis.call('GET', key) or 0) > 0 then redis.call('DECR', key) end
return 1`);

export class Tries {
  readonly #parts: TriesParts;

  constructor(parts: TriesParts) {
    this.#parts = parts;
  }

  /**
   * Counts a try; returns what takes it back when it was right.
   *
   * @throws {SealpostError} `login-limited`
   */
  async take(kind: Kind, whose: string): Promise<() => Promise<void>> {
    const { redis, prefix } = this.#parts;
    const [most, span] = limits[kind];
    const name = `${kind}:${whose}`;
    if ((await run(redis, prefix, take, [name, most, span], 'tries')) !== 1)
      throw new SealpostError('login-limited', 'too many logins failed', {
        hint: `try again in ${span / 60_000} minutes`,
      });
    return async () => void (await run(redis, prefix, back, [name], 'tries'));
  }
}

/** One address of IPv4, or the network that one subscriber has in IPv6. */
export function networkOfStranger(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const front = head === '' ? [] : head.split(':');
  const rest = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - rest.length);
  const groups = [...front, ...Array.from({ length: zeros }, () => '0'), ...rest];
  return `${groups
    .slice(0, 4)
    .map((each) => Number.parseInt(each, 16).toString(16))
    .join(':')}::/64`;
}

/** Marks of browsers that a person has logged in with. Signed, so that nobody makes one for somebody else. */
export class Devices {
  readonly #key: Buffer;

  /** @param key 32 octets */
  constructor(key: Buffer) {
    this.#key = key;
  }

  #mac(person: Marked, nonce: string): string {
    const text = JSON.stringify([person.id, person.epoch, nonce]);
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }

  mark(person: Marked): string {
    const nonce = randomBytes(12).toString('base64url');
    return `${nonce}.${this.#mac(person, nonce)}`;
  }

  /** The name of the browser if it has the mark of this person. */
  known(mark: string, person: Marked): string | undefined {
    const [nonce = '', mac = ''] = mark.split('.');
    const own = Buffer.from(this.#mac(person, nonce));
    const given = Buffer.from(mac);
    return own.length === given.length && timingSafeEqual(own, given) ? nonce : undefined;
  }
}

/** A password that was set anew ends what browsers of the old one were trusted with. */
interface Marked {
  id: string;
  epoch: number;
}
