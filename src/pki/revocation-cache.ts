import { LRUCache } from 'lru-cache';
import { toErrorInfo } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import type { Crl } from './crl.ts';
import type { OcspResponse } from './ocsp.ts';

/** How long an answer is used before it is fetched again, even if it stays valid for longer. */
const longestAge = 24 * 3_600_000;
/** How long a failure or an outdated answer is kept, so that a broken server is not contacted for each message. */
export const shortestAge = 60_000;

export interface Fetched<T> {
  value: T;
  /** Octets. */
  size: number;
  /** When it expires, in milliseconds since 1970. */
  holdsUntil: number;
}

type Entry<T> = ({ value: T } | { failure: Error }) & { size: number; until: number };

/**
 * Fetched answers of one kind, by key. When they become too large, the least recently used go first. One that is larger
 * than the whole cache is not kept, so it displaces nothing.
 */
export class FetchStore<T> {
  readonly #entries: LRUCache<string, Entry<T>>;
  readonly #pending = new Map<string, Promise<T>>();

  /** @param maxSize octets to keep */
  constructor(maxSize: number) {
    this.#entries = new LRUCache({ maxSize, sizeCalculation: ({ size }) => Math.max(1, size) });
  }

  /** The cached value, or the result of `fetch`. Concurrent callers share one request. */
  async get(key: string, now: Date, fetch: () => Promise<Fetched<T>>): Promise<T> {
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.until > now.getTime()) {
      if ('failure' in entry) throw entry.failure;
      return entry.value;
    }
    const pending = this.#pending.get(key) ?? this.#fetch(key, now.getTime(), fetch);
    this.#pending.set(key, pending);
    return pending;
  }

  /** What is kept now. */
  *values(): Generator<T> {
    for (const entry of this.#entries.values()) if ('value' in entry) yield entry.value;
  }

  async #fetch(key: string, now: number, fetch: () => Promise<Fetched<T>>): Promise<T> {
    try {
      const { value, size, holdsUntil } = await fetch();
      const until = Math.max(now + shortestAge, Math.min(now + longestAge, holdsUntil));
      this.#entries.set(key, { value, size, until });
      return value;
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(toErrorInfo(error).message);
      this.#entries.set(key, { failure, size: 200, until: now + shortestAge });
      throw failure;
    } finally {
      this.#pending.delete(key);
    }
  }
}

/** Caches what was fetched for revocation. One per process. */
export class RevocationCache {
  readonly crls: FetchStore<Crl>;
  readonly answers: FetchStore<OcspResponse>;
  readonly issuers: FetchStore<Certificate[]>;

  /** Lists whose authority is late with the next one, or that have ended. */
  endingLists(at: Date): Crl[] {
    return [...this.crls.values()].filter((crl) => isEnding(crl, at));
  }

  /** @param maxSize octets of lists to keep; answers and issuers get a sixteenth of it each */
  constructor(maxSize = 128 * 1024 * 1024) {
    this.crls = new FetchStore(maxSize);
    this.answers = new FetchStore(Math.ceil(maxSize / 16));
    this.issuers = new FetchStore(Math.ceil(maxSize / 16));
  }
}

/** The share of a list's life that is left when its successor should be there. */
const lateShare = 0.1;

/** Whether a list has ended, or is so near its end that its authority should have published the next one. */
export function isEnding(
  { thisUpdate, nextUpdate }: Pick<Crl, 'thisUpdate' | 'nextUpdate'>,
  at: Date,
): boolean {
  if (nextUpdate === undefined) return false;
  const left = nextUpdate.getTime() - at.getTime();
  return left <= lateShare * (nextUpdate.getTime() - thisUpdate.getTime());
}
