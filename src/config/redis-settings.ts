/** Where the queue and the store are: a single server, a primary under Sentinel, or a Redis Cluster. */
import { z } from 'zod';
import { duration } from './units.ts';

/** @param kinds the types for secrets and paths */
export const redisSettings = <S extends z.ZodType, P extends z.ZodType>(kinds: {
  secret: () => S;
  path: () => P;
}) => {
  const nodes = () => z.array(z.string()).min(1);
  return z.strictObject({
    url: z
      .string()
      .optional()
      .describe(
        'URL of a single Redis or Valkey server: redis://, rediss:// or unix://. Without url, sentinel and cluster, the daemon starts a private server in the data folder, with durable settings.',
      ),
    sentinel: z
      .strictObject({
        master: z.string().min(1).describe('Name under which the Sentinels monitor the primary.'),
        nodes: nodes().describe(
          'Addresses of the Sentinels: redis://host:26379, or rediss:// for TLS. List all of them.',
        ),
        tls: z.boolean().default(false).describe('Use TLS to the Redis servers that the Sentinels report.'),
        username: z.string().optional().describe('User name for the Sentinels.'),
        password: kinds.secret().optional().describe('Password for the Sentinels.'),
      })
      .optional()
      .describe('Instead of url: a primary with replicas, monitored by Sentinels.'),
    cluster: z
      .strictObject({
        nodes: nodes().describe(
          'Addresses of some nodes, used to discover the others: redis://host:6379, or rediss:// for TLS to all nodes.',
        ),
      })
      .optional()
      .describe(
        'Instead of url: a Redis Cluster. All keys of one prefix are in one hash slot, so on one primary and its replicas.',
      ),
    username: z.string().optional().describe('User name for the Redis servers, unless the URL contains one.'),
    password: kinds.secret().optional().describe('Password for the Redis servers.'),
    ca: kinds
      .path()
      .optional()
      .describe('CA certificates (PEM) to verify the servers with. Default: those of the system.'),
    prefix: z
      .string()
      .default('{sealpost}')
      .describe(
        'Prefix of all keys. Its braces keep all keys on one node of a Redis Cluster, which requires them.',
      ),
    durability: z
      .enum(['strict', 'relaxed'])
      .default('strict')
      .describe(
        'strict: refuse to start if a server (or replica) could lose accepted messages, because it has no append-only file, its fsync is not "always", or it evicts keys. relaxed: start anyway, with a warning.',
      ),
    replicas: z
      .number()
      .int()
      .min(0)
      .optional()
      .describe(
        'How many replicas must have a message before it counts as accepted. With fewer, the sender is asked to retry. Default: 1 with sentinel or cluster, 0 with url.',
      ),
    acknowledge: z
      .enum(['memory', 'disk'])
      .default('memory')
      .describe(
        'What a replica acknowledges: that the message is in its memory (WAIT), or on its disk (WAITAOF, which needs Redis 7.2 or Valkey).',
      ),
    commandTimeout: duration('100ms')
      .prefault('8s')
      .describe('How long a command may take before the sender is asked to retry.'),
  });
};
