/** Where Redis is: the settings as a target, and the target as options of ioredis. */

import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { RedisOptions } from 'ioredis';
import { type Config, readPublicFile, readSecret } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { slotConnector } from './slot-connector.ts';

export interface RedisTarget {
  /** One server: redis://, rediss:// or unix:// (path; `?db=2` for a database). */
  url?: string;
  /** A primary named by Sentinels. */
  sentinel?: SentinelTarget;
  /** A cluster. A connection goes to the node that has the slot of `prefix`. */
  cluster?: { nodes: readonly string[]; prefix: string };
  username?: string;
  password?: string;
  /** Certificates in PEM that replace the system's. */
  ca?: string;
  /** Milliseconds that a command may take. */
  commandTimeout: number;
}

export interface SentinelTarget {
  master: string;
  /** redis:// or rediss:// URLs. */
  nodes: readonly string[];
  /** TLS to the servers. */
  tls: boolean;
  username?: string;
  password?: string;
}

/**
 * The configured store. `url` is used if the configuration has none (private server). In a cluster, it is the node for
 * the keys of `prefix`. Errors: `file-access`, `file-mode`.
 */
export function redisTarget(config: Config['redis'], url: string, prefix = config.prefix): RedisTarget {
  const { commandTimeout, sentinel, cluster, username, password, ca } = config;
  const target: RedisTarget = { commandTimeout };
  if (username !== undefined) target.username = username;
  if (password) target.password = readSecret(password);
  if (ca !== undefined) target.ca = readPublicFile(ca).toString();
  if (cluster) return { ...target, cluster: { nodes: cluster.nodes, prefix } };
  if (!sentinel) return { ...target, url: config.url ?? url };
  const { password: secret, username: user, ...rest } = sentinel;
  const sentinels: SentinelTarget = rest;
  if (user !== undefined) sentinels.username = user;
  if (secret) sentinels.password = readSecret(secret);
  return { ...target, sentinel: sentinels };
}

/** ioredis options of a target: where to connect, and as which user. Errors: `config-invalid`. */
export function redisOptions(target: RedisTarget): RedisOptions {
  const { url, sentinel, cluster } = target;
  const options = cluster
    ? clusterOptions(target, cluster)
    : sentinel
      ? sentinelOptions(target, sentinel)
      : urlOptions(target, url ?? '');
  if (target.username !== undefined) options.username = target.username;
  if (target.password !== undefined) options.password = target.password;
  return options;
}

function urlOptions(target: RedisTarget, text: string): RedisOptions {
  const refuse = () =>
    new SealpostError('config-invalid', 'redis.url is not a redis://, rediss:// or unix:// URL', {
      hint: 'write redis://host:6379, rediss://host:6380 or unix:///run/redis/redis.sock',
    });
  if (!URL.canParse(text)) throw refuse();
  const url = new URL(text);
  const options: RedisOptions = {};
  const db = url.protocol === 'unix:' ? url.searchParams.get('db') : url.pathname.slice(1);
  if (db) {
    if (!/^\d+$/.test(db)) throw refuse();
    options.db = Number(db);
  }
  if (url.protocol === 'unix:') {
    options.path = decodeURIComponent(url.pathname);
  } else if (url.protocol === 'redis:' || url.protocol === 'rediss:') {
    Object.assign(options, addressOf(url, 6379));
    if (url.protocol === 'rediss:') options.tls = tlsOptions(target, options.host ?? '');
  } else {
    throw refuse();
  }
  if (url.username) options.username = decodeURIComponent(url.username);
  if (url.password) options.password = decodeURIComponent(url.password);
  return options;
}

function addressOf(url: URL, port: number): { host: string; port: number } {
  const host = url.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1';
  return { host, port: url.port ? Number(url.port) : port };
}

/** The name that the certificate must have. An address cannot be sent as SNI, but is checked anyway. */
function tlsOptions({ ca }: RedisTarget, host: string): ConnectionOptions {
  return { ...(isIP(host) ? {} : { servername: host }), ...(ca === undefined ? {} : { ca }) };
}

/** `redis://host:port` URLs of a setting. TLS is used if all of them say so. Errors: `config-invalid`. */
function nodesOf(
  setting: string,
  nodes: readonly string[],
  port: number,
): { addresses: { host: string; port: number }[]; tls: boolean } {
  const urls = nodes.map((node) => {
    if (/^rediss?:/.test(node) && URL.canParse(node)) return new URL(node);
    throw new SealpostError(
      'config-invalid',
      `${setting} has an entry that is not a redis:// or rediss:// URL`,
      {
        hint: `write redis://host:${port}`,
      },
    );
  });
  const secure = urls.filter(({ protocol }) => protocol === 'rediss:').length;
  if (secure !== 0 && secure !== urls.length)
    throw new SealpostError('config-invalid', `${setting} has nodes with and without TLS`, {
      hint: 'write rediss:// for all of them, or redis:// for all',
    });
  return { addresses: urls.map((url) => addressOf(url, port)), tls: secure > 0 };
}

function sentinelOptions(target: RedisTarget, sentinel: SentinelTarget): RedisOptions {
  const { addresses, tls } = nodesOf('redis.sentinel.nodes', sentinel.nodes, 26379);
  const options: RedisOptions = {
    sentinels: addresses,
    name: sentinel.master,
    role: 'master',
    sentinelRetryStrategy: (times) => Math.min(100 * times, 1000),
    sentinelCommandTimeout: Math.min(target.commandTimeout, 2000),
  };
  if (sentinel.username !== undefined) options.sentinelUsername = sentinel.username;
  if (sentinel.password !== undefined) options.sentinelPassword = sentinel.password;
  if (tls) options.sentinelTLS = tlsOptions(target, '127.0.0.1');
  if (sentinel.tls) {
    options.enableTLSForSentinelMode = true;
    options.tls = tlsOptions(target, '127.0.0.1');
  }
  return options;
}

function clusterOptions(
  target: RedisTarget,
  cluster: { nodes: readonly string[]; prefix: string },
): RedisOptions {
  const { addresses, tls } = nodesOf('redis.cluster.nodes', cluster.nodes, 6379);
  return {
    Connector: slotConnector({
      seeds: addresses,
      key: cluster.prefix,
      timeout: Math.min(target.commandTimeout, 2000),
      ...(target.username === undefined ? {} : { username: target.username }),
      ...(target.password === undefined ? {} : { password: target.password }),
      ...(tls ? { tls: (host: string) => tlsOptions(target, host) } : {}),
    }),
    // It tells what to wait for; the connector has its own options.
    ...(tls ? { tls: {} } : {}),
  };
}

/** The address for display, without user and password. */
export function describeTarget({ url: text, sentinel, cluster }: RedisTarget): string {
  if (sentinel) return `sentinel ${sentinel.master}`;
  if (cluster) return `cluster ${cluster.nodes.map((node) => node.replace(/^.*[/@]/, '')).join(', ')}`;
  if (text === undefined || !URL.canParse(text)) return 'redis';
  const url = new URL(text);
  return `${url.protocol}//${url.host}${url.pathname}`;
}
