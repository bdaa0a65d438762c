/** Runs the roles as processes, and the private Redis server if no other is configured. */
import { rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import {
  type Config,
  formatProblem,
  indexCertificates,
  isPrivateRedis,
  type Problem,
  saveKept,
  storeConfig,
} from '../config/index.ts';
import { errorTable, SealpostError, toErrorInfo } from '../errors.ts';
import { changeLevels, type LevelChanges, type Log } from '../log.ts';
import { privateServerUrl } from '../redis/index.ts';
import { Checking } from './checking.ts';
import { Child, type ChildOptions, threadsOf } from './child.ts';
import { clearRunFolder, openControl, runFolder, storedConfig } from './control.ts';
import { Departures } from './departures.ts';
import { type SecretVariables, secretVariablesOf } from './environment.ts';
import { KeptRedis } from './kept-redis.ts';
import { changedLevels, levelLines } from './levels.ts';
import { checkFile, readNewConfig, refusal } from './new-config.ts';
import { hasWork, type ReadyFacts, type RoleName, type StartFailure, startError } from './protocol.ts';
import { untilReleased } from './release.ts';

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
  if (role === 'outbound') return config.workers.outbound || availableParallelism();
  return 1;
}

/** How processes are started. */
type Spawned = Pick<ChildOptions, 'stored' | 'begin' | 'takeOver' | 'onFailed' | 'redisUrl'> & {
  variables: SecretVariables;
};

/** Roles that use the certificates of partners. */
const readsCertificates: ReadonlySet<RoleName> = new Set(['decrypt', 'outbound', 'api', 'console']);

/** Where the index of certificates is that belongs to a stored configuration. */
const indexOf = (stored: string) => stored.replace(/\.json$/, '.certificates');

/** Where it is while it is checked. */
const checkedOf = (stored: string) => stored.replace(/\.json$/, '.checked');

/**
 * Milliseconds within which the processes of a new configuration must be ready. Their problems show by themselves; this
 * is for one that hangs. With twelve programs for each core a start took 45 seconds, and nothing was wrong.
 */
const readyTimeoutMs = 5 * 60_000;

/** How many of them are named, in the log and to who reloads. `sealpost check` has all. */
const mostWaiting = 100;

/** What waits although the configuration is in force, line by line. */
function waitingLines(waits: readonly Problem[]): string[] {
  const lines = waits.slice(0, mostWaiting).map((each) => `${each.only} waits: ${formatProblem(each)}`);
  const more = waits.length - lines.length;
  return more > 0 ? [...lines, `and ${more} more: run sealpost check`] : lines;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  /** In force. */
  #config: Config;
  /** The file with that configuration, for the roles. */
  #stored = '';
  #stores = 0;
  #control: { close(): Promise<void> } | undefined;
  #reloading: Promise<string> | undefined;
  #redis: KeptRedis | undefined;
  /** The pending start of the private server. A stop waits for it, so that no server is left behind. */
  #redisStart: Promise<KeptRedis> | undefined;
  #children: Child[] = [];
  /** Of the log, as changed since the start. */
  #levels: LevelChanges = {};
  /** A role has run, so the configuration works. If another cannot start, what it needs is only away for a moment. */
  #ran = false;
  readonly #departures: Departures;
  readonly #checking: Checking;
  #stopped: Promise<void> | undefined;
  /** Rejects if a role cannot start, or if the private server is lost for good. */
  readonly failed = Promise.withResolvers<never>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#departures = new Departures(options.config.redis, options.log);
    const { configFile, roles } = options;
    this.#checking = new Checking(() => checkFile(configFile, { roles }), roles);
    this.failed.promise.catch(() => undefined);
  }

  /** URL of the private Redis server, if there is one. */
  get redisUrl(): string | undefined {
    return this.#redis?.url;
  }

  /** Process ids of the running roles. */
  get pids(): { role: RoleName; pid: number | undefined }[] {
    return this.#children.map(({ role, pid }) => ({ role, pid }));
  }

  /** Starts everything. Resolves with each role's facts when all are ready, or with none if told to stop meanwhile. */
  async start(): Promise<Partial<Record<RoleName, ReadyFacts>>> {
    const { config, log } = this.#options;
    this.#working(config);
    const url = isPrivateRedis(config.redis) ? await privateServerUrl(config.dataDir) : undefined;
    // It reads its files while the certificates of partners are read here.
    if (url !== undefined) this.#redisStart = KeptRedis.start({ dataDir: config.dataDir, log });
    this.#redisStart?.catch(() => undefined);
    const onFailed = (role: RoleName, failure: StartFailure) => {
      // A store that is away or full may be back in a moment.
      if (this.#ran && errorTable[failure.code].class === 'store') return false;
      this.failed.reject(startError(role, failure));
      return true;
    };
    const begin = Promise.withResolvers<void>();
    const stored = await this.#nextStored();
    // They load their code while the rest is done here.
    const how = {
      stored,
      variables: await secretVariablesOf(config),
      takeOver: false,
      redisUrl: url,
      onFailed,
    };
    if (this.#stopped) return {};
    this.#children = this.#spawn(config, { ...how, begin: begin.promise });
    await this.#store(config, stored);
    this.#stored = stored;
    this.#redis = await this.#redisStart;
    await untilReleased(config.redis, url, log, {
      isStopped: () => this.#stopped !== undefined,
      // nothing but Redis runs until then
      onPaused: async () => {
        const early = this.#children;
        this.#children = [];
        await Promise.all(early.map((child) => child.drain(config.workers.drainTimeout)));
      },
    });
    if (this.#stopped) return {};
    if (this.#children.length === 0) this.#children = this.#spawn(config, { ...how, begin: begin.promise });
    begin.resolve();
    const all = Promise.all(
      this.#children.map(async (child) => {
        const facts = await child.ready.promise;
        this.#ran = true;
        return [child.role, facts] as const;
      }),
    );
    all.catch(() => undefined);
    const facts = await Promise.race([all, this.failed.promise]);
    this.#control = await openControl(await runFolder(config.dataDir), {
      reload: () => this.reload(),
      log: async (changes) => this.changeLevels(changes),
    });
    return Object.fromEntries(facts);
  }

  /**
   * Reads the configuration file again. New processes start beside the old ones, and only when all are ready do the old
   * ones finish their work and end. `reload-refused`: something is wrong with it, and nothing has changed.
   */
  reload(): Promise<string> {
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  /** Changes levels of the log in all processes, also those of a reload and those that are restarted. */
  changeLevels(changes: string): string {
    const { log } = this.#options;
    this.#levels = changedLevels(this.#levels, changes);
    if (changes !== '') {
      log.info({ levels: this.#levels }, 'levels of the log were changed');
      changeLevels(log, this.#levels);
      for (const child of this.#children) child.tellLevels(this.#levels);
    }
    return levelLines(this.#config.log.level, this.#levels);
  }

  async #reload(): Promise<string> {
    const { configFile, log, roles } = this.#options;
    const old = { children: this.#children, stored: this.#stored, config: this.#config };
    let waits: Problem[];
    try {
      if (!this.#control || this.#stopped) throw refusal('the daemon is being started or stopped');
      const folder = await runFolder(old.config.dataDir);
      const checked = checkedOf(storedConfig(folder, this.#stores + 1));
      const read = await readNewConfig(configFile, old.config, { inForce: old.stored, checked, roles });
      const { config } = read;
      waits = read.waits;
      this.#working(config);
      const stored = await this.#nextStored();
      await this.#store(config, stored);
      try {
        await this.#replace(config, stored);
      } catch (error) {
        await this.#removeStored(stored);
        throw error;
      }
    } catch (error) {
      const known = error instanceof SealpostError && error.code === 'reload-refused';
      const refused = known ? error : refusal(toErrorInfo(error).message, error);
      log.error({ err: refused }, 'not reloaded');
      throw refused;
    }
    await this.#removeStored(old.stored);
    log.info({ pids: this.pids }, 'reloaded: new processes have taken over');
    for (const line of waitingLines(waits)) log.warn(line);
    await Promise.all(old.children.map((child) => child.drain(old.config.workers.drainTimeout, true)));
    log.info('reloaded: the old processes have ended');
    return [
      `the new configuration is in force, in ${this.#children.length} new processes`,
      ...waitingLines(waits),
    ].join('\n');
  }

  /** Starts the processes of the new configuration, and adopts them when all are ready. */
  async #replace(config: Config, stored: string): Promise<void> {
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => undefined);
    const variables = await secretVariablesOf(config);
    const onFailed = (role: RoleName, failure: StartFailure) => {
      failed.reject(refusal(startError(role, failure).message));
      return true;
    };
    const how = { stored, variables, begin: Promise.resolve(), takeOver: true, onFailed };
    const fresh = this.#spawn(config, { ...how, redisUrl: this.#redis?.url });
    const late = setTimeout(
      () => failed.reject(refusal('the new processes were not ready in time')),
      readyTimeoutMs,
    );
    try {
      const ready = Promise.all(fresh.map((child) => child.ready.promise));
      ready.catch(() => undefined);
      await Promise.race([ready, failed.promise]);
      if (this.#stopped) throw refusal('the daemon is being stopped');
    } catch (error) {
      for (const child of fresh) child.kill();
      throw error;
    } finally {
      clearTimeout(late);
    }
    this.#children = fresh;
    this.#config = config;
    this.#stored = stored;
  }

  #spawn(config: Config, how: Spawned): Child[] {
    const { configFile, log } = this.#options;
    const { variables, redisUrl, ...same } = how;
    const onLost = (role: RoleName, pid: number) => this.#departures.lost(role, pid, redisUrl);
    const onCheck = async (id: string, child: Child) => {
      const answer = await this.#checking.answer(id);
      if (answer) child.tellChecked(id, answer);
    };
    const beside = this.#working(config);
    const children = beside.flatMap((role) =>
      Array.from(
        { length: countOf(role, config) },
        (_, index) =>
          new Child({
            ...{
              role,
              index,
              configFile,
              redisUrl,
              log,
              onLost,
              onCheck,
              beside,
            },
            ...same,
            levels: () => this.#levels,
            threads: threadsOf(role, config),
            secrets: variables.get(role) ?? [],
          }),
      ),
    );
    for (const child of children) child.start();
    return children;
  }

  /** The roles that have something to do. `config-invalid` if there is none. */
  #working(config: Config): RoleName[] {
    const working = this.#options.roles.filter((role) => hasWork(role, config));
    if (working.length > 0) return working;
    throw new SealpostError('config-invalid', 'the configuration gives none of these roles anything to do', {
      hint: 'add a mailbox with smtp.listen or imap, or a partner',
    });
  }

  /** Where the next configuration for the roles will be. */
  async #nextStored(): Promise<string> {
    this.#stores += 1;
    const folder = await runFolder(this.#config.dataDir);
    if (this.#stores === 1) await clearRunFolder(folder);
    return storedConfig(folder, this.#stores);
  }

  /**
   * Writes the configuration for the roles, which then need not check it again, and of which none, restarted later,
   * reads a half-finished edit.
   */
  async #store(config: Config, file: string): Promise<void> {
    saveKept(config);
    const keyed = this.#working(config).some((role) => readsCertificates.has(role));
    const certificates = keyed && config.partners.length > 0 ? indexOf(file) : undefined;
    if (certificates !== undefined) {
      const began = performance.now();
      const { read, kept } = await indexCertificates(config, certificates);
      const ms = Math.round(performance.now() - began);
      this.#options.log.info({ read, kept, ms }, 'certificates of partners');
    }
    await writeFile(file, storeConfig(config, certificates), { mode: 0o600 });
  }

  async #removeStored(file: string): Promise<void> {
    await Promise.all([file, indexOf(file)].map((each) => rm(each, { force: true })));
  }

  /** Drains every role, then stops the private server. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    await this.#control?.close();
    const timeoutMs = this.#config.workers.drainTimeout;
    await Promise.all(this.#children.map((child) => child.drain(timeoutMs)));
    // Processes that a reload is replacing, or has started in vain, end by themselves.
    await this.#reloading?.catch(() => undefined);
    if (this.#stored) await this.#removeStored(this.#stored);
    await this.#departures.settled();
    const redis = await this.#redisStart?.catch(() => undefined);
    await redis?.stop();
  }

  /** Ends the roles at once. Their work is continued at the next start. */
  async force(): Promise<void> {
    this.#departures.stop();
    for (const child of this.#children) child.kill();
    await this.#redis?.stop();
  }
}
