/** When certificates were seen in traffic: a hint for people, noted now and then, and no ground for any decision. */
import type { Redis } from 'ioredis';
import { guarded } from '../redis/index.ts';

export interface SeenParts {
  redis: Pick<Redis, 'pipeline'>;
  prefix: string;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Milliseconds between two notes of one certificate, and between two writes of all of them. */
const notedEvery = 60_000;
const writtenEvery = 5_000;
/** Certificates that one process remembers; more are noted again too early. */
const most = 100_000;

export class SeenCertificates {
  readonly #parts: SeenParts;
  readonly #noted = new Map<string, number>();
  readonly #due = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: SeenParts) {
    this.#parts = parts;
  }

  /** @param thumbprint of a certificate that is known: those of strangers would have no end */
  note(thumbprint: string): void {
    const now = this.#parts.now();
    const last = this.#noted.get(thumbprint);
    if (last !== undefined && Math.abs(now - last) < notedEvery) return;
    if (this.#noted.size >= most) this.#noted.clear();
    this.#noted.set(thumbprint, now);
    this.#due.set(thumbprint, now);
    this.#timer ??= setTimeout(() => void this.flush(), writtenEvery).unref();
  }

  /** Writes what was noted. A failure costs no more than a minute of a hint. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#due.size === 0) return;
    const { redis, prefix } = this.#parts;
    const pipeline = redis.pipeline();
    for (const [thumbprint, at] of this.#due)
      pipeline.hsetnx(`${prefix}:certs:first`, thumbprint, at).hset(`${prefix}:certs:last`, thumbprint, at);
    this.#due.clear();
    await pipeline.exec().catch(() => undefined);
  }
}

export interface SeenTimes {
  /** Milliseconds since the epoch. */
  first: number | null;
  last: number | null;
}

/** When each of these certificates was seen. Errors: `redis-unreachable`. */
export async function seenTimes(
  { redis, prefix }: { redis: Pick<Redis, 'hmget'>; prefix: string },
  thumbprints: readonly string[],
): Promise<Map<string, SeenTimes>> {
  const found = new Map<string, SeenTimes>();
  for (let at = 0; at < thumbprints.length; at += 1000) {
    const some = thumbprints.slice(at, at + 1000);
    const [first, last] = await Promise.all([
      guarded('certs', redis.hmget(`${prefix}:certs:first`, ...some)),
      guarded('certs', redis.hmget(`${prefix}:certs:last`, ...some)),
    ]);
    const time = (text: string | null | undefined) => (text ? Number(text) : null);
    for (const [index, thumbprint] of some.entries())
      found.set(thumbprint, { first: time(first[index]), last: time(last[index]) });
  }
  return found;
}
