/**
 * Several real servers on loopback: a Redis Cluster (`redis-cli --cluster create`), or a primary with replicas under
 * Sentinels. All of them with an append-only file and fsync always, each in a folder of its own, to be killed at will.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePortOf, isFree } from './net.ts';
import { run } from './peers/run.ts';
import type { TlsFiles } from './tls.ts';

/** Milliseconds without an answer until a node counts as dead. */
const deadAfter = 1500;

/** The server program: `SEALPOST_REDIS_SERVER`, such as valkey-server, else redis-server. */
const server = process.env.SEALPOST_REDIS_SERVER ?? 'redis-server';
const cli = join(dirname(server), basename(server).replace('-server', '-cli'));

export interface Node {
  readonly port: number;
  /** As in `nodes` of the configuration. */
  readonly url: string;
  readonly pid: number;
  alive(): boolean;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again on its files. */
  start(): Promise<void>;
  /** A connection of the test's own; the test closes it. */
  client(): Redis;
}

export interface NodesOptions {
  /** Lines of redis.conf for each server. */
  settings?: Record<string, string>;
  /** Of the servers, for each other and for clients. */
  password?: string;
  /** TLS for everything. */
  tls?: TlsFiles;
}

/** Ports below 20,000, since the bus of a cluster is 10,000 above; nobody listens on either. */
async function twoPorts(): Promise<number> {
  for (;;) {
    const port = await freePortOf(10_000, 10_000);
    if (await isFree(port + 10_000)) return port;
  }
}

class Server implements Node {
  readonly port: number;
  readonly #folder: string;
  readonly #args: string[];
  readonly #options: NodesOptions;
  #child: ChildProcess | undefined;

  constructor(port: number, folder: string, text: string, args: string[], options: NodesOptions) {
    mkdirSync(folder, { recursive: true });
    this.port = port;
    this.#folder = folder;
    this.#args = [join(folder, 'server.conf'), ...args];
    this.#options = options;
    writeFileSync(join(folder, 'server.conf'), text);
  }

  get url(): string {
    return `${this.#options.tls ? 'rediss' : 'redis'}://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async start(): Promise<void> {
    this.#child = spawn(server, this.#args, { cwd: this.#folder, stdio: 'ignore' });
    const client = this.client();
    try {
      for (const deadline = Date.now() + 300_000; ; ) {
        if (!this.alive()) throw new Error(`${server} in ${this.#folder} ended`);
        if ((await client.ping().catch(() => '')) === 'PONG') return;
        if (Date.now() > deadline) throw new Error(`${server} in ${this.#folder} does not answer`);
        await sleep(20);
      }
    } finally {
      client.disconnect();
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.alive()) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  client(): Redis {
    const { password, tls } = this.#options;
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls: { ca: tls.pem } }),
      maxRetriesPerRequest: 0,
      // A node may be stopped.
      commandTimeout: 2000,
      retryStrategy: () => 20,
      replyMapping: 'legacy',
    });
    client.on('error', () => undefined);
    return client;
  }
}

/** Servers in one temporary folder, gone at the latest when this process ends. */
class Group {
  readonly folder = mkdtempSync(join(tmpdir(), 'sealpost-nodes-'));
  readonly options: NodesOptions;
  readonly servers: Server[] = [];
  readonly #killNow = () => {
    for (const { pid, alive } of this.servers.map((each) => ({ pid: each.pid, alive: each.alive() })))
      if (alive) process.kill(pid, 'SIGKILL');
  };

  constructor(options: NodesOptions) {
    this.options = options;
    process.once('exit', this.#killNow);
    process.once('SIGTERM', () => process.exit(1));
  }

  add(port: number, settings: Record<string, string>, args: string[] = []): Server {
    const folder = join(this.folder, String(port));
    const { tls } = this.options;
    const listen =
      tls === undefined
        ? { port: String(port) }
        : {
            port: '0',
            'tls-port': String(port),
            'tls-cert-file': tls.cert,
            'tls-key-file': tls.key,
            'tls-ca-cert-file': tls.cert,
            'tls-auth-clients': 'no',
            'tls-replication': 'yes',
          };
    const text = Object.entries({ ...listen, bind: '127.0.0.1', dir: `"${folder}"`, ...settings })
      .map(([name, value]) => `${name} ${value}\n`)
      .join('');
    const made = new Server(port, folder, text, args, this.options);
    this.servers.push(made);
    return made;
  }

  async stop(): Promise<void> {
    process.off('exit', this.#killNow);
    await Promise.all(this.servers.map((each) => each.kill()));
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

const secretOf = ({ password }: NodesOptions): Record<string, string> =>
  password === undefined ? {} : { requirepass: password, masterauth: password };

const durable = {
  appendonly: 'yes',
  appendfsync: 'always',
  save: '""',
  'maxmemory-policy': 'noeviction',
  'repl-diskless-sync-delay': '0',
};

async function until<T>(what: string, test: () => Promise<T | undefined>, within = 60_000): Promise<T> {
  for (const deadline = Date.now() + within; ; ) {
    const value = await test().catch(() => undefined);
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`did not happen: ${what}`);
    await sleep(50);
  }
}

async function info(node: Node, section: string): Promise<Map<string, string>> {
  const client = node.client();
  try {
    const text = await client.info(section);
    return new Map(
      text
        .split('\r\n')
        .map((line): [string, string] => [line.replace(/:.*/, ''), line.replace(/^[^:]*:/, '')]),
    );
  } finally {
    client.disconnect();
  }
}

/** The nodes that follow a primary, as it sees them. */
export async function followersOf(primary: Node, nodes: readonly Node[]): Promise<Node[]> {
  const facts = await info(primary, 'replication');
  const ports = [...facts].flatMap(([name, value]) =>
    /^slave\d+$/.test(name) ? [Number(/port=(\d+)/.exec(value)?.[1])] : [],
  );
  return nodes.filter(({ port }) => ports.includes(port));
}

export interface TestCluster {
  nodes: readonly Node[];
  /** For `redis.cluster.nodes`. */
  urls: string[];
  /** The primary that has the slot of a key. */
  owner(key: string): Promise<Node>;
  /** Moves the slot of a key to another primary, key by key; calls `between` when some of the keys are there. */
  moveSlot(key: string, between: () => Promise<void>): Promise<void>;
  /** Waits until every slot has an owner again, which has as many replicas as said. */
  healthy(key: string, replicas: number): Promise<void>;
  stop(): Promise<void>;
}

/** Three primaries with a replica each. */
export async function startTestCluster(options: NodesOptions = {}): Promise<TestCluster> {
  const group = new Group(options);
  try {
    for (let count = 0; count < 6; count++)
      group.add(await twoPorts(), {
        ...durable,
        'cluster-enabled': 'yes',
        'cluster-node-timeout': String(deadAfter),
        'cluster-config-file': 'nodes.conf',
        ...(options.tls === undefined ? {} : { 'tls-cluster': 'yes' }),
        ...secretOf(options),
        ...options.settings,
      });
    await Promise.all(group.servers.map((each) => each.start()));
    await create(group);
  } catch (error) {
    await group.stop();
    throw error;
  }
  const nodes = group.servers;
  const owner = (key: string) =>
    until(`a primary has the slot of ${key}`, async () => {
      for (const node of nodes) {
        if (!node.alive()) continue;
        const client = node.client();
        try {
          // Only the owner runs it.
          await client.exists(key);
          if ((await info(node, 'replication')).get('role') === 'master') return node;
        } catch {
        } finally {
          client.disconnect();
        }
      }
      return undefined;
    });
  return {
    nodes,
    urls: nodes.map(({ url }) => url),
    owner,
    async moveSlot(key, between) {
      const from = await owner(key);
      const roles = await Promise.all(
        nodes.map(async (node) => ({ node, role: (await info(node, 'replication')).get('role') })),
      );
      const primaries = roles.filter(({ role }) => role === 'master').map(({ node }) => node);
      const to = primaries.find((node) => node !== from);
      if (!to) throw new Error('no other primary');
      const clients = new Map(primaries.map((node) => [node, node.client()]));
      const [source, target] = [clients.get(from), clients.get(to)];
      if (!source || !target) throw new Error('no clients');
      try {
        await Promise.all(
          [...clients.values()].map((each) => new Promise((done) => each.once('ready', done))),
        );
        const slot = await source.cluster('KEYSLOT', key);
        const [sourceId, targetId] = [
          String(await source.cluster('MYID')),
          String(await target.cluster('MYID')),
        ];
        await target.cluster('SETSLOT', slot, 'IMPORTING', sourceId);
        await source.cluster('SETSLOT', slot, 'MIGRATING', targetId);
        for (let moved = 0; ; ) {
          const keys = await source.cluster('GETKEYSINSLOT', slot, 10);
          if (keys.length === 0) break;
          await source.call('MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys.map(String));
          moved += keys.length;
          if (moved === keys.length) await between();
        }
        for (const each of [target, source, ...clients.values()])
          await each.cluster('SETSLOT', slot, 'NODE', targetId);
      } finally {
        for (const each of clients.values()) each.disconnect();
      }
    },
    async healthy(key, replicas) {
      await until(`${replicas} replicas follow the owner of ${key}`, async () => {
        const facts = await info(await owner(key), 'replication');
        const online = [...facts].filter(
          ([name, value]) => /^slave\d+$/.test(name) && value.includes('state=online'),
        );
        return online.length >= replicas ? true : undefined;
      });
    },
    stop: () => group.stop(),
  };
}

async function create({ servers, options }: Group): Promise<void> {
  const { password, tls } = options;
  const ran = await run(
    cli,
    [
      ...(password === undefined ? [] : ['-a', password, '--no-auth-warning']),
      ...(tls === undefined ? [] : ['--tls', '--cacert', tls.cert]),
      ...['--cluster', 'create', ...servers.map(({ port }) => `127.0.0.1:${port}`)],
      ...['--cluster-replicas', '1', '--cluster-yes'],
    ],
    { timeout: 60_000 },
  );
  if (ran.code !== 0) throw new Error(`${cli} --cluster create: ${ran.stdout} ${ran.stderr}`);
  await Promise.all(
    servers.map((each) =>
      until('the cluster is up', async () => {
        const client = each.client();
        try {
          const state = String(await client.cluster('INFO'));
          const facts = await info(each, 'replication');
          const follows =
            facts.get('role') === 'master'
              ? facts.get('connected_slaves') === '1'
              : facts.get('master_link_status') === 'up';
          return state.includes('cluster_state:ok') && follows ? true : undefined;
        } finally {
          client.disconnect();
        }
      }),
    ),
  );
}

export interface TestSentinels {
  servers: readonly Node[];
  sentinels: readonly Node[];
  /** For `redis.sentinel.nodes`. */
  urls: string[];
  master: string;
  /** The primary as the Sentinels see it, when it takes writes. */
  primary(): Promise<Node>;
  /** Waits until the primary has as many replicas as said. */
  healthy(replicas: number): Promise<void>;
  stop(): Promise<void>;
}

/** A primary, two replicas, three Sentinels. */
export async function startTestSentinels(options: NodesOptions = {}): Promise<TestSentinels> {
  const group = new Group(options);
  const master = 'mail';
  let servers: Server[];
  let sentinels: Server[];
  try {
    const ports = [await twoPorts(), await twoPorts(), await twoPorts()];
    servers = ports.map((port, index) =>
      group.add(port, {
        ...durable,
        ...secretOf(options),
        ...(index === 0 ? {} : { replicaof: `127.0.0.1 ${ports[0]}` }),
        ...options.settings,
      }),
    );
    await Promise.all(servers.map((each) => each.start()));
    const watch = [
      `monitor ${master} 127.0.0.1 ${ports[0]} 2`,
      `down-after-milliseconds ${master} ${deadAfter}`,
      `failover-timeout ${master} 6000`,
      ...(options.password === undefined ? [] : [`auth-pass ${master} ${options.password}`]),
    ];
    // The Sentinels have the same password as what they watch.
    const sentinelSecret: Record<string, string> =
      options.password === undefined ? {} : { requirepass: options.password };
    sentinels = [];
    for (let count = 0; count < 3; count++) {
      const text = watch.map((line) => `\nsentinel ${line}`).join('');
      // One setting name, many lines.
      sentinels.push(
        group.add(await twoPorts(), { ...sentinelSecret, 'protected-mode': `no${text}` }, ['--sentinel']),
      );
    }
    await Promise.all(sentinels.map((each) => each.start()));
  } catch (error) {
    await group.stop();
    throw error;
  }
  const named = async () => {
    for (const each of sentinels) {
      if (!each.alive()) continue;
      const client = each.client();
      try {
        const address: unknown = await client.call('SENTINEL', 'get-master-addr-by-name', master);
        const port = Array.isArray(address) ? Number(address[1]) : 0;
        const node = servers.find((candidate) => candidate.port === port && candidate.alive());
        if (node && (await info(node, 'replication')).get('role') === 'master') return node;
      } finally {
        client.disconnect();
      }
    }
    return undefined;
  };
  const primary = () => until('the Sentinels name a primary', named);
  const made: TestSentinels = {
    servers,
    sentinels,
    urls: sentinels.map(({ url }) => url),
    master,
    primary,
    async healthy(replicas) {
      await until(`${replicas} replicas follow`, async () => {
        // On a busy machine the primary may change once more by itself.
        const facts = await info(await primary(), 'replication');
        const online = [...facts].filter(
          ([name, value]) => /^slave\d+$/.test(name) && value.includes('state=online'),
        );
        return online.length >= replicas ? true : undefined;
      });
      await until('the Sentinels know each other and the replicas', async () => {
        for (const each of sentinels) {
          const facts = await info(each, 'sentinel');
          if (
            !new RegExp(`slaves=${servers.length - 1},sentinels=${sentinels.length}`).test(
              facts.get('master0') ?? '',
            )
          )
            return undefined;
        }
        return true;
      });
    },
    stop: () => group.stop(),
  };
  await made.healthy(2);
  return made;
}
