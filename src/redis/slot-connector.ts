/**
 * Connections to a Redis Cluster. All keys of a prefix share a hash tag and so one slot, on one node. A connection need
 * not spread its commands; it must reach the primary of that slot, and move when the slot moves. So it is an ordinary
 * connection that asks the cluster for that primary each time it connects. Everything that applies to a single server
 * then applies to it: the order of commands, blocking commands, SCAN and INFO of the node that has the keys, and WAIT,
 * which refers to the connection that wrote.
 */
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { AbstractConnector, Redis, type RedisOptions } from 'ioredis';

export interface Address {
  host: string;
  port: number;
}

export interface SlotOptions {
  /** Nodes that are asked first. */
  seeds: readonly Address[];
  /** A key of the slot. */
  key: string;
  /** Milliseconds that a node has to answer. */
  timeout: number;
  username?: string;
  password?: string;
  /** Options of TLS for a host; without it there is none. */
  tls?: (host: string) => ConnectionOptions;
}

/** Where the slot of a key is, as one node sees it: the primary first, then its replicas. */
async function askNode(node: Address, options: SlotOptions): Promise<Address[]> {
  const { key, timeout, tls, username, password } = options;
  const client = new Redis({
    ...node,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls: tls(node.host) }),
    connectTimeout: timeout,
    commandTimeout: timeout,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    enableReadyCheck: false,
    replyMapping: 'legacy',
    connectionName: 'sealpost-slots',
  });
  // each command reports the error of the connection as its own
  client.on('error', () => undefined);
  try {
    const [slot, ranges] = await Promise.all([client.cluster('KEYSLOT', key), client.cluster('SLOTS')]);
    return ownersOf(Number(slot), ranges, node);
  } finally {
    client.disconnect();
  }
}

/** From a reply to CLUSTER SLOTS: ranges of first slot, last slot, and nodes (host, port ...). */
function ownersOf(slot: number, ranges: unknown, asked: Address): Address[] {
  for (const range of Array.isArray(ranges) ? ranges : []) {
    if (!Array.isArray(range)) continue;
    const [first, last, ...nodes]: unknown[] = range;
    if (slot < Number(first) || slot > Number(last)) continue;
    return nodes.flatMap((node) => {
      if (!Array.isArray(node)) return [];
      // a node that does not know its own name has the address that was asked
      const host = typeof node[0] === 'string' && node[0] !== '' ? node[0] : asked.host;
      return host === '?' ? [] : [{ host, port: Number(node[1]) }];
    });
  }
  throw new Error('CLUSTERDOWN no node has the slot of redis.prefix');
}

/** Nodes in the order in which they are asked. The nodes that an answer names move to the front. */
class Nodes {
  #list: Address[];
  readonly #options: SlotOptions;

  constructor(options: SlotOptions) {
    this.#options = options;
    this.#list = [...options.seeds];
  }

  /** The primary of the slot. Throws the last node's answer if none knows. */
  async primary(): Promise<Address> {
    let last: unknown = new Error('no node of the cluster answers');
    for (const node of [...this.#list]) {
      try {
        const owners = await askNode(node, this.#options);
        const [primary] = owners;
        if (!primary) throw new Error('CLUSTERDOWN the slot of redis.prefix has no primary');
        this.#learn(node, owners);
        return primary;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  /** The named node may be dead, and the one that named it may not know yet. Next time, that one is asked last. */
  #learn(told: Address, owners: Address[]): void {
    const all = [...owners.slice(1), ...this.#list, ...this.#options.seeds, ...owners.slice(0, 1), told];
    const at = new Map(all.map((node) => [`${node.host} ${node.port}`, node]));
    at.delete(`${told.host} ${told.port}`);
    this.#list = [...at.values(), told];
  }
}

/** A connector for ioredis that leads to the primary of a slot. */
export function slotConnector(options: SlotOptions): NonNullable<RedisOptions['Connector']> {
  const nodes = new Nodes(options);
  return class extends AbstractConnector {
    constructor() {
      super(2000);
    }

    /** A replica answers INFO too, but cannot be written to. */
    override check(info: unknown): boolean {
      const role = typeof info === 'object' && info !== null && 'role' in info ? info.role : undefined;
      return role === undefined || role === 'master';
    }

    /** Asks until somebody knows, because an error here would be the end of the connection. */
    async connect(tell: (event: string, error: Error) => void): Promise<AbstractConnector['stream']> {
      this.connecting = true;
      let node: Address | undefined;
      for (let wait = 100; node === undefined; wait = Math.min(wait * 2, 1000)) {
        try {
          node = await nodes.primary();
        } catch (error) {
          if (this.connecting) tell('error', error instanceof Error ? error : new Error('no answer'));
          if (this.connecting) await sleep(wait);
        }
        if (!this.connecting) throw new Error('Connection is closed.');
      }
      const stream = options.tls
        ? connectTls({ ...node, ...options.tls(node.host) })
        : createConnection(node);
      stream.once('error', (error) => {
        this.firstError = error;
      });
      this.stream = stream;
      return stream;
    }
  };
}
