/**
 * Sessions of people: an opaque id in a cookie, and beside its hash in Redis what it stands for, sealed. So nobody who
 * reads Redis has an id, and nobody who writes there makes a session.
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
  /** Of the person when it began. */
  epoch: z.number().int(),
  /** What forms of this session carry. */
  csrf: z.string(),
  startedAt: time,
  /** When it ends in any case. */
  endsAt: time,
  /** When the person last showed who it is. */
  provedAt: time,
});
type Stored = z.output<typeof schema>;

export interface Session extends Readonly<Stored> {
  /** What the cookie holds. */
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

  /** A session of that id, which lives on for `idle` unless `quiet`; undefined if there is none. */
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

  /** The same session after its person has shown who it is, with another id; the old one is no more. */
  async prove({ id, ...stored }: Session): Promise<Session> {
    const next = await this.#put({ ...stored, provedAt: this.#parts.now() });
    await this.end(id);
    return next;
  }

  /** Whether a session is still there. This does not lengthen it. */
  async isThere({ id, endsAt }: Session): Promise<boolean> {
    const { redis, now } = this.#parts;
    return endsAt > now() && (await guarded('session', redis.exists(this.#keyOf(hashOf(id))))) === 1;
  }

  async end(id: string): Promise<void> {
    await guarded('session', this.#parts.redis.del(this.#keyOf(hashOf(id))));
  }
}

/** Undefined for what was not sealed with our key, or has another shape. */
function parsed(open: () => unknown): Stored | undefined {
  try {
    return schema.parse(open());
  } catch {
    return undefined;
  }
}
