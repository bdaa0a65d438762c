/** Runs the roles as processes, and the private Redis server where no other is configured. */
import { availableParallelism } from 'node:os';
import type { Config } from '../config/schema.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { Child } from './child.ts';
import { KeptRedis } from './kept-redis.ts';
import type { ReadyFacts, RoleName } from './protocol.ts';

export interface SupervisorOptions {
  configFile: string;
  config: Config;
  roles: readonly RoleName[];
  log: Log;
}

/** How many processes a role has. */
function countOf(role: RoleName, config: Config): number {
  if (role === 'decrypt') return config.workers.decrypt || availableParallelism();
  if (role === 'handoff') return config.workers.handoff;
  if (role === 'outbound') return config.workers.outbound;
  return 1;
}

/** False for a role that the configuration gives nothing to do. */
function hasWork(role: RoleName, config: Config): boolean {
  if (role === 'receive')
    return config.smtp.listen.length > 0 || config.mailboxes.some((mailbox) => mailbox.imap);
  if (role === 'decrypt' || role === 'handoff') return config.mailboxes.length > 0;
  if (role === 'outbound') return config.partners.length > 0;
  return config.http.port !== undefined;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  #redis: KeptRedis | undefined;
  /** The start of the private server: whoever stops meanwhile waits for it, so that it is not left behind. */
  #redisStart: Promise<KeptRedis> | undefined;
  #children: Child[] = [];
  #stopped: Promise<void> | undefined;
  /** Rejects when a role can not start, or the private server is lost for good. */
  readonly failed = Promise.withResolvers<never>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.failed.promise.catch(() => undefined);
  }

  /** URL of the private Redis server, when there is one. */
  get redisUrl(): string | undefined {
    return this.#redis?.url;
  }

  /** Process ids of the running roles. */
  get pids(): { role: RoleName; pid: number | undefined }[] {
    return this.#children.map(({ role, pid }) => ({ role, pid }));
  }

  /** Starts everything; resolves with each role's facts when all are ready, or with none when told to stop meanwhile. */
  async start(): Promise<Partial<Record<RoleName, ReadyFacts>>> {
    const { config, configFile, roles, log } = this.#options;
    const working = roles.filter((role) => hasWork(role, config));
    if (working.length === 0)
      throw new SealpostError(
        'config-invalid',
        'the configuration gives none of these roles anything to do',
        {
          hint: 'add a mailbox with smtp.listen or imap, or a partner',
        },
      );
    if (config.redis.url === undefined) {
      this.#redisStart = KeptRedis.start({ dataDir: config.dataDir, log });
      this.#redis = await this.#redisStart;
    }
    if (this.#stopped) return {};
    const onFatal = (role: RoleName) =>
      this.failed.reject(
        new SealpostError('config-invalid', `${role} could not start; its log line above says why`),
      );
    for (const role of working) {
      for (let index = 0; index < countOf(role, config); index++)
        this.#children.push(new Child({ role, index, configFile, redisUrl: this.#redis?.url, log, onFatal }));
    }
    for (const child of this.#children) child.start();
    const all = Promise.all(
      this.#children.map(async (child) => [child.role, await child.ready.promise] as const),
    );
    all.catch(() => undefined);
    return Object.fromEntries(await Promise.race([all, this.failed.promise]));
  }

  /** Drains every role, then stops the private server. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const timeoutMs = this.#options.config.workers.drainTimeout;
    await Promise.all(this.#children.map((child) => child.drain(timeoutMs)));
    const redis = await this.#redisStart?.catch(() => undefined);
    await redis?.stop();
  }

  /** Ends the roles at once; what they had in hand is taken up again at the next start. */
  async force(): Promise<void> {
    for (const child of this.#children) child.kill();
    await this.#redis?.stop();
  }
}
