/** Where the octets of messages lie: the key that seals them, and the spool folder or object store of large ones. */
import { z } from 'zod';
import { duration, size } from './units.ts';

interface Kinds<S extends z.ZodType, P extends z.ZodType> {
  secret: () => S;
  path: () => P;
}

const s3Settings = <S extends z.ZodType, P extends z.ZodType>(kinds: Kinds<S, P>) =>
  z.strictObject({
    endpoint: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Address of the store, such as https://s3.example.com. Default: AWS, by the region.'),
    region: z.string().min(1).default('us-east-1').describe('Region; requests are signed for it.'),
    bucket: z.string().min(3).max(63).describe('Bucket; it must be there.'),
    prefix: z
      .string()
      .max(200)
      .default('sealpost/')
      .describe('What the names of the objects begin with. Nothing else may write there.'),
    pathStyle: z
      .boolean()
      .default(false)
      .describe(
        'The bucket stands in the path and not in the host name, as most stores other than AWS want it.',
      ),
    accessKeyId: kinds
      .secret()
      .optional()
      .describe(
        "Access key id. Without it the client looks where AWS's programs do: environment, web identity, instance.",
      ),
    secretAccessKey: kinds.secret().optional().describe('Secret access key.'),
    ca: kinds.path().optional().describe("Certificates to check the store with, in place of the system's."),
    connectTimeout: duration('100ms').prefault('3s').describe('Time for a connection.'),
    timeout: duration('100ms').prefault('10s').describe('Time for one request; each is tried three times.'),
    uploads: z
      .number()
      .int()
      .min(1)
      .default(16)
      .describe('Large messages that one process stores at a time; each holds a part of 5 MiB in memory.'),
  });

/** @param kinds the types of secrets and paths */
export const spoolSettings = <S extends z.ZodType, P extends z.ZodType>(kinds: Kinds<S, P>) =>
  z.strictObject({
    key: kinds
      .secret()
      .optional()
      .describe(
        'Key that seals everything at rest: 32 random octets in base64 (openssl rand -base64 32). Without it a key is made at the first start and kept in the data folder.',
      ),
    inlineLimit: size()
      .prefault('256KiB')
      .describe(
        'Messages up to this size lie sealed in Redis beside their job; larger ones in the spool folder or object store.',
      ),
    store: z
      .enum(['directory', 's3'])
      .default('directory')
      .describe(
        'Where larger messages lie. directory: the spool folder. s3: a bucket of an S3-compatible object store, so that several machines need no shared volume.',
      ),
    s3: s3Settings(kinds).optional().describe('The object store, for store: s3.'),
    directory: kinds
      .path()
      .optional()
      .describe(
        'Spool folder for large messages; a shared volume when the roles run on several machines. Default: "spool" in the data folder.',
      ),
    sweepAfter: duration()
      .prefault('24h')
      .describe('Octets that no message refers to are removed when they are older than this.'),
  });
