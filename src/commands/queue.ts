/**
 * The queue room for a command: connected to the configured Redis, or to the running daemon's private server. Only the
 * modules that are needed are loaded.
 */
import { existsSync } from 'node:fs';
import { type Config, isPrivateRedis } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import type { QueueRoom, Records } from '../queue/index.ts';

/** False while the private server does not run: a connection would be waited for. */
export async function mayAnswer({ redis, dataDir }: Config): Promise<boolean> {
  if (!isPrivateRedis(redis)) return true;
  const { privateServerUrl } = await import('../redis/index.ts');
  return existsSync(decodeURI((await privateServerUrl(dataDir)).slice('unix://'.length)));
}

async function open(config: Config): Promise<QueueRoom> {
  const { openQueue } = await import('../queue/index.ts');
  const log = createLog('error', 'command');
  return await openQueue(config, { role: 'command', log, checkDurability: false });
}

/** Opens the queue, runs the work, closes the queue. */
export function withQueue<T>(config: Config, work: (queue: QueueRoom) => Promise<T>): Promise<T> {
  return withOpened(config, () => open(config), work);
}

/** Like `withQueue`, but the queue is opened when the work asks for it, and once. */
export async function withLazyQueue<T>(
  config: Config,
  work: (open: () => Promise<QueueRoom>) => Promise<T>,
): Promise<T> {
  let opened: Promise<QueueRoom> | undefined;
  try {
    return await work(() => {
      opened ??= explained(config, () => open(config));
      return opened;
    });
  } finally {
    await opened?.then(
      (queue) => queue.close(),
      () => {},
    );
  }
}

/** Like `withQueue`, for a command that only reads records. */
export function withRecords<T>(config: Config, work: (records: Records) => Promise<T>): Promise<T> {
  const open = async () => {
    const { openRecords } = await import('../queue/index.ts');
    return await openRecords(config, { role: 'command', log: createLog('error', 'command') });
  };
  return withOpened(config, open, work);
}

async function withOpened<Room extends { close(): Promise<void> }, T>(
  config: Config,
  open: () => Promise<Room>,
  work: (room: Room) => Promise<T>,
): Promise<T> {
  const room = await explained(config, open);
  try {
    return await work(room);
  } finally {
    await room.close();
  }
}

/** Says what it means if the private server does not answer. */
async function explained<Room>(config: Config, open: () => Promise<Room>): Promise<Room> {
  try {
    return await open();
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
}
