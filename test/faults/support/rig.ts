/** One daemon with its surroundings: Redis, a proxy before it, load, oracle. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { loadConfig } from '../../../src/config/load.ts';
import { createLog } from '../../../src/log.ts';
import { openQueue, type QueueRoom } from '../../../src/queue/index.ts';
import { connect } from '../../../src/redis/connection.ts';
import { bootDaemon, kill, type TestDaemon, writeConfig } from '../../support/daemon.ts';
import { freePort, reachable } from '../../support/net.ts';
import { textEntity, type World } from '../../support/world.ts';
import type { Findings } from './case.ts';
import { type Accepted, Load, type LoadOptions, type Mail } from './load.ts';
import { folderSink, judge, type Sink, settle } from './oracle.ts';
import { TcpProxy } from './proxy.ts';
import { type FaultRedis, startFaultRedis } from './redis.ts';

export interface RigOptions {
  /** Settings at the top level of the configuration. */
  config?: Record<string, unknown>;
  /** Settings of the SMTP listener. */
  smtp?: Record<string, unknown>;
  /** `private`: the daemon's own server. Default: one of the harness, through a proxy. */
  redis?: 'private' | { settings?: Record<string, string>; folder?: string };
  env?: Record<string, string>;
  /** Of Redis behind the proxy; the first connection is made in this time, too. */
  commandTimeout?: string;
}

/** The queue room on a server, bypassing anything between it and the daemon. */
async function openAt(configFile: string, url: string | undefined): Promise<QueueRoom> {
  const config = loadConfig(configFile);
  // The harness itself may be busy for seconds (encrypting a mail of 100 MB).
  const redis = { ...config.redis, commandTimeout: 30_000, ...(url === undefined ? {} : { url }) };
  const direct = { ...config, redis };
  const log = createLog('silent', 'oracle');
  return await openQueue(direct, { role: 'oracle', log, checkDurability: false });
}

let mails = 0;
/** The encrypted content, by size: made once, because messages differ only in the header. */
const bodies = new Map<number, Buffer>();

/** A mail of the partner with a Message-ID of its own; signed and encrypted, `size` octets of text in it. */
export function makeMail(world: World, size = 200, messageId?: string): Mail {
  const body = bodies.get(size) ?? world.mail(textEntity(lines(size)), { header: '' });
  bodies.set(size, body);
  mails += 1;
  const id = messageId ?? `${process.pid}.${mails}.${randomBytes(4).toString('hex')}@partner.example`;
  const header = `From: Partner <edi@partner.example>\r\nTo: <orders@own.example>\r\nSubject: fault ${mails}\r\nMessage-ID: <${id}>\r\n`;
  return { messageId: id, octets: Buffer.concat([Buffer.from(header), body]) };
}

function lines(size: number): string {
  const line = `${'sealing wax '.repeat(6)}\r\n`;
  return line.repeat(Math.max(1, Math.ceil(size / line.length)));
}

export class Rig {
  readonly world: World;
  daemon: TestDaemon;
  /** The queue room on the server itself, past the proxy. */
  queue: QueueRoom;
  readonly port: number;
  readonly redis: FaultRedis | undefined;
  readonly proxy: TcpProxy | undefined;
  readonly folder: string;
  kills = 0;
  readonly #options: RigOptions;
  readonly #loads: Load[] = [];

  private constructor(
    world: World,
    options: RigOptions,
    parts: {
      daemon: TestDaemon;
      queue: QueueRoom;
      port: number;
      folder: string;
      redis: FaultRedis | undefined;
      proxy: TcpProxy | undefined;
    },
  ) {
    this.world = world;
    this.#options = options;
    this.daemon = parts.daemon;
    this.queue = parts.queue;
    this.port = parts.port;
    this.folder = parts.folder;
    this.redis = parts.redis;
    this.proxy = parts.proxy;
  }

  static async start(world: World, options: RigOptions = {}): Promise<Rig> {
    const { commandTimeout = '3s' } = options;
    const port = await freePort();
    const own = options.redis === 'private' ? undefined : (options.redis ?? {});
    const redis = own && (await startFaultRedis(own.settings, own.folder));
    const proxy = redis && (await TcpProxy.start({ port: redis.port }));
    const { folder, configFile } = writeConfig(world, {
      smtp: {
        listen: [{ port }],
        hostname: 'own.example',
        greetingDelay: '0ms',
        maxConnectionsPerClient: 200,
        ...options.smtp,
      },
      ...(proxy ? { redis: { url: `redis://127.0.0.1:${proxy.port}`, commandTimeout } } : {}),
      retry: { attempts: 1000, firstDelay: '100ms', maxDelay: '2s' },
      log: { level: 'info' },
      ...options.config,
    });
    const daemon = await bootDaemon(folder, configFile, options.env ? { env: options.env } : {});
    const queue = await openAt(configFile, redis?.url);
    return new Rig(world, options, { daemon, queue, port, folder, redis, proxy });
  }

  /** Starts a new daemon on the data of the one that has ended. */
  async boot(env: Record<string, string> = this.#options.env ?? {}): Promise<void> {
    await this.daemon.queue.close();
    this.daemon = await bootDaemon(this.folder, this.daemon.configFile, { env });
  }

  /** The oracle asks another server from now on; `prepare` gets a connection to it first. */
  async useRedis(url: string, prepare: (redis: Redis) => Promise<void>): Promise<void> {
    const link = connect({ url, commandTimeout: 3000 }, 'worker', createLog('silent', 'oracle'));
    await prepare(link);
    link.disconnect();
    await this.queue.close();
    this.queue = await openAt(this.daemon.configFile, url);
  }

  load(options: Partial<LoadOptions> & { size?: number } = {}): Load {
    const { size, ...rest } = options;
    const load = new Load({ port: this.port, mail: () => makeMail(this.world, size), ...rest });
    this.#loads.push(load);
    return load;
  }

  /** kill -9 of one process of a role, when there is one. */
  killRole(role: string): boolean {
    const running = this.daemon.roles().filter((each) => each.role === role);
    const victim = running[Math.floor(Math.random() * running.length)];
    if (victim === undefined) return false;
    kill(victim.pid);
    this.kills++;
    return true;
  }

  /** Waits until a process of the role runs, and the receiver listens. */
  async up(role: string): Promise<void> {
    await this.daemon.waitFor(`${role} runs again`, () =>
      this.daemon.roles().some((each) => each.role === role),
    );
    if (role === 'receive') {
      for (let attempt = 0; ; attempt++) {
        try {
          return await reachable(this.port);
        } catch (error) {
          if (attempt > 4) throw error;
        }
      }
    }
  }

  /** kill -9 of a role again and again, `every` milliseconds after it runs. */
  async killing(role: string, times: number, every: number): Promise<void> {
    for (let done = 0; done < times; ) {
      await sleep(every * (0.5 + Math.random()));
      if (this.killRole(role)) done++;
    }
  }

  /** Waits for the end of all, and counts. */
  async findings(
    loads: { accepted: Accepted[]; sent: number; longestPause?: number }[],
    more: { sink?: () => Sink; notes?: string[]; failures?: string[]; patience?: number } = {},
  ): Promise<Findings> {
    const { sink = () => folderSink(this.daemon.inbox), notes = [], failures = [], patience } = more;
    const accepted = loads.flatMap((load) => load.accepted);
    await settle(this.queue, accepted, patience);
    const pauses = loads.flatMap(({ longestPause }) => (longestPause === undefined ? [] : [longestPause]));
    return {
      sent: loads.reduce((sum, load) => sum + load.sent, 0),
      tally: await judge(this.queue, accepted, sink),
      kills: this.kills,
      pause: pauses.length > 0 ? Math.max(...pauses) : null,
      notes: [...notes],
      failures: [...failures],
    };
  }

  async close(): Promise<void> {
    for (const load of this.#loads) load.abandon();
    this.proxy?.heal();
    if (this.redis && !this.redis.alive()) await this.redis.start().catch(() => undefined);
    await this.daemon.stop();
    await this.queue.close();
    await this.proxy?.stop();
    await this.redis?.stop();
  }
}
