/**
 * Backups and restores of an installation: records, jobs and octets, wherever they are kept. A backup is sealed to a
 * key whose private half is elsewhere (`archive.ts`), and shows one moment although the installation works
 * (`snapshot.ts`). Octets stay sealed with the spool key, so nothing in a backup can be read without that key as well.
 */
import { existsSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { type Config, isPrivateRedis } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  connect,
  disconnect,
  type PrivateServer,
  ready,
  redisTarget,
  startPrivateServer,
} from '../redis/index.ts';
import { type LargeStore, loadSpoolKey, openLargeStore, type SpoolKey } from '../spool/index.ts';
import { spoolKeyFile } from './restore.ts';

/** What a backup reads and a restore writes, without the queues. */
export interface Installation {
  redis: Redis;
  store: LargeStore;
  spoolKey: SpoolKey;
  connect(name: string, isFollower?: boolean): Redis;
  close(): Promise<void>;
}

/**
 * Opens an installation whether its daemon is running or not; if it is not, the private Redis is started. Errors:
 * `file-access` without a spool key, those of Redis and of the spool.
 */
export async function openInstallation(config: Config, log: Log): Promise<Installation> {
  if (config.spool.key === undefined && !existsSync(spoolKeyFile(config)))
    throw new SealpostError('file-access', `there is no spool key in ${config.dataDir}`, {
      hint: 'put spool.key of the installation there, or set spool.key; restore --spool-key takes it from a backup',
    });
  const spoolKey = await loadSpoolKey(config.spool, config.dataDir);
  let server: PrivateServer | undefined;
  const open: Redis[] = [];
  const close = async () => {
    await Promise.all(open.map(disconnect));
    await server?.stop();
  };
  try {
    if (isPrivateRedis(config.redis)) server = await startPrivateServer(config.dataDir, {});
    const target = redisTarget(config.redis, server?.url ?? '');
    const opened = (name: string, isFollower = false) => {
      const redis = connect(target, 'producer', log, name, isFollower ? 2 : 3);
      open.push(redis);
      return redis;
    };
    const redis = opened('backup');
    await ready(redis, target);
    const store = await openLargeStore(config, spoolKey, log);
    return {
      redis,
      store,
      spoolKey,
      connect: opened,
      close: async () => {
        store.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

export { backupKeyId } from './archive.ts';
export { type BackupResult, makeBackup } from './backup.ts';
export { makeBackupKey, readBackupKey } from './keypair.ts';
export { type BackupFacts, readBackup } from './reading.ts';
export { type RestoreResult, restoreBackup, restoreFiles, restoreSpoolKey } from './restore.ts';
