/**
 * Sessions of people: an opaque id in a cookie. Redis has its hash, and beside it what the session stands for, sealed.
 * So nobody who reads Redis learns an id, and nobody who writes there can make a session.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { guarded } from '../redis/index.ts';

export interface SessionsParts {
  redis: Redis;
  prefix: string;
  seal(context: string, value: unknown): Buffer;
  unseal(context: string, sealed: Buffer): unknown;
  /** Milliseconds without a request after which a session ends. */
  idle: number;
  now(): number;
}

const time = z.number().int();
const schema = z.strictObject({
  person: z.string(),
  /** The person's epoch when it began. */
  epoch: z.number().int(),
  /** The token that forms of this session contain. */
  csrf: z.string(),
  startedAt: time,
  /** When it ends in any case. */
  endsAt: time,
  /** When the person last proved who it is. */
  provedAt: time,
});
type Stored = z.output<typeof schema>;

export interface Session extends Readonly<Stored> {
  /** The value of the cookie. */
  readonly id: string;
}

const hashOf = (id: string) => createHash('sha256').update(id).digest('hex');
const form = /^[A-Za-z0-9_-]{43}$/;

export class Sessions {
  readonly #parts: SessionsParts;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  #keyOf(hash: string): string {
    return `${this.#parts.prefix}:session:${hash}`;
  }

  /** The session with that id, which is prolonged by `idle` unless `quiet`; undefined if there is none. */
  async find(id: string, quiet = false): Promise<Session | undefined> {
    if (!form.test(id)) return undefined;
    const { redis, idle, unseal, now } = this.#parts;
    const hash = hashOf(id);
    const key = this.#keyOf(hash);
    const sealed = await guarded(
      'session',
      quiet ? redis.getBuffer(key) : redis.getexBuffer(key, 'PX', idle),
    );
    if (sealed === null) return undefined;
    const stored = parsed(() => unseal(`session:${hash}`, sealed));
    return stored && stored.endsAt > now() ? { ...stored, id } : undefined;
  }

  /** @param lasts milliseconds until it ends in any case */
  async begin(person: { id: string; epoch: number }, lasts: number): Promise<Session> {
    const now = this.#parts.now();
    return await this.#put({
      ...{ person: person.id, epoch: person.epoch, csrf: randomBytes(32).toString('base64url') },
      ...{ startedAt: now, endsAt: now + lasts, provedAt: now },
    });
  }

  async #put(stored: Stored): Promise<Session> {
    const { redis, seal, idle, now } = this.#parts;
    const id = randomBytes(32).toString('base64url');
    const hash = hashOf(id);
    const life = Math.max(1, Math.min(idle, stored.endsAt - now()));
    await guarded('session', redis.set(this.#keyOf(hash), seal(`session:${hash}`, stored), 'PX', life));
    return { ...stored, id };
  }

  /** The same session with another id, after its person has proved who it is. The old id is no longer valid. */
  async prove({ id, ...stored }: Session): Promise<Session> {
    const next = await this.#put({ ...stored, provedAt: this.#parts.now() });
    await this.end(id);
    return next;
  }

  /** Whether a session still exists. This does not prolong it. */
  async isThere({ id, endsAt }: Session): Promise<boolean> {
    const { redis, now } = this.#parts;
    return endsAt > now() && (await guarded('session', redis.exists(this.#keyOf(hashOf(id))))) === 1;
  }

  async end(id: string): Promise<void> {
    await guarded('session', this.#parts.redis.del(this.#keyOf(hashOf(id))));
  }
}

/** Undefined for data that was not sealed with our key, or has another shape. */
function parsed(open: () => unknown): Stored | undefined {
  try {
    return schema.parse(open());
  } catch {
    return undefined;
  }
}
