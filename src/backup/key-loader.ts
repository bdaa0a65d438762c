/** Keys of a backup, written into Redis in portions. */
import type { ChainableCommander, Redis } from 'ioredis';
import { guarded } from '../redis/index.ts';
import { invalid } from './archive.ts';
import type { KeyType } from './kinds.ts';

/** How many commands and octets one round trip takes. */
const mostCommands = 500;
const mostOctets = 1024 * 1024;

export class KeyLoader {
  readonly #redis: Redis;
  readonly #prefix: string;
  #pipeline: ChainableCommander;
  #commands = 0;
  #octets = 0;
  /** The key that is being written. */
  #key = '';
  #type: KeyType = 'string';
  #expiresAt = 0;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#pipeline = redis.pipeline();
  }

  async key(name: string, type: KeyType, expiresAt: number): Promise<void> {
    this.#endKey();
    this.#key = `${this.#prefix}:${name}`;
    [this.#type, this.#expiresAt] = [type, expiresAt];
    this.#pipeline.del(this.#key);
    await this.#sent(1, 0);
  }

  async elements(elements: readonly Buffer[]): Promise<void> {
    let commands = 1;
    const key = this.#key;
    const [first, second] = elements;
    if (first === undefined) return;
    if (this.#type === 'string') this.#pipeline.append(key, first);
    else if (this.#type === 'set') this.#pipeline.sadd(key, ...elements);
    else if (second === undefined || (this.#type !== 'stream' && elements.length % 2 !== 0)) throw odd();
    else if (this.#type === 'hash') this.#pipeline.hset(key, ...elements);
    else if (this.#type === 'zset') this.#pipeline.zadd(key, ...pairs(elements));
    else commands = this.#stream(elements);
    await this.#sent(
      commands,
      elements.reduce((sum, { length }) => sum + length, 0),
    );
  }

  #stream(elements: readonly Buffer[]): number {
    let commands = 0;
    for (let at = 0; at < elements.length; commands += 1) {
      const [id, count] = [elements[at], Number(elements[at + 1])];
      const fields = elements.slice(at + 2, at + 2 + count);
      if (id === undefined || !(count > 0) || fields.length !== count) throw odd();
      this.#pipeline.xadd(this.#key, id.toString('latin1'), ...fields);
      at += 2 + count;
    }
    return commands;
  }

  async gone(name: string): Promise<void> {
    this.#endKey();
    this.#pipeline.del(`${this.#prefix}:${name}`);
    await this.#sent(1, 0);
  }

  async end(): Promise<void> {
    this.#endKey();
    await this.#flush();
  }

  #endKey(): void {
    if (this.#key !== '' && this.#expiresAt > 0) this.#pipeline.pexpireat(this.#key, this.#expiresAt);
    this.#key = '';
  }

  async #sent(commands: number, octets: number): Promise<void> {
    this.#commands += commands;
    this.#octets += octets;
    if (this.#commands >= mostCommands || this.#octets >= mostOctets) await this.#flush();
  }

  /** The first error of a command counts: after `redis-full`, for example, nothing would be complete. */
  async #flush(): Promise<void> {
    const pipeline = this.#pipeline;
    this.#pipeline = this.#redis.pipeline();
    [this.#commands, this.#octets] = [0, 0];
    const replies = (await guarded('restore', pipeline.exec())) ?? [];
    for (const [error] of replies) if (error) await guarded('restore', Promise.reject(error));
  }
}

/** Member and score in reverse order, as ZSCAN gives them. */
function* pairs(elements: readonly Buffer[]): Generator<Buffer> {
  for (let at = 0; at + 1 < elements.length; at += 2) {
    const [member, score] = [elements[at], elements[at + 1]];
    if (member !== undefined && score !== undefined) yield* [score, member];
  }
}

const odd = () => invalid('elements of a key do not fit its type');
