/** Where messages are stored: the key that seals them, and the spool folder or object store for large ones. */
import { z } from 'zod';
import { duration, size } from './units.ts';

interface Kinds<S extends z.ZodType, P extends z.ZodType> {
  secret: () => S;
  path: () => P;
}

/** A bucket of an S3-compatible store, and how to reach it. */
export const bucketSettings = <S extends z.ZodType, P extends z.ZodType>(kinds: Kinds<S, P>) => ({
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('URL of the store, such as https://s3.example.com. Default: AWS, by region.'),
  region: z.string().min(1).default('us-east-1').describe('Region that requests are signed for.'),
  bucket: z.string().min(3).max(63).describe('Bucket. It must exist.'),
  pathStyle: z
    .boolean()
    .default(false)
    .describe('Put the bucket in the path instead of the host name. Most stores other than AWS need this.'),
  accessKeyId: kinds
    .secret()
    .optional()
    .describe(
      'Access key id. Without it, credentials are looked up as AWS tools do: environment, web identity, instance.',
    ),
  secretAccessKey: kinds.secret().optional().describe('Secret access key.'),
  ca: kinds.path().optional().describe("CA certificates to verify the store with, instead of the system's."),
  connectTimeout: duration('100ms').prefault('3s').describe('Timeout for connecting.'),
  timeout: duration('100ms')
    .prefault('10s')
    .describe('Timeout of one request. Each request is tried three times.'),
});

const s3Settings = <S extends z.ZodType, P extends z.ZodType>(kinds: Kinds<S, P>) => {
  const { endpoint, region, bucket, ...others } = bucketSettings(kinds);
  return z.strictObject({
    endpoint,
    region,
    bucket,
    prefix: z
      .string()
      .max(200)
      .default('sealpost/')
      .describe('Prefix of the object names. Nothing else may write below it.'),
    ...others,
    uploads: z
      .number()
      .int()
      .min(1)
      .default(16)
      .describe(
        'Maximum large messages that one process uploads concurrently. Each holds a part of 5 MiB in memory.',
      ),
  });
};

/** @param kinds the types for secrets and paths */
export const spoolSettings = <S extends z.ZodType, P extends z.ZodType>(kinds: Kinds<S, P>) =>
  z.strictObject({
    key: kinds
      .secret()
      .optional()
      .describe(
        'Key that encrypts everything at rest: 32 random octets in base64 (openssl rand -base64 32). Without it, a key is generated at the first start and kept in the data folder.',
      ),
    inlineLimit: size()
      .prefault('256KiB')
      .describe(
        'Messages up to this size are stored in Redis, larger ones in the spool folder or object store. All are encrypted.',
      ),
    store: z
      .enum(['directory', 's3'])
      .default('directory')
      .describe(
        'Where larger messages are stored. directory: the spool folder. s3: a bucket of an S3-compatible object store, so that several machines need no shared volume.',
      ),
    s3: s3Settings(kinds).optional().describe('The object store, for store: s3.'),
    directory: kinds
      .path()
      .optional()
      .describe(
        'Spool folder for large messages. It must be a shared volume if the roles run on several machines. Default: "spool" in the data folder.',
      ),
    sweepAfter: duration()
      .prefault('24h')
      .describe('Stored octets that no message refers to are removed once they are older than this.'),
  });
