/**
 * A restored installation waits until a person releases it: its Redis runs, so that it can be looked at, and nothing
 * else.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type RestoreMark, waitsForRelease } from '../queue/index.ts';
import { connect, disconnect, ready, redisTarget } from '../redis/index.ts';

const lookEvery = 500;

/**
 * Resolves when nothing waits. Errors: `restore-refused` if a restore was not finished. If Redis does not answer, the
 * roles say so, and look for themselves.
 *
 * @param url of the private server, if `redis` has none
 * @param onPaused before it waits
 */
export async function untilReleased(
  settings: Config['redis'],
  url: string | undefined,
  log: Log,
  { isStopped, onPaused }: { isStopped: () => boolean; onPaused: () => Promise<void> },
): Promise<void> {
  const target = redisTarget(settings, url ?? '');
  const redis = connect(target, 'producer', log.child({}, { level: 'silent' }), 'supervisor');
  try {
    await ready(redis, target);
    const parts = { redis, prefix: settings.prefix };
    let mark = await waitsForRelease(parts);
    if (mark === undefined) return;
    await onPaused();
    log.warn(
      { restoredAt: mark.at, backupOf: mark.of },
      'paused after a restore: look at what was restored, then run sealpost restore release',
    );
    while (mark !== undefined && !isStopped()) {
      await sleep(lookEvery);
      mark = await waitsForRelease(parts).catch(keptWhileAway(mark));
    }
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'restore-refused') throw error;
  } finally {
    await disconnect(redis);
  }
}

/** Redis that is away for a moment releases nothing. */
function keptWhileAway(mark: RestoreMark): (error: unknown) => RestoreMark {
  return (error) => {
    if (error instanceof SealpostError && error.code === 'restore-refused') throw error;
    return mark;
  };
}
