/** The replicas of the primary. Any of them may become the primary, so each must be durable. */
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { connect, disconnect, guarded, ready } from './connection.ts';
import { checkDurability, type DurabilityFinding } from './durability.ts';
import type { RedisTarget } from './target.ts';

export interface ReplicaFinding extends DurabilityFinding {
  /** host:port */
  node: string;
}

export interface Replication {
  /** Replicas that follow the primary now. */
  online: string[];
  findings: ReplicaFinding[];
  /** Replicas that did not answer, so they could not be checked. */
  silent: string[];
  /** `min-replicas-to-write` of the primary; null if it does not report it. */
  minReplicas: number | null;
}

/** Addresses in INFO replication: `slave0:ip=10.0.0.2,port=6379,state=online,...`. */
function replicasOf(info: string): { host: string; port: string; online: boolean }[] {
  return [...info.matchAll(/^slave\d+:(\S+)/gm)].map(([, text]) => {
    const facts = new Map(
      (text ?? '').split(',').map((fact) => [fact.replace(/=.*/, ''), fact.replace(/^[^=]*=/, '')]),
    );
    return {
      host: facts.get('ip') ?? '',
      port: facts.get('port') ?? '',
      online: facts.get('state') === 'online',
    };
  });
}

/**
 * Asks the primary for its replicas, and each of them for its settings. Errors: `redis-unreachable` if the primary does
 * not answer.
 */
export async function checkReplicas(redis: Redis, target: RedisTarget, log: Log): Promise<Replication> {
  const replicas = replicasOf(await guarded('replication', redis.info('replication')));
  const tls =
    target.sentinel?.tls ?? target.cluster?.nodes.some((node) => node.startsWith('rediss:')) ?? false;
  const replication: Replication = {
    online: [],
    findings: [],
    silent: [],
    minReplicas: await minReplicas(redis),
  };
  const { sentinel, cluster, ...login } = target;
  for (const { host, port, online } of replicas) {
    const node = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    if (online) replication.online.push(node);
    const own: RedisTarget = {
      ...login,
      url: `${tls ? 'rediss' : 'redis'}://${node}`,
      commandTimeout: Math.min(target.commandTimeout, 2000),
    };
    const replica = connect(own, 'producer', log.child({}, { level: 'silent' }), 'check');
    try {
      await ready(replica, own);
      if (!(await isNeverPrimary(replica, target)))
        for (const finding of await checkDurability(replica)) replication.findings.push({ ...finding, node });
    } catch {
      replication.silent.push(node);
    } finally {
      await disconnect(replica);
    }
  }
  return replication;
}

async function minReplicas(redis: Redis): Promise<number | null> {
  const reply = await redis.config('GET', 'min-replicas-to-write').catch(() => undefined);
  return Array.isArray(reply) && reply.length >= 2 ? Number(reply[1]) : null;
}

/** Sentinel never promotes a replica with priority 0. */
async function isNeverPrimary(replica: Redis, { sentinel }: RedisTarget): Promise<boolean> {
  if (!sentinel) return false;
  const reply = await replica.config('GET', 'replica-priority').catch(() => undefined);
  return Array.isArray(reply) && reply[1] === '0';
}

/**
 * Refuses replicas that could lose messages (`redis-not-durable`), or warns if the operator set `relaxed`. It also
 * reports replicas that are silent or missing, and whether an isolated primary would continue.
 */
export async function ensureReplicas(
  replication: Replication,
  { durability, replicas }: { durability: 'strict' | 'relaxed'; replicas: number },
  log: Log,
): Promise<void> {
  const { findings, silent, online, minReplicas: least } = replication;
  const bad = findings.filter(({ verdict }) => verdict !== 'durable');
  if (bad.length > 0 && durability === 'strict') {
    throw new SealpostError(
      'redis-not-durable',
      bad.map(({ node, message }) => `replica ${node}: ${message}`).join('; '),
      { hint: [...new Set(bad.map(({ hint }) => hint))].join('; ') },
    );
  }
  for (const { node, setting, value, message } of bad)
    log.warn({ node, setting, value }, `a replica of redis is not durable: ${message}`);
  for (const node of silent)
    log.warn({ node }, 'a replica of redis does not answer: its settings are not known');
  if (online.length < replicas)
    log.warn(
      { online: online.length, replicas },
      'redis has too few replicas: nothing is accepted until it has more',
    );
  log.info({ replicas: online, acknowledged: replicas, minReplicasToWrite: least }, 'replicas of redis');
}
