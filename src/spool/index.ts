/**
 * The spool: the octets of messages, sealed. Small ones are values in Redis; large ones are files of a folder or
 * objects of an S3-compatible store. The spool does not know what they are. Begin with `types.ts` (what other rooms
 * see) and `spool.ts`. The client of the object store is loaded only if it is used, because it takes about 25 MB of
 * memory.
 */
import { join } from 'node:path';
import type { Config } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { SpoolFolder } from './folder.ts';
import type { LargeStore } from './large-store.ts';
import type { SpoolKey } from './seal.ts';

/** The store for large octets that the configuration names. Errors: `config-invalid`, and those of the object store. */
export async function openLargeStore(
  { spool, dataDir }: Config,
  key: SpoolKey,
  log: Log,
): Promise<LargeStore> {
  const { s3 } = spool;
  if (spool.store === 'directory') return new SpoolFolder(spool.directory ?? join(dataDir, 'spool'), key);
  if (s3 === undefined)
    throw new SealpostError('config-invalid', 'spool.store is s3, and spool.s3 is missing');
  const { openS3Store } = await import('./object-store.ts');
  return await openS3Store(s3, key, log);
}

/** Stores something in the object store, and removes it. Errors: `spool-unreachable`, `spool-refused`. */
export async function probeObjectStore(s3: NonNullable<Config['spool']['s3']>, log: Log): Promise<void> {
  const { probeS3Store } = await import('./object-store.ts');
  await probeS3Store(s3, log);
}

/** Writes readable octets into a bucket that is not the spool's. */
export interface Bucket {
  /** Begins an object. See `S3Upload`. */
  upload(key: string, contentType: string): BucketUpload;
  /** Removes an object. Errors: those of `S3Bucket`. */
  remove(key: string): Promise<void>;
  close(): void;
}

export interface BucketUpload {
  /** If it returns a promise, wait for it before the next call. Errors: those of `S3Bucket`. */
  write(octets: readonly Buffer[]): Promise<void> | undefined;
  finish(): Promise<void>;
  /** Does not throw. */
  abort(): Promise<void>;
}

/** Opens a bucket without sending any request. Errors: `file-access`. */
export async function openBucket(
  settings: Omit<NonNullable<Config['spool']['s3']>, 'prefix' | 'uploads'>,
  log: Log,
  name: { what: string; settings: string },
): Promise<Bucket> {
  const [{ S3Bucket }, { S3Upload }] = await Promise.all([import('./bucket.ts'), import('./s3-upload.ts')]);
  const bucket = new S3Bucket({ ...settings, prefix: '', uploads: bucketSockets }, log, name);
  return {
    upload: (Key, contentType) => new S3Upload(bucket, { Bucket: settings.bucket, Key }, contentType),
    remove: (key) => bucket.remove({ Bucket: settings.bucket, Key: key }),
    close: () => bucket.close(),
  };
}

/** Half of the connections to a destination's store. */
const bucketSockets = 8;

export { loadSpoolKey } from './key.ts';
export { isLoss, isStoreAway, type LargeStore, openStored as openStream } from './large-store.ts';
export { deriveKey, openValue, type SpoolKey, StreamSealer, sealValue } from './seal.ts';
export { TieredSpool } from './spool.ts';
export type * from './types.ts';
export { type SpoolKeys, spoolKeysOf } from './types.ts';
