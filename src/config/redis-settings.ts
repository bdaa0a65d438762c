/** Where the queue and store is: one server, a primary under Sentinel, or a Redis Cluster. */
import { z } from 'zod';
import { duration } from './units.ts';

/** @param kinds the types of secrets and paths */
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
        'Where Redis or Valkey is, when it is one server: redis://, rediss:// or unix://. Without url, sentinel and cluster the daemon starts a private server of its own in the data folder, with durable settings.',
      ),
    sentinel: z
      .strictObject({
        master: z.string().min(1).describe('Name under which the Sentinels watch the primary.'),
        nodes: nodes().describe(
          'Addresses of the Sentinels: redis://host:26379, or rediss:// for TLS to them. Name all of them.',
        ),
        tls: z.boolean().default(false).describe('TLS to the Redis servers that the Sentinels name.'),
        username: z.string().optional().describe('User at the Sentinels.'),
        password: kinds.secret().optional().describe('Password of the Sentinels.'),
      })
      .optional()
      .describe('In place of url: a primary with replicas, watched by Sentinels.'),
    cluster: z
      .strictObject({
        nodes: nodes().describe(
          'Addresses of some nodes, from which the others are learned: redis://host:6379, or rediss:// for TLS to all nodes.',
        ),
      })
      .optional()
      .describe(
        'In place of url: a Redis Cluster. All keys of one prefix lie in one hash slot, so on one primary and its replicas.',
      ),
    username: z.string().optional().describe('User at the Redis servers; a url may have its own.'),
    password: kinds.secret().optional().describe('Password of the Redis servers.'),
    ca: kinds
      .path()
      .optional()
      .describe('Certificates (PEM) that sign those of the servers, for TLS. Default: those of the system.'),
    prefix: z
      .string()
      .default('{sealpost}')
      .describe('Prefix of all keys. Braces keep them on one node of a Redis Cluster, which needs them.'),
    durability: z
      .enum(['strict', 'relaxed'])
      .default('strict')
      .describe(
        'strict: refuse to start on servers (replicas too) that could lose what was accepted (no append-only file, fsync not "always", or an eviction policy). relaxed: start all the same, with a warning.',
      ),
    replicas: z
      .number()
      .int()
      .min(0)
      .optional()
      .describe(
        'How many replicas must have a message before it counts as accepted; with fewer the sender is told to try again. Default: 1 with sentinel or cluster, 0 with url.',
      ),
    acknowledge: z
      .enum(['memory', 'disk'])
      .default('memory')
      .describe(
        'What a replica acknowledges: that it has the message in memory (WAIT), or on its disk (WAITAOF: Redis 7.2 or Valkey).',
      ),
    commandTimeout: duration('100ms')
      .prefault('8s')
      .describe('How long a command may take before the sender is told to try again.'),
  });
};

type Places = { url?: unknown; sentinel?: unknown; cluster?: unknown };

/** True when the daemon starts a server of its own. */
export function isPrivateRedis({ url, sentinel, cluster }: Places): boolean {
  return url === undefined && sentinel === undefined && cluster === undefined;
}
