/**
 * Acts that wait for a second person (`console.fourEyes`): an operation with its arguments, sealed, as the first person
 * asked for it. Another person confirms or refuses it. The first one can only withdraw it.
 */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { SealpostError } from '../errors.ts';
import { guarded } from '../redis/index.ts';

export interface SecondsParts {
  redis: Redis;
  prefix: string;
  seal(context: string, value: unknown): Buffer;
  unseal(context: string, sealed: Buffer): unknown;
  now(): number;
}

const texts = z.record(z.string(), z.string());
const schema = z.strictObject({
  id: z.string(),
  operation: z.string(),
  params: texts,
  query: texts,
  json: z.unknown(),
  /** Who asked. */
  person: z.string(),
  name: z.string(),
  at: z.number().int(),
});

export type AskedFor = z.output<typeof schema>;

/** After this many milliseconds, it can no longer be confirmed. */
const lasts = 24 * 3_600_000;
/** How many acts of one person may wait, so that nobody keeps others from asking. */
const mostEach = 50;

export class Seconds {
  readonly #parts: SecondsParts;

  constructor(parts: SecondsParts) {
    this.#parts = parts;
  }

  get #key(): string {
    return `${this.#parts.prefix}:seconds`;
  }

  /** Errors: `rate-limited` if too much of that person waits already. */
  async ask(asked: Omit<AskedFor, 'id' | 'at'>): Promise<AskedFor> {
    const { redis, seal, now } = this.#parts;
    const own = (await this.list()).filter(({ person }) => person === asked.person);
    if (own.length >= mostEach)
      throw new SealpostError('rate-limited', `${mostEach} acts of ${asked.name} wait for a second person`, {
        hint: 'take some of them back, or have them confirmed',
      });
    const id = randomBytes(8).toString('hex');
    const whole = { ...asked, id, at: now() };
    await guarded('second', redis.hset(this.#key, id, seal(`second:${id}`, whole).toString('base64')));
    return whole;
  }

  /** Oldest first. Acts that are too old are dropped. */
  async list(): Promise<AskedFor[]> {
    const { redis, now } = this.#parts;
    const fields = await guarded('second', redis.hgetall(this.#key));
    const found: AskedFor[] = [];
    for (const [id, text] of Object.entries(fields)) {
      const asked = this.#opened(id, text);
      if (asked === undefined || now() - asked.at > lasts) await redis.hdel(this.#key, id);
      else found.push(asked);
    }
    return found.sort((a, b) => a.at - b.at);
  }

  #opened(id: string, text: string): AskedFor | undefined {
    try {
      const value = this.#parts.unseal(`second:${id}`, Buffer.from(text, 'base64'));
      return schema.parse(value);
    } catch {
      return undefined;
    }
  }

  async find(id: string): Promise<AskedFor | undefined> {
    return (await this.list()).find((each) => each.id === id);
  }

  /** Removes it. Of several callers at a time, one gets true. */
  async take(id: string): Promise<boolean> {
    return (await guarded('second', this.#parts.redis.hdel(this.#key, id))) === 1;
  }
}
