/** The queue room for a command: connected to the configured Redis, or to the running daemon's private server. */
import { isPrivateRedis } from '../config/redis-settings.ts';
import type { Config } from '../config/schema.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import { openQueue, type QueueRoom } from '../queue/index.ts';

/** Opens the queue, runs the work, closes the queue. */
export async function withQueue<T>(config: Config, work: (queue: QueueRoom) => Promise<T>): Promise<T> {
  const log = createLog('error', 'command');
  let queue: QueueRoom;
  try {
    queue = await openQueue(config, { role: 'command', log, checkDurability: false });
  } catch (error) {
    if (isPrivateRedis(config.redis) && error instanceof SealpostError && error.code === 'redis-unreachable')
      throw new SealpostError(
        'redis-unreachable',
        'the daemon is not running: its private Redis does not answer',
        {
          hint: 'start it with sealpost start, or set redis.url',
          cause: error,
        },
      );
    throw error;
  }
  try {
    return await work(queue);
  } finally {
    await queue.close();
  }
}
