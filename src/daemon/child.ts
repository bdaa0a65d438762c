/** One supervised role process: started, watched, restarted with capped backoff, drained. */
import { type ChildProcess, spawn } from 'node:child_process';
import { extname, join } from 'node:path';
import { allDestinations, allRoutes, type Config } from '../config/index.ts';
import type { LevelChanges, Log } from '../log.ts';
import type { CheckAnswer } from './check-types.ts';
import { environmentOf } from './environment.ts';
import {
  EXIT_CONFIG,
  env,
  isFromRole,
  type ReadyFacts,
  type RoleName,
  type StartFailure,
  startError,
} from './protocol.ts';
import { Watchdog } from './watchdog.ts';

const firstDelayMs = 250;
const maxDelayMs = 30_000;
/** A process that lived this long, or has done some work, resets its backoff. */
const steadyMs = 10_000;

/** These roles decode old mail: DES and RC2 come from OpenSSL's legacy provider. */
const needsLegacyProvider: readonly RoleName[] = ['decrypt', 'outbound'];

/**
 * A small young generation, of this size from the start. Octets live for one message only, and with V8's default of
 * three times 16 MiB they pile up (60 to 100 MB more resident, and no faster; bench/end-to-end.ts).
 */
const youngMegabytes = 8;
/**
 * Limits of the JavaScript heap; octets are outside of it. Live data takes 20 to 40 MB. The first size is a cap: a
 * message that fills it ends the process long before the watchdog's limit. V8 makes its first full collection at the
 * second size, and later ones by the ratio to live data. Derived from the cap alone, collections are so frequent that a
 * message costs a quarter more processor time. With V8's default (half of the machine's memory, up to 4 GB) they are so
 * rare that a process takes 50 to 100 MB more (bench/end-to-end.ts).
 */
const heapMegabytes = 1024;
const firstCollectionMegabytes = 48;
/**
 * `outbound` has 30 MB of live data, and messages that wait for their connection outlive young collections. What is
 * left of 48 MB filled up every 170 messages, and the full collections took a tenth of its time (bench/outbound.ts).
 */
const firstCollectionOf: { [Role in RoleName]?: number } = { outbound: 64 };
const runtimeFlags = (role: RoleName) => [
  `--min-semi-space-size=${youngMegabytes}`,
  `--max-semi-space-size=${youngMegabytes}`,
  // There is a process for each core, so helpers of the collector only take time from another process's messages.
  '--single-threaded-gc',
  `--max-old-space-size=${heapMegabytes}`,
  `--initial-old-space-size=${firstCollectionOf[role] ?? firstCollectionMegabytes}`,
  // for the octets of large messages (src/queue/reclaim.ts)
  '--expose-gc',
  // By default, V8 begins to mark the whole heap whenever octets of 64 MB have come since the last time, however many
  // of them are gone: with large messages, a quarter of decrypt's time. Other versions may not know the option.
  ...(process.versions.v8.startsWith('13.6.') ? ['--external-memory-accounted-in-global-limit'] : []),
  '--disable-warning=ExperimentalWarning',
];

/**
 * Threads for calls that wait for a disk. A folder on a hanging network file system blocks a few of them
 * (src/volume.ts: four messages, a sync, a probe; src/drop/folder.ts: sixteen files, a scan, a probe). Each folder adds
 * its own, so that none waits for another's.
 */
export function threadsOf(role: RoleName, config: Config): number {
  const usual = Number(process.env.UV_THREADPOOL_SIZE) || 4;
  const folders = allDestinations(config).filter(([, { type }]) => type === 'directory').length;
  // src/handoff/folder-draft.ts: messages that are decoded into a folder, and a probe for each
  if (role === 'decrypt') return Math.min(mostThreads, usual + (folders > 0 ? 8 + folders : 0));
  if (role === 'submit') return Math.min(mostThreads, usual + config.folders.length * 18);
  if (role !== 'handoff' && role !== 'outbound') return usual;
  const each =
    role === 'handoff' ? folders : allRoutes(config).filter(([, { folder }]) => folder !== undefined).length;
  return Math.min(mostThreads, usual + each * 6);
}
/** The maximum that libuv accepts. */
const mostThreads = 1024;

export interface ChildOptions {
  role: RoleName;
  index: number;
  configFile: string;
  redisUrl: string | undefined;
  /** Size of the thread pool. */
  threads: number;
  /** Names of the environment variables that hold its secrets. */
  secrets: readonly string[];
  /** File with the checked configuration in force. */
  stored: string;
  /** The roles that run on this machine. */
  beside: readonly RoleName[];
  /** Until then it only loads its code: the configuration is not stored yet, or the store does not run. */
  begin: Promise<unknown>;
  /** It takes over from a process that is still running. */
  takeOver: boolean;
  log: Log;
  /** Levels of its log that differ from the configured one, now. */
  levels(): LevelChanges;
  /** The role never ran because its configuration or surroundings are wrong. Returns false to try again anyway. */
  onFailed(role: RoleName, failure: StartFailure): boolean;
  /** It was told that somebody wants the files checked; the answer goes to it. */
  onCheck(id: string, child: Child): void;
  /** A process died and could not remove its entries in Redis. */
  onLost(role: RoleName, pid: number): void;
}

export class Child {
  readonly ready = Promise.withResolvers<ReadyFacts>();
  readonly role: RoleName;
  readonly #options: ChildOptions;
  #process: ChildProcess | undefined;
  #exited = Promise.resolve();
  #stopping = false;
  #delayMs = firstDelayMs;
  #restart: NodeJS.Timeout | undefined;
  #wasReady = false;
  /** Levels were changed before. */
  #changed = false;
  #begun = false;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.role = options.role;
    this.ready.promise.catch(() => undefined);
    // whoever made the promise hears of its failure
    options.begin.then(
      () => {
        this.#begun = true;
        if (this.#process?.connected) this.#process.send({ type: 'begin' }, () => undefined);
      },
      () => undefined,
    );
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  start(): void {
    const { role, index, configFile, stored, redisUrl, threads, secrets, takeOver, beside } = this.#options;
    const { log, onFailed, onLost, onCheck } = this.#options;
    const startedAt = performance.now();
    let worked = false;
    let failure: StartFailure | undefined;
    // Run from source the roles are .ts files, in the published package .js files beside the compiled source.
    const file = join(import.meta.dirname, '..', '..', 'workers', `${role}${extname(import.meta.filename)}`);
    const legacy = needsLegacyProvider.includes(role) ? ['--openssl-legacy-provider'] : [];
    const child = spawn(process.execPath, [...legacy, ...runtimeFlags(role), file], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: {
        ...environmentOf(process.env, secrets),
        UV_THREADPOOL_SIZE: String(threads),
        // The C library would give each thread its own arena, and what is freed in one is of no use to another.
        MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? '2',
        [env.config]: configFile,
        [env.index]: String(index),
        [env.stored]: stored,
        [env.beside]: beside.join(','),
        // Only the first time: no old process runs beside one that is restarted later.
        [env.takeOver]: takeOver && !this.#wasReady ? '1' : '',
        [env.wait]: this.#begun ? '' : '1',
        ...(redisUrl === undefined ? {} : { [env.redisUrl]: redisUrl }),
      },
    });
    this.#process = child;
    const watchdog = new Watchdog((facts) => {
      log.error({ role, pid: child.pid, ...facts }, 'a role process exceeded its limits; killed');
      child.kill('SIGKILL');
    }, child.pid);
    this.tellLevels(this.#options.levels());
    child.on('message', (message) => {
      if (!isFromRole(message)) return;
      watchdog.heard();
      if (message.type === 'worked') worked = true;
      if (message.type === 'failed') failure = message.failure;
      if (message.type === 'check') onCheck(message.id, this);
      if (message.type !== 'ready') return;
      this.#wasReady = true;
      watchdog.start();
      this.ready.resolve(message.facts);
    });
    child.on('error', (error) => log.error({ err: error, role }, 'role process error'));
    const exited = Promise.withResolvers<void>();
    this.#exited = exited.promise;
    child.on('exit', (code, signal) => {
      watchdog.stop();
      exited.resolve();
      if (code !== 0 && child.pid !== undefined) onLost(role, child.pid);
      if (this.#stopping) return;
      // A role that never ran would fail again. One that did run recovers when its surroundings (Redis) do. A crash
      // says nothing.
      if (!this.#wasReady && code === EXIT_CONFIG) {
        const why = failure ?? { code: 'config-invalid', message: 'its log line above says why' };
        if (onFailed(role, why)) return this.ready.reject(startError(role, why));
      }
      this.#startAgain({ worked, livedMs: Math.round(performance.now() - startedAt) }, { code, signal });
    });
  }

  #startAgain(
    life: { worked: boolean; livedMs: number },
    end: { code: number | null; signal: NodeJS.Signals | null },
  ): void {
    if (life.worked || life.livedMs > steadyMs) this.#delayMs = firstDelayMs;
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, maxDelayMs);
    this.#options.log.error(
      { role: this.role, ...end, delayMs, ...life },
      'role process ended; starting it again',
    );
    this.#restart = setTimeout(() => this.start(), delayMs);
  }

  /** Changes levels of its log. A process that is just starting takes them when it reads its messages. */
  tellLevels(levels: LevelChanges): void {
    if (Object.keys(levels).length === 0 && !this.#changed) return;
    this.#changed = true;
    if (this.#process?.connected) this.#process.send({ type: 'levels', levels }, () => undefined);
  }

  /** What a check found. Lost if the process ends meanwhile. */
  tellChecked(id: string, answer: CheckAnswer): void {
    if (this.#process?.connected) this.#process.send({ type: 'checked', id, answer }, () => undefined);
  }

  /** Asks the process to finish what is in flight. Kills it if it has not ended after `timeoutMs` and a second. */
  async drain(timeoutMs: number, handover = false): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    if (child.connected) child.send({ type: 'drain', timeoutMs, handover });
    else child.kill('SIGTERM');
    const late = setTimeout(() => {
      this.#options.log.error({ role: this.role, pid: child.pid }, 'did not drain in time; killed');
      child.kill('SIGKILL');
    }, timeoutMs + 1_000);
    await this.#exited;
    clearTimeout(late);
  }

  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#process?.kill('SIGKILL');
  }
}
