/**
 * Passwords of people: argon2id (RFC 9106), 64 MiB and three passes. A process computes two at a time, because each
 * takes a thread of the pool that also writes files. Few may wait, so that a flood of logins is refused instead of
 * queued.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { SealpostError } from '../errors.ts';
import type { StoredPassword } from './stored.ts';

const derive = promisify(argon2);

/** RFC 9106 section 4, the second recommended option. */
const cost = { memory: 64 * 1024, passes: 3 } as const;
const parallelism = 4;
const tagLength = 32;

export const leastLength = 12;
/** Longer than any password that a person remembers or a program makes. */
export const mostLength = 200;

const atATime = 2;
const mostWaiting = 20;

/** Whether it is a known browser: those do not wait behind strangers. */
export type Lane = 'known' | 'stranger';

/** Two places, and two queues before them. */
export class Places {
  #free = atATime;
  readonly #lines: Record<Lane, (() => void)[]> = { known: [], stranger: [] };

  /** Errors: `login-limited` if the queue is full. */
  async within<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
    if (this.#free === 0) {
      const line = this.#lines[lane];
      if (line.length >= mostWaiting) throw new SealpostError('login-limited', 'too many logins at a time');
      await new Promise<void>((resolve) => line.push(resolve));
    } else this.#free -= 1;
    try {
      return await work();
    } finally {
      const next = this.#lines.known.shift() ?? this.#lines.stranger.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

const places = new Places();

async function hashOf(text: string, { salt, memory, passes }: Omit<StoredPassword, 'hash'>): Promise<Buffer> {
  const message = Buffer.from(text.normalize('NFKC'));
  const nonce = Buffer.from(salt, 'base64');
  return await derive('argon2id', { message, nonce, parallelism, tagLength, memory, passes });
}

/** A password that nobody has: a login without a person takes as long as one with a wrong password. */
const nobody: StoredPassword = {
  ...cost,
  salt: randomBytes(16).toString('base64'),
  hash: randomBytes(tagLength).toString('base64'),
};

/** Errors: `request-invalid` with what is wrong with it. */
export function checkNewPassword(text: string, name: string): void {
  const refuse = (why: string) => {
    throw new SealpostError('request-invalid', `the password ${why}`);
  };
  if (text.length < leastLength) refuse(`has less than ${leastLength} characters`);
  if (text.length > mostLength) refuse(`has more than ${mostLength} characters`);
  if (new Set(text.toLowerCase()).size < 5) refuse('repeats the same few characters');
  if (text.toLowerCase().includes(name.toLowerCase()) && name.length >= 3) refuse('contains your name');
}

export async function storePassword(text: string): Promise<StoredPassword> {
  const salt = randomBytes(16).toString('base64');
  const hash = await places.within('known', () => hashOf(text, { ...cost, salt }));
  return { ...cost, salt, hash: hash.toString('base64') };
}

/** Whether the password is right. Without a person, it takes as long and is wrong. Errors: `login-limited`. */
export async function isPassword(text: string, stored: StoredPassword | null, lane: Lane): Promise<boolean> {
  const against = stored ?? nobody;
  const tried = text.slice(0, mostLength);
  const hash = await places.within(lane, () => hashOf(tried, against));
  const right = timingSafeEqual(hash, Buffer.from(against.hash, 'base64'));
  return right && stored !== null && tried.length === text.length;
}
