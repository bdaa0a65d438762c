import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SealpostError } from '../errors.ts';
import { holdLease, lifetimes, releaseLease, type SealedValuesParts, sealedValues } from '../redis/index.ts';
import type { RefreshTokens } from './tokens.ts';

/** Milliseconds that a refresh token is kept after its last use; servers end unused ones earlier. */
const LIFE = 365 * 86_400_000;
/** Milliseconds between attempts to get the lease. */
const AGAIN = 100;

type Parts = Omit<SealedValuesParts, 'redis'> & { redis: Parameters<typeof holdLease>[0] };

/**
 * Refresh tokens in Redis, sealed: who can read Redis does not learn them, and who can write there cannot forge one. A
 * token may be valid for one use, so the processes take turns.
 */
export function createRefreshTokens(parts: Parts): RefreshTokens {
  const { redis, prefix } = parts;
  const values = sealedValues(parts, 'oauth');
  return {
    async get(chain) {
      const value = await values.get(chain);
      return typeof value === 'string' ? value : undefined;
    },
    put: (chain, token) => values.put(chain, token, LIFE),
    async alone(chain, work) {
      const owner = randomUUID();
      const key = `${prefix}:oauth:lease:${chain}`;
      const until = performance.now() + lifetimes.oauthLease;
      while (!(await holdLease(redis, prefix, key, { owner, ms: lifetimes.oauthLease }))) {
        if (performance.now() > until)
          throw new SealpostError('token-failed', 'another process has not finished its request for a token');
        await sleep(AGAIN);
      }
      try {
        return await work();
      } finally {
        // a lease ends by itself
        await releaseLease(redis, key, owner).catch(() => {});
      }
    },
  };
}
