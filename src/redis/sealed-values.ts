import type { Redis } from 'ioredis';
import { guarded } from './connection.ts';

/** Small values that expire on their own, sealed: nobody can make one merely by writing into Redis. */
export interface SealedValues {
  /** Undefined if there is none, or if it was not sealed with our key under this name. */
  get(name: string): Promise<unknown>;
  /** @param life milliseconds */
  put(name: string, value: unknown, life: number): Promise<void>;
}

export interface SealedValuesParts {
  redis: Pick<Redis, 'set' | 'getBuffer'>;
  prefix: string;
  seal(context: string, value: unknown): Buffer;
  /** Throws if the value was sealed otherwise. */
  unseal(context: string, sealed: Buffer): unknown;
}

/** @param kind first part of the names */
export function sealedValues({ redis, prefix, seal, unseal }: SealedValuesParts, kind: string): SealedValues {
  const keyOf = (name: string) => `${prefix}:${kind}:${name}`;
  return {
    async get(name) {
      const sealed = await guarded(kind, redis.getBuffer(keyOf(name)));
      if (sealed === null) return undefined;
      try {
        return unseal(`${kind}:${name}`, sealed);
      } catch {
        return undefined;
      }
    },
    async put(name, value, life) {
      const sealed = seal(`${kind}:${name}`, value);
      await guarded(kind, redis.set(keyOf(name), sealed, 'PX', Math.max(1, Math.round(life))));
    },
  };
}
